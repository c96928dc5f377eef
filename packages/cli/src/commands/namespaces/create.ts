import { defineCommand, required } from '../../command.ts'

export const create = defineCommand({
  summary: 'Make a namespace; your account pays for what runs in it',
  args: { name: required('name', 'lower-case letters, digits and hyphens') },
  examples: ['agentctl namespaces create demo'],
  async run(ctx, { name }) {
    const made = await ctx.api('POST /v1/namespaces', { body: { name } })
    ctx.out.result(made, `Namespace ${made.name} is yours.`)
    ctx.out.note(`To work in it: agentctl namespaces use ${made.name}, or -n ${made.name}`)
  },
})

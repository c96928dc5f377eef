import { defineCommand, required } from '../../command.ts'

export const join = defineCommand({
  summary: 'Become a member by an invitation code',
  args: { code: required('code', 'the code that an owner or admin gave you') },
  examples: ['agentctl members join actl_i_…'],
  async run(ctx, { code }) {
    const joined = await ctx.api('POST /v1/invitations/accept', { body: { code } })
    ctx.out.result(joined, `You are ${joined.role} of ${joined.name}.`)
    ctx.out.note(`To work in it: agentctl namespaces use ${joined.name}, or -n ${joined.name}`)
  },
})

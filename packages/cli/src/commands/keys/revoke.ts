import { defineCommand, flag, required } from '../../command.ts'

export const revoke = defineCommand({
  summary: 'Revoke a key at once',
  args: { key: required('key', 'id of the key, from agentctl keys list') },
  options: { yes: flag('-y, --yes', 'do not ask') },
  examples: ['agentctl keys revoke key_… --yes'],
  async run(ctx, { key }, { yes }) {
    await ctx.prompt.insist({
      message: `Revoke ${key}? Whatever uses it stops working.`,
      yes,
      instead: 'Nothing was revoked',
    })
    await ctx.api('DELETE /v1/keys/:key', { params: { key } })
    ctx.out.result({ id: key, revoked: true }, `${key} is revoked.`)
  },
})

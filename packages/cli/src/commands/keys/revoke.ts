import { defineCommand, flag, required } from '../../command.ts'
import { keyIdOf } from '../../key-id.ts'

export const revoke = defineCommand({
  summary: 'Revoke a key at once',
  args: { key: required('key', 'name or id of the key') },
  options: { yes: flag('-y, --yes', 'do not ask') },
  examples: ['agentctl keys revoke ci --yes'],
  async run(ctx, { key }, { yes }) {
    const id = await keyIdOf(ctx, key)
    await ctx.prompt.insist({
      message: `Revoke ${key}? Whatever uses it stops working.`,
      yes,
      instead: 'Nothing was revoked',
    })
    await ctx.api('DELETE /v1/keys/:key', { params: { key: id } })
    ctx.out.result({ id, revoked: true }, `${key} is revoked.`)
  },
})

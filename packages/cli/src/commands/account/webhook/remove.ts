import { defineCommand } from '../../../command.ts'

export const remove = defineCommand({
  summary: 'Have no more service messages sent',
  examples: ['agentctl account webhook remove'],
  async run(ctx) {
    await ctx.api('DELETE /v1/account/webhook')
    ctx.out.result(
      { removed: true },
      'Messages are not sent any more; agentctl notices shows them as before.',
    )
  },
})

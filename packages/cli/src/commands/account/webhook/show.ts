import { describeWebhook } from '../../../account/webhook-view.ts'
import { defineCommand } from '../../../command.ts'

export const show = defineCommand({
  summary: 'Show where service messages are sent to, and how that goes',
  examples: ['agentctl account webhook show'],
  async run(ctx) {
    ctx.out.result(await ctx.api('GET /v1/account/webhook'), ({ webhook }) =>
      webhook ? describeWebhook(webhook) : 'There is none. Set one: agentctl account webhook set URL',
    )
  },
})

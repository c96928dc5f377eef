import { defineCommand } from '../../../command.ts'

export const test = defineCommand({
  summary: 'Send a message to try it',
  examples: ['agentctl account webhook test'],
  async run(ctx) {
    const webhook = await ctx.api('POST /v1/account/webhook/test')
    ctx.out.result(webhook, ({ url }) => `A message is on its way to ${url}.`)
    ctx.out.note('What came of it: agentctl account webhook show')
  },
})

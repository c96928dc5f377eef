import { describeAccount } from '../../account-view.ts'
import { defineCommand } from '../../command.ts'

export const show = defineCommand({
  summary: 'Show what your account is made of',
  examples: ['agentctl account show'],
  async run(ctx) {
    ctx.out.result(await ctx.api('GET /v1/account'), describeAccount)
  },
})

import { randomBytes } from 'node:crypto'
import { defineCommand, required } from '../../command.ts'
import { parseDollars } from '../../money.ts'
import { describeAccount } from '../../operator/account-view.ts'
import { operatorToken } from '../../operator/operator-api.ts'
import { reasonFor, reasonOption } from '../../operator/reason.ts'

export const credit = defineCommand({
  summary: 'Give charges back to the credits of an account',
  details:
    'For what was charged and should not have been. A payment itself is given back by agentctl operator refund.',
  args: {
    account: required('account', 'acc_…, as agentctl operator find shows it'),
    amount: required('dollars', 'at most 1000'),
  },
  options: { reason: reasonOption },
  examples: [`agentctl operator credit acc_4k2x9wq7m1z8c5v3b6n0 5 --reason 'Two hours without a network.'`],
  async run(ctx, { account, amount }, { reason }) {
    const credited = await ctx.api('POST /v1/operator/accounts/:account/credits', {
      ...operatorToken(ctx),
      params: { account },
      repeatable: true,
      body: {
        id: `gbk_${randomBytes(10).toString('hex')}`,
        amountMicros: parseDollars(amount, 'DOLLARS'),
        reason: await reasonFor(ctx, reason),
      },
    })
    ctx.out.result(credited, describeAccount)
  },
})

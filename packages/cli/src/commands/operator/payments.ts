import { defineCommand, option } from '../../command.ts'
import { dollars } from '../../money.ts'
import { operatorToken } from '../../operator/operator-api.ts'
import { table } from '../../table.ts'
import { relative } from '../../times.ts'

export const payments = defineCommand({
  summary: 'List payments on chain that wait for a decision, or those of an account',
  options: { account: option('--account <id>', 'all payments of this account, the newest first') },
  examples: ['agentctl operator payments', 'agentctl operator payments --account acc_4k2x9wq7m1z8c5v3b6n0'],
  async run(ctx, _, { account }) {
    const found = await ctx.api('GET /v1/operator/payments', { ...operatorToken(ctx), query: { account } })
    ctx.out.result(found, (answer, width) =>
      answer.payments.length === 0
        ? 'None.'
        : table(
            ['state', 'amount', 'seen', 'sender', 'payment'],
            answer.payments.map((payment) => [
              payment.state,
              dollars(payment.amountMicros),
              relative(payment.seenAt, new Date()),
              payment.sender,
              payment.id,
            ]),
            width,
          ),
    )
  },
})

import { defineCommand, option } from '../../command.ts'
import { dollars } from '../../money.ts'
import { operatorToken } from '../../operator/operator-api.ts'
import { cameOf, refundOf } from '../../operator/payment-views.ts'
import { table } from '../../table.ts'

export const cards = defineCommand({
  summary: 'List payments by card that wait for a decision, or those of an account',
  options: { account: option('--account <id>', 'all payments of this account, the newest first') },
  examples: ['agentctl operator cards', 'agentctl operator cards --account acc_4k2x9wq7m1z8c5v3b6n0'],
  async run(ctx, _, { account }) {
    const query = { account }
    const found = await ctx.api('GET /v1/operator/card-payments', { ...operatorToken(ctx), query })
    ctx.out.result(found, ({ payments }, width) =>
      payments.length === 0
        ? 'None.'
        : table(
            ['state', 'asked', 'came', 'refund', 'account', 'payment'],
            payments.map((payment) => [
              payment.state,
              dollars(payment.askedMicros),
              cameOf(payment) ?? 'as asked',
              refundOf(payment) ?? '-',
              payment.account ?? 'deleted',
              payment.id,
            ]),
            width,
          ),
    )
  },
})

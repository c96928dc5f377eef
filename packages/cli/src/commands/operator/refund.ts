import { defineCommand, option, required } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { parseDollars } from '../../money.ts'
import { operatorToken } from '../../operator/operator-api.ts'
import { describeCardPayment, describeChainPayment } from '../../operator/payment-views.ts'
import { reasonFor, reasonOption } from '../../operator/reason.ts'

export const refund = defineCommand({
  summary: 'Give a payment back',
  details:
    'A payment by card is given back by the processor, once, whole or in part. A payment on chain is taken from its account; you send it back, and say so: agentctl operator resolve PAYMENT --returned HASH',
  args: { payment: required('payment', 'pi_… for one by card, else as agentctl operator payments lists it') },
  options: { amount: option('--amount <dollars>', 'a part of a payment by card'), reason: reasonOption },
  examples: [
    `agentctl operator refund pi_3Q… --amount 10 --reason 'You paid twice.'`,
    `agentctl operator refund 8453:0x5e…:0 --reason 'As you asked for.'`,
  ],
  async run(ctx, { payment }, { amount, reason: given }) {
    const call = { ...operatorToken(ctx), params: { payment }, repeatable: true as const }
    if (payment.startsWith('pi_')) {
      const reason = await reasonFor(ctx, given)
      const body = {
        reason,
        ...(amount === undefined ? {} : { amountMicros: parseDollars(amount, '--amount') }),
      }
      const refunded = await ctx.api('POST /v1/operator/card-payments/:payment/refund', { ...call, body })
      return ctx.out.result(refunded, describeCardPayment)
    }
    if (amount !== undefined) {
      throw new Failure('usage', 'A payment on chain is given back whole', { fix: 'Leave out --amount.' })
    }
    const body = { reason: await reasonFor(ctx, given) }
    const taken = await ctx.api('POST /v1/operator/payments/:payment/refund', { ...call, body })
    ctx.out.result(taken, describeChainPayment)
    ctx.out.note(`Send it back, then: agentctl operator resolve ${payment} --returned HASH`)
  },
})

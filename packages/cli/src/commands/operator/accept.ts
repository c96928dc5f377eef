import { defineCommand, required } from '../../command.ts'
import { operatorToken } from '../../operator/operator-api.ts'
import { describeCardPayment } from '../../operator/payment-views.ts'

export const accept = defineCommand({
  summary: 'Credit what came by card, although something else was asked for',
  args: { payment: required('payment', 'as agentctl operator cards lists it') },
  examples: ['agentctl operator accept pi_3Q…'],
  async run(ctx, { payment }) {
    const credited = await ctx.api('POST /v1/operator/card-payments/:payment/credit', {
      ...operatorToken(ctx),
      params: { payment },
      repeatable: true,
    })
    ctx.out.result(credited, describeCardPayment)
  },
})

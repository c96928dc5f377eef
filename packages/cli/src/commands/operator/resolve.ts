import { defineCommand, option, required } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { operatorToken } from '../../operator/operator-api.ts'
import { describeChainPayment } from '../../operator/payment-views.ts'

export const resolve = defineCommand({
  summary: 'Credit an unclaimed payment to an account, or note that it was returned',
  args: { payment: required('payment', 'as agentctl operator payments lists it') },
  options: {
    account: option('--account <id>', 'whose payment it is'),
    returned: option('--returned <hash>', 'the transaction that sent it back'),
  },
  examples: [
    'agentctl operator resolve 8453:0x5e…:0 --account acc_4k2x9wq7m1z8c5v3b6n0',
    'agentctl operator resolve 8453:0x5e…:0 --returned 0x9c…',
  ],
  async run(ctx, { payment }, { account, returned }) {
    if ((account === undefined) === (returned === undefined)) {
      throw new Failure('usage', 'Say either --account ID or --returned HASH', { fix: 'Give one of them.' })
    }
    const resolved = await ctx.api('POST /v1/operator/payments/:payment/resolve', {
      ...operatorToken(ctx),
      params: { payment },
      repeatable: true,
      body: account === undefined ? { returnedBy: returned ?? '' } : { account },
    })
    ctx.out.result(resolved, describeChainPayment)
  },
})

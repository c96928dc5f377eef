import { defineCommand, required } from '../../command.ts'
import { operatorToken } from '../../operator/operator-api.ts'
import { reasonFor, reasonOption } from '../../operator/reason.ts'

export const retry = defineCommand({
  summary: 'Try work that is stuck again now',
  args: { operation: required('operation', 'op_…, as agentctl operator operations lists it') },
  options: { reason: reasonOption },
  examples: [`agentctl operator retry op_4k2x9wq7m1z8c5v3b6n0 --reason 'The provider is back.'`],
  async run(ctx, { operation }, { reason }) {
    const retried = await ctx.api('POST /v1/operator/operations/:operation/retry', {
      ...operatorToken(ctx),
      params: { operation },
      repeatable: true,
      body: { reason: await reasonFor(ctx, reason) },
    })
    ctx.out.result(retried, ({ id, kind, subject }) => `${id} is tried again: ${kind} of ${subject}`)
  },
})

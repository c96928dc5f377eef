import { defineCommand, flag, required } from '../../command.ts'
import { operatorToken } from '../../operator/operator-api.ts'
import { describeRequest } from '../../operator/request-views.ts'

export const answer = defineCommand({
  summary: 'Note that a request about personal data has been answered',
  args: { request: required('request', 'as agentctl operator rights lists it') },
  options: { refused: flag('--refused', 'it was refused, with a reason; else it was done') },
  examples: [
    'agentctl operator answer rrq_4k2x9wq7m1z8c5v3b6n0',
    'agentctl operator answer rrq_4k2… --refused',
  ],
  async run(ctx, { request }, { refused }) {
    const answered = await ctx.api('POST /v1/operator/rights-requests/:request/answer', {
      ...operatorToken(ctx),
      params: { request },
      repeatable: true,
      body: { outcome: refused ? 'refused' : 'done' },
    })
    ctx.out.result(answered, describeRequest)
  },
})

import type { StandingState } from '@agentctl/contract/operators.ts'
import { type Command, defineCommand, required } from '../command.ts'
import { describeAccount } from './account-view.ts'
import { operatorToken } from './operator-api.ts'
import { reasonFor, reasonOption } from './reason.ts'

/** A command that puts an account into a standing. */
export const standingCommand = (
  state: StandingState,
  { word, summary, details }: { word: string; summary: string; details: string },
): Command =>
  defineCommand({
    summary,
    details,
    args: { account: required('account', 'acc_…, as agentctl operator find shows it') },
    options: { reason: reasonOption },
    examples: [`agentctl operator ${word} acc_4k2x9wq7m1z8c5v3b6n0 --reason 'Port scans from its machines.'`],
    async run(ctx, { account }, { reason }) {
      const found = await ctx.api('POST /v1/operator/accounts/:account/standing', {
        ...operatorToken(ctx),
        params: { account },
        repeatable: true,
        body: { state, reason: await reasonFor(ctx, reason) },
      })
      ctx.out.result(found, describeAccount)
    },
  })

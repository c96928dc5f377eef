import { defineCommand, duration } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { dollars } from '../../money.ts'
import { pairs } from '../../table.ts'
import { exactly, roughly } from '../../times.ts'

const EMPTY = 'nothing to burn: agents rest until a deposit'

export const balance = defineCommand({
  summary: 'Show credits, what burns an hour, and how long they last',
  options: {
    minRunway: duration('--min-runway <time>', 'exit 5 if they last less than this, such as 72h'),
  },
  examples: [
    'agentctl billing balance',
    'agentctl billing balance --min-runway 72h --quiet || page-somebody',
  ],
  async run(ctx, _, { minRunway }) {
    const found = await ctx.api('GET /v1/billing/balance')
    const { runwaySeconds } = found
    // Where nothing burns, any credit lasts; but without any, agents are suspended, and that is why nothing burns.
    const isEmpty = BigInt(found.creditsMicros) <= BigInt(found.heldMicros)
    ctx.out.result(found, ({ creditsMicros, heldMicros, hourlyMicros, suspendsAt }) =>
      pairs([
        ['credits', dollars(creditsMicros)],
        ['held', heldMicros === '0' ? null : dollars(heldMicros)],
        ['burns', hourlyMicros === '0' ? 'nothing' : `${dollars(hourlyMicros)} an hour`],
        [
          'lasts',
          runwaySeconds !== null ? roughly(runwaySeconds) : isEmpty ? EMPTY : 'as long as nothing burns',
        ],
        // By the clock of the service, which the one here may not follow.
        ['suspends', suspendsAt && `in ${roughly(runwaySeconds ?? 0)} (${suspendsAt})`],
      ]),
    )
    if (minRunway === undefined) return
    if (runwaySeconds === null ? !isEmpty : runwaySeconds >= minRunway) return
    const why = runwaySeconds === null ? 'There are no credits' : `The credits last ${exactly(runwaySeconds)}`
    throw new Failure('insufficient_credits', `${why}, less than ${exactly(minRunway)}`, {
      next: ['agentctl billing deposit 25'],
    })
  },
})

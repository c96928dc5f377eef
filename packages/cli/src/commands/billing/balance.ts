import { defineCommand, duration } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { dollars } from '../../money.ts'
import { pairs } from '../../table.ts'
import { relative, roughly } from '../../times.ts'

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
    const now = new Date()
    ctx.out.result(found, ({ creditsMicros, heldMicros, hourlyMicros, suspendsAt }) =>
      pairs([
        ['credits', dollars(creditsMicros)],
        ['held', heldMicros === '0' ? null : dollars(heldMicros)],
        ['burns', hourlyMicros === '0' ? 'nothing' : `${dollars(hourlyMicros)} an hour`],
        ['lasts', runwaySeconds === null ? 'as long as nothing burns' : roughly(runwaySeconds)],
        ['suspends', suspendsAt && `${relative(suspendsAt, now)} (${suspendsAt})`],
      ]),
    )
    if (minRunway === undefined) return
    // Where nothing burns, any credit lasts; but without any, agents are suspended, and that is why nothing burns.
    const isEmpty = BigInt(found.creditsMicros) <= BigInt(found.heldMicros)
    if (runwaySeconds === null ? !isEmpty : runwaySeconds >= minRunway) return
    const why = runwaySeconds === null ? 'There are no credits' : `The credits last ${roughly(runwaySeconds)}`
    throw new Failure('insufficient_credits', `${why}, less than ${roughly(minRunway)}`, {
      next: ['agentctl billing deposit 25'],
    })
  },
})

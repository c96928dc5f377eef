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
    // Where nothing burns, any credit lasts.
    if (minRunway === undefined || runwaySeconds === null || runwaySeconds >= minRunway) return
    throw new Failure(
      'insufficient_credits',
      `The credits last ${roughly(runwaySeconds)}, less than ${roughly(minRunway)}`,
      { next: ['agentctl billing deposit 25'] },
    )
  },
})

import type { ResponseOf } from '@agentctl/contract/api.ts'
import { amountOrNone } from '../../amount-option.ts'
import { defineCommand } from '../../command.ts'
import { dollars } from '../../money.ts'
import { pairs } from '../../table.ts'

export const limits = defineCommand({
  summary: 'Show or change spend limits',
  details:
    'Soft limits send a notice. A hard hourly limit refuses what would pass it; a hard monthly limit stops agents ' +
    'when it is reached. Amounts are dollars; none takes a limit away.',
  options: {
    softHourlyMicros: amountOrNone('soft-hourly', 'notice above so much an hour'),
    softMonthlyMicros: amountOrNone('soft-monthly', 'notice above so much a month'),
    hardHourlyMicros: amountOrNone('hard-hourly', 'never more than so much an hour'),
    hardMonthlyMicros: amountOrNone('hard-monthly', 'never more than so much a month'),
  },
  examples: [
    'agentctl billing limits',
    'agentctl billing limits --soft-monthly 20 --hard-monthly 50',
    'agentctl billing limits --hard-hourly none',
  ],
  async run(ctx, _, flags) {
    const changes = Object.entries(flags).filter(([, value]) => value !== undefined)
    const found =
      changes.length === 0
        ? await ctx.api('GET /v1/billing/limits')
        : await ctx.api('PATCH /v1/billing/limits', { body: Object.fromEntries(changes) })
    ctx.out.result(found, describe)
  },
})

const describe = (limits: ResponseOf<'GET /v1/billing/limits'>): string => {
  const shown = (micros: string | null) => (micros === null ? 'none' : dollars(micros))
  return pairs([
    ['soft hourly', shown(limits.softHourlyMicros)],
    ['soft monthly', shown(limits.softMonthlyMicros)],
    ['hard hourly', shown(limits.hardHourlyMicros)],
    ['hard monthly', shown(limits.hardMonthlyMicros)],
  ])
}

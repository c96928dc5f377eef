import { defineCommand } from '../../command.ts'
import { dollars } from '../../money.ts'
import { operatorToken } from '../../operator/operator-api.ts'
import { table } from '../../table.ts'

export const warm = defineCommand({
  summary: 'Show the blank machines that are kept ready, and what they cost',
  examples: ['agentctl operator warm'],
  async run(ctx) {
    const found = await ctx.api('GET /v1/operator/warm-machines', operatorToken(ctx))
    ctx.out.result(found, ({ sizes, spentMicros, budgetMicros }, width) => {
      const rows = sizes.map((one) => [
        one.size,
        String(one.wanted),
        String(one.warm),
        String(one.making),
        String(one.leaving),
        dollars(one.monthlyMicros),
        one.held ? `${one.held.reason.replaceAll('_', ' ')} until ${one.held.until}` : '-',
      ])
      const budget = budgetMicros === null ? 'without a limit' : `of ${dollars(budgetMicros)}`
      return (
        `${table(['size', 'wanted', 'warm', 'making', 'leaving', 'a month', 'held'], rows, width)}\n\n` +
        `This month: ${dollars(spentMicros)} ${budget}.`
      )
    })
  },
})

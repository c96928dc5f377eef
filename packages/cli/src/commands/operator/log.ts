import { defineCommand } from '../../command.ts'
import { operatorToken } from '../../operator/operator-api.ts'
import { table } from '../../table.ts'

export const log = defineCommand({
  summary: 'Show what operators have done and looked at; kept a year',
  examples: ['agentctl operator log'],
  async run(ctx) {
    const found = await ctx.api('GET /v1/operator/acts', operatorToken(ctx))
    ctx.out.result(found, ({ acts }, width) =>
      table(
        ['at', 'operator', 'act', 'outcome', 'about', 'why'],
        acts.map((one) => [
          one.at,
          one.operator,
          one.act,
          one.outcome,
          one.subject || '-',
          one.reason ?? '-',
        ]),
        width,
      ),
    )
  },
})

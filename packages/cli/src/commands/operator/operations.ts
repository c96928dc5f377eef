import { defineCommand } from '../../command.ts'
import { operatorToken } from '../../operator/operator-api.ts'
import { table } from '../../table.ts'
import { relative } from '../../times.ts'

export const operations = defineCommand({
  summary: 'List durable work that has failed again and again',
  details: 'agentctl operator retry tries one again now.',
  examples: ['agentctl operator operations'],
  async run(ctx) {
    const found = await ctx.api('GET /v1/operator/operations', operatorToken(ctx))
    ctx.out.result(found, (answer, width) =>
      answer.operations.length === 0
        ? 'None is stuck.'
        : table(
            ['kind', 'subject', 'step', 'attempts', 'begun', 'last error', 'operation'],
            answer.operations.map((one) => [
              one.kind,
              one.subject,
              one.step,
              String(one.attempts),
              relative(one.createdAt, new Date()),
              one.lastError ?? '-',
              one.id,
            ]),
            width,
          ),
    )
  },
})

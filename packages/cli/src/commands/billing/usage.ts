import type { ResponseOf } from '@agentctl/contract/api.ts'
import { type Bar, barChart } from '../../bar-chart.ts'
import { choicesOf, defineCommand, option } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { dollars } from '../../money.ts'
import { readMoment, roughly } from '../../times.ts'

type Usage = ResponseOf<'GET /v1/billing/usage'>
type Row = Usage['rows'][number]

const groups = ['day', 'namespace', 'agent'] as const
const DAY_MS = 86_400_000
/** More days than these would scroll away; then only those with charges are shown. */
const DAYS_MAX = 62

export const usage = defineCommand({
  summary: 'Show what was charged, by day, namespace and agent, with a forecast',
  details: 'This month unless told. With -n, of that namespace only.',
  options: {
    since: option('--since <time>', 'from then on: 7d, or 2026-01-31'),
    until: option('--until <time>', 'up to then'),
    by: choicesOf('--by <group...>', 'what to add up by; day and agent unless told', groups),
  },
  examples: [
    'agentctl billing usage',
    'agentctl billing usage --since 30d --by namespace',
    "agentctl billing usage --json | jq -r '.rows[] | [.day, .agent, .chargedMicros] | @tsv'",
  ],
  async run(ctx, _, { since, until, by }) {
    const query = {
      since: readMoment('--since', since),
      until: readMoment('--until', until),
      namespace: ctx.explicitNamespace,
    }
    if (query.since && query.until && query.since >= query.until) {
      throw new Failure('usage', '--since has to be before --until', { fix: 'Correct the times.' })
    }
    const found = await ctx.api('GET /v1/billing/usage', { query })
    const shown = by.length > 0 ? by : (['day', 'agent'] as const)
    ctx.out.result(found, (answer) => {
      const parts = [headline(answer)]
      if (answer.rows.length > 0) {
        for (const group of shown) {
          const chart = barChart(bars[group](answer), (text) => ctx.out.style('cyan', text))
          parts.push(`${group.toUpperCase()}\n${chart}`)
        }
      }
      return parts.join('\n\n')
    })
  },
})

const headline = ({ since, until, totalMicros, forecastMicros, creditsEndAt }: Usage): string =>
  `${dollars(totalMicros)} from ${since.slice(0, 10)} to ${until.slice(0, 10)}.\n` +
  `If all goes on as it is, ${creditsEndAt === null ? '' : `credits end on ${creditsEndAt.slice(0, 10)}, and `}` +
  `this month comes to ${dollars(forecastMicros)}.`

const bars: Record<(typeof groups)[number], (usage: Usage) => Bar[]> = {
  day({ rows }) {
    const sums = sumBy(rows, ({ day }) => day)
    const days = [...sums.keys()].sort()
    const first = Date.parse(days[0] ?? '')
    const last = Date.parse(days.at(-1) ?? '')
    const count = (last - first) / DAY_MS + 1
    const all =
      count > DAYS_MAX
        ? days
        : Array.from({ length: count }, (_, index) =>
            new Date(first + index * DAY_MS).toISOString().slice(0, 10),
          )
    return all.map((day) => {
      const { amount } = sums.get(day) ?? { amount: 0n }
      return { label: day, amount, text: dollars(String(amount)) }
    })
  },
  namespace: ({ rows }) => ranked(sumBy(rows, ({ namespace }) => namespace ?? '-')),
  agent: ({ rows }) =>
    ranked(
      sumBy(rows, ({ agent, namespace, subject }) =>
        agent === null ? subject : namespace === null ? agent : `${namespace}/${agent}`,
      ),
    ),
}

interface Sum {
  amount: bigint
  seconds: number
}

function sumBy(rows: Row[], labelOf: (row: Row) => string): Map<string, Sum> {
  const sums = new Map<string, Sum>()
  for (const row of rows) {
    const before = sums.get(labelOf(row)) ?? { amount: 0n, seconds: 0 }
    sums.set(labelOf(row), {
      amount: before.amount + BigInt(row.chargedMicros),
      seconds: before.seconds + row.seconds,
    })
  }
  return sums
}

/** The dearest first. */
const ranked = (sums: Map<string, Sum>): Bar[] =>
  [...sums]
    .sort(([, one], [, other]) => (one.amount < other.amount ? 1 : one.amount > other.amount ? -1 : 0))
    .map(([label, { amount, seconds }]) => ({
      label,
      amount,
      text: `${dollars(String(amount))}  ${roughly(seconds).padStart(7)}`,
    }))

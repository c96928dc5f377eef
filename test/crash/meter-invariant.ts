import type { World } from './world.ts'

interface Interval {
  id: bigint
  subject: string
  account: string
  rate: bigint
  carry: bigint
  from: number
  to: number | null
  openedUpto: number
}

interface Run {
  since: number
  upto: number
  chargedMicros: bigint
}

interface Charge {
  upto: number
  account: string
  micros: bigint
  balanceMicros: bigint
}

/**
 * Reckoned anew from the intervals, in another language than the one that charged: runs follow each other without gap
 * or overlap, each took what had burnt in it or all that was there, and subjects lose no part of a micro-USD between
 * intervals.
 */
export async function chargesAreExact({ sql }: World): Promise<string[]> {
  const seconds = (column: string) => sql`extract(epoch from ${sql(column)})::float8`
  const intervals = await sql<Interval[]>`
    select id, subject, ledger_account_id as account, rate_micros as rate, carry, ${seconds('from_at')} as from,
      ${seconds('to_at')} as to, ${seconds('opened_upto')} as "openedUpto"
    from meters order by subject, id`
  const runs = await sql<Run[]>`
    select ${seconds('since')} as since, ${seconds('upto')} as upto, charged_micros as "chargedMicros"
    from meter_runs order by upto`
  const charges = await sql<Charge[]>`
    select ${seconds('at')} as upto, e.ledger_account_id as account, -e.amount_micros as micros,
      e.balance_micros as "balanceMicros"
    from ledger_transactions t join ledger_entries e on e.transaction_key = t.key and e.sequence is not null
    where t.key like 'meter:%'`
  const [watermark] = await sql<{ upto: number }[]>`select ${seconds('upto')} as upto from meter_watermark`
  return [
    ...gaps(runs, watermark?.upto ?? 0),
    ...drifts(intervals),
    ...runs.flatMap((run) => wrongCharges(run, intervals, charges)),
  ]
}

function gaps(runs: Run[], watermark: number): string[] {
  let end = 0
  const found: string[] = []
  for (const { since, upto } of runs) {
    if (since !== end) found.push(`a run begins at ${since}, not where the one before ended, at ${end}`)
    end = upto
  }
  return end === watermark ? found : [...found, `the last run ended at ${end}, the watermark is ${watermark}`]
}

/** What an interval leaves over goes on in the next one of its subject. */
function drifts(intervals: Interval[]): string[] {
  return [...Map.groupBy(intervals, ({ subject }) => subject)].flatMap(([subject, own]) =>
    own.slice(1).flatMap((interval, index) => {
      const before = own[index]
      if (!before || before.to === null) return [`${subject} burns twice at the same time`]
      const left = (before.carry + before.rate * BigInt(before.to - before.from)) % 3600n
      return [
        ...(interval.from < before.to ? [`${subject} burns twice at the same time`] : []),
        ...(interval.carry === left
          ? []
          : [`${subject} begins with ${interval.carry}, but ${left} were left`]),
      ]
    }),
  )
}

function burntBy(interval: Interval, moment: number): bigint {
  const end = Math.min(moment, interval.to ?? moment)
  return (interval.carry + interval.rate * BigInt(Math.max(0, end - interval.from))) / 3600n
}

function wrongCharges(run: Run, intervals: Interval[], charges: Charge[]): string[] {
  const taken = charges.filter(({ upto }) => upto === run.upto)
  const accounts = new Set([...intervals, ...taken].map(({ account }) => account))
  const wrong = [...accounts].flatMap((account) => {
    const due = intervals
      // Opened after an earlier run: the first one that sees it charges it from its beginning.
      .filter((one) => one.account === account && one.openedUpto < run.upto)
      .reduce((sum, one) => {
        const before = one.openedUpto >= run.since ? 0n : burntBy(one, run.since)
        return sum + burntBy(one, run.upto) - before
      }, 0n)
    const charge = taken.find((one) => one.account === account)
    const micros = charge?.micros ?? 0n
    // Less only where nothing was left.
    const isEmpty = charge ? charge.balanceMicros === 0n : hadNothing(charges, account, run.upto)
    return micros === due || (micros < due && isEmpty)
      ? []
      : [`${account} was charged ${micros} for the run up to ${run.upto}, in which ${due} burnt`]
  })
  const total = taken.reduce((sum, { micros }) => sum + micros, 0n)
  return total === run.chargedMicros ? wrong : [...wrong, `a run took ${total} and says ${run.chargedMicros}`]
}

/** The last charge before had taken all. */
function hadNothing(charges: Charge[], account: string, before: number): boolean {
  const last = charges
    .filter((one) => one.account === account && one.upto < before)
    .sort((one, other) => other.upto - one.upto)[0]
  return last?.balanceMicros === 0n
}

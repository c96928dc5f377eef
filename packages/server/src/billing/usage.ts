import type { ResponseOf } from '@agentctl/contract/api.ts'
import { startOfMonth } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import { Problem } from '../platform/problem.ts'
import { zeroAtOf } from './runway.ts'
import * as store from './store.ts'

type Told = ResponseOf<'GET /v1/billing/usage'>
/** By subject: what a subject is, only the room that meters it knows. */
type Usage = Omit<Told, 'rows'> & { rows: Omit<Told['rows'][number], 'agent'>[] }

export interface UsageRange {
  since?: string | undefined
  until?: string | undefined
  namespace?: string | undefined
}

const DAY_MS = 86_400_000
const DAYS_MAX = 400
const HOUR_MS = 3_600_000n

/** What burnt by subject and day (in UTC), this month unless told, and what the month will come to. */
export async function usageOf(tx: Sql, accountId: string, wanted: UsageRange, now: Date): Promise<Usage> {
  const monthBegin = startOfMonth(now)
  const monthEnd = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1))
  const since = wanted.since ? new Date(wanted.since) : monthBegin
  const until = wanted.until && new Date(wanted.until) < now ? new Date(wanted.until) : now
  if (until.getTime() - since.getTime() > DAYS_MAX * DAY_MS) {
    throw new Problem('invalid_request', `query.since: ask for at most ${DAYS_MAX} days at once`)
  }
  const range = { since: since.toISOString(), until: until.toISOString() }
  const ledgerAccount = await store.findLedgerAccount(tx, accountId)
  if (!ledgerAccount || until <= since) {
    return { ...range, totalMicros: '0', forecastMicros: '0', creditsEndAt: null, rows: [] }
  }
  const namespace = wanted.namespace ?? null
  const rows = await store.listUsage(tx, ledgerAccount, { since, until, namespace })
  const month = await store.listUsage(tx, ledgerAccount, { since: monthBegin, until: now, namespace })
  const hourlyMicros = await store.findRateOf(tx, ledgerAccount, namespace)
  const zeroAt = await zeroAtOf(tx, accountId, now)
  // What is suspended burns no longer.
  const creditsEndAt = zeroAt && zeroAt < monthEnd ? later(zeroAt, now) : null
  const aheadMs = (creditsEndAt ?? monthEnd).getTime() - now.getTime()
  const ahead = (hourlyMicros * BigInt(aheadMs)) / HOUR_MS
  return {
    ...range,
    totalMicros: String(sumOf(rows)),
    forecastMicros: String(sumOf(month) + ahead),
    creditsEndAt: creditsEndAt?.toISOString() ?? null,
    rows: rows.map(({ micros, ...row }) => ({ ...row, chargedMicros: String(micros) })),
  }
}

const sumOf = (rows: readonly { micros: bigint }[]): bigint => rows.reduce((sum, row) => sum + row.micros, 0n)

const later = (one: Date, other: Date): Date => (one > other ? one : other)

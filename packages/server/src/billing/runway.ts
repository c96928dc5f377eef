import type { Sql } from '../platform/db.ts'
import { Problem } from '../platform/problem.ts'
import { balanceOf } from './balance.ts'
import { affords, requireRunway, requireWithinLimits } from './limits.ts'
import { deleteWarning, findWarning, listWarned, putWarning } from './limits-store.ts'
import { listEnding, listFunded, listUnpaid } from './runway-store.ts'
import { findBurn, findLedgerAccount, findRate } from './store.ts'

const HOUR_MS = 3_600_000
/** Hours of runway at which an account is told. */
const WARNED_AT_HOURS = [1, 24, 72] as const
const ABOUT = 'runway'

/** What is free to spend now, and what burns an hour. */
export async function fundsOf(
  tx: Sql,
  accountId: string,
  now: Date,
): Promise<{ freeMicros: bigint; rateMicros: bigint }> {
  const balance = await balanceOf(tx, accountId, now)
  return {
    freeMicros: BigInt(balance.creditsMicros) - BigInt(balance.heldMicros),
    rateMicros: BigInt(balance.hourlyMicros),
  }
}

/** What a subject burns an hour at this moment. */
export function rateOf(tx: Sql, subject: string): Promise<bigint> {
  return findRate(tx, subject)
}

/**
 * Refuses to have a subject burn a rate that the account's credits or its limits do not allow. `comingMicros` is what
 * others will burn soon, and do not yet.
 */
export async function requireMeans(
  tx: Sql,
  wanted: { accountId: string; subject: string; hourlyMicros: bigint; comingMicros: bigint; now: Date },
  what: string,
): Promise<void> {
  const { freeMicros, rateMicros } = await fundsOf(tx, wanted.accountId, wanted.now)
  const others = rateMicros - (await findRate(tx, wanted.subject)) + wanted.comingMicros
  const then = others + wanted.hourlyMicros
  await requireWithinLimits(tx, { accountId: wanted.accountId, rateMicros: then, now: wanted.now })
  requireRunway({ freeMicros, rateMicros: then }, what)
}

/** The same as a question: whether the account could pay for so much more an hour. */
export async function canTakeOn(tx: Sql, accountId: string, moreMicros: bigint, now: Date): Promise<boolean> {
  const { freeMicros, rateMicros } = await fundsOf(tx, accountId, now)
  if (!affords(freeMicros, rateMicros + moreMicros)) return false
  try {
    await requireWithinLimits(tx, { accountId, rateMicros: rateMicros + moreMicros, now })
    return true
  } catch (error) {
    if (error instanceof Problem) return false
    throw error
  }
}

/** When the credits of an account end if everything goes on as it is; null when nothing burns. */
export async function zeroAtOf(tx: Sql, accountId: string, now: Date): Promise<Date | null> {
  const ledgerAccount = await findLedgerAccount(tx, accountId)
  return ledgerAccount === undefined ? null : (await findBurn(tx, ledgerAccount, now)).zeroAt
}

/** Subjects that burn on accounts which have nothing left, the longest waiting first. */
export function listUnpaidSubjects(
  tx: Sql,
  limit: number,
): Promise<{ subject: string; accountId: string; depletedAt: Date }[]> {
  return listUnpaid(tx, limit)
}

/** Which of these accounts have something to spend. */
export function fundedAmong(tx: Sql, accountIds: readonly string[]): Promise<string[]> {
  return accountIds.length === 0 ? Promise.resolve([]) : listFunded(tx, accountIds)
}

export interface RunwayWarning {
  accountId: string
  hours: number
  zeroAt: Date
}

/** Accounts that came below 72, 24 or 1 hours of runway since the last look: each is told once on its way down. */
export async function newRunwayWarnings(tx: Sql, now: Date): Promise<RunwayWarning[]> {
  const within = new Date(now.getTime() + Math.max(...WARNED_AT_HOURS) * HOUR_MS)
  const ending = await listEnding(tx, within)
  const warnings: RunwayWarning[] = []
  for (const { accountId, zeroAt } of ending) {
    const left = zeroAt.getTime() - now.getTime()
    // They have ended, which is told when agents are suspended for it.
    if (left <= 0) continue
    const hours = WARNED_AT_HOURS.find((level) => left <= level * HOUR_MS)
    if (hours === undefined) continue
    const before = await findWarning(tx, accountId, ABOUT)
    if (before !== String(hours)) await putWarning(tx, accountId, ABOUT, String(hours))
    // After a deposit it may be more again, of which nobody has to be warned.
    if (before === undefined || Number(before) > hours) warnings.push({ accountId, hours, zeroAt })
  }
  const endingIds = new Set(ending.map(({ accountId }) => accountId))
  for (const accountId of await listWarned(tx, ABOUT)) {
    if (!endingIds.has(accountId)) await deleteWarning(tx, accountId, ABOUT)
  }
  return warnings
}

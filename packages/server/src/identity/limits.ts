import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import { deleteLatestTurn, listTurnTimes, type TurnRow, takeTurnRow } from './limit-store.ts'

export interface Limit {
  name: string
  /** Turns within the window. */
  max: number
  windowSeconds: number
  /** Pause after the first turn; it doubles with each further one. */
  cooldownSeconds?: number
  /** Once all turns are used, one more is let through this long after the latest, whatever the window. */
  lockSeconds?: number
}

/** How many codes somebody may have sent, and how often one may guess. */
export const limits = {
  sendsPerAddress: { name: 'send-address', max: 5, windowSeconds: 600 },
  sendsPerAddressDaily: { name: 'send-address-day', max: 20, windowSeconds: 86_400 },
  sendsPerPhone: { name: 'send-phone', max: 5, windowSeconds: 86_400, cooldownSeconds: 30 },
  sendsPerRange: { name: 'send-range', max: 10, windowSeconds: 3_600 },
  checksPerAddress: { name: 'check-address', max: 30, windowSeconds: 600 },
  /** A re-send never resets it. It locks codes only: wallets and live sessions go on, so it is no weapon. */
  failuresPerPhone: { name: 'fail-phone', max: 10, windowSeconds: 86_400, lockSeconds: 3_600 },
  /** A key cannot be guessed; this only bounds the rows and the questions to the chain's node. */
  walletPerAddress: { name: 'wallet-address', max: 120, windowSeconds: 600 },
} as const satisfies Record<string, Limit>

/**
 * Takes a turn, or says that there is none. Meant for a transaction of its own that ends before anything is looked at,
 * so that no later failure gives it back. `subject` is a keyed hash.
 */
export async function takeTurn(tx: Sql, limit: Limit, subject: string, now: Date): Promise<TurnRow> {
  const turn = await takeTurnRow(tx, {
    key: keyOf(limit, subject),
    max: limit.max,
    cooldownSeconds: limit.cooldownSeconds ?? null,
    lockSeconds: limit.lockSeconds ?? null,
    now,
    windowStart: secondsAfter(now, -limit.windowSeconds),
    expiresAt: secondsAfter(now, limit.windowSeconds),
  })
  return turn ?? { allowed: false, times: [] }
}

/** Whether the limit has no turn now, without taking one. */
export async function isUsedUp(tx: Sql, limit: Limit, subject: string, now: Date): Promise<boolean> {
  const windowStart = secondsAfter(now, -limit.windowSeconds)
  const times = (await listTurnTimes(tx, keyOf(limit, subject))).filter((time) => time > windowStart)
  const latest = times.at(-1)
  if (times.length < limit.max || !latest) return false
  return limit.lockSeconds === undefined || secondsAfter(latest, limit.lockSeconds) > now
}

/** Takes the latest turn back, for a try that was no failure after all. */
export async function giveTurnBack(tx: Sql, limit: Limit, subject: string): Promise<void> {
  await deleteLatestTurn(tx, keyOf(limit, subject))
}

/** When the next turn can be had, seen from a turn that was just asked for. */
export function nextTurnAt(limit: Limit, times: readonly Date[], now: Date): Date {
  const [oldest] = times
  const latest = times.at(-1)
  if (!oldest || !latest) return now
  if (times.length >= limit.max) return new Date(oldest.getTime() + limit.windowSeconds * 1000)
  return new Date(latest.getTime() + (limit.cooldownSeconds ?? 0) * 2 ** (times.length - 1) * 1000)
}

function keyOf(limit: Limit, subject: string): string {
  return `${limit.name}:${subject}`
}

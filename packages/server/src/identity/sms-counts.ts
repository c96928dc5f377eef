import type { Sql } from '../platform/db.ts'
import { addConversion, addSend, removeSend, sumCounts, sumSends } from './sms-count-store.ts'

const STEP_MS = 300_000
const DAY_MS = 86_400_000
/** The breaker: below this share of codes that came back, over at least so many sends, somebody is pumping. */
const CONVERSION_MIN = 0.2
const SENDS_MIN = 50
const LOOK_BACK_MS = 6 * 3_600_000

/** Counts a code that is about to be paid for; the answer is how many there were within a day, in all countries. */
export async function countSend(tx: Sql, country: string, now: Date): Promise<number> {
  await addSend(tx, country, stepOf(now))
  return sentWithinDay(tx, now)
}

/** How many codes were sent within a day, in all countries. */
export const sentWithinDay = (tx: Sql, now: Date): Promise<number> => sumSends(tx, before(now, DAY_MS))

export async function uncountSend(tx: Sql, country: string, now: Date): Promise<void> {
  await removeSend(tx, country, stepOf(now))
}

/** Counted where its send was counted. */
export async function countConversion(tx: Sql, country: string, sentAt: Date): Promise<void> {
  await addConversion(tx, country, stepOf(sentAt))
}

/**
 * Whether next to nobody in this country types the codes in. Codes that somebody may still be typing do not count, or
 * a good morning would look like an attack; it closes again by itself as the sends grow old.
 */
export async function isPumped(tx: Sql, country: string, now: Date): Promise<boolean> {
  const within = { after: before(now, LOOK_BACK_MS), until: before(now, 2 * STEP_MS) }
  const { sent, converted } = await sumCounts(tx, country, within)
  return sent >= SENDS_MIN && converted < sent * CONVERSION_MIN
}

function stepOf(time: Date): Date {
  return new Date(Math.floor(time.getTime() / STEP_MS) * STEP_MS)
}

function before(time: Date, ms: number): Date {
  return new Date(time.getTime() - ms)
}

import type { Sql } from '../platform/db.ts'

const STEP_MS = 300_000
const DAY_MS = 86_400_000
/** The breaker: below this share of codes that came back, over at least so many sends, somebody is pumping. */
const CONVERSION_MIN = 0.2
const SENDS_MIN = 50
const LOOK_BACK_MS = 6 * 3_600_000

/** Counts a code that is about to be paid for; the answer is how many there were within a day, in all countries. */
export async function countSend(tx: Sql, country: string, now: Date): Promise<number> {
  await tx`
    insert into sms_counts as c (country, at, sent) values (${country}, ${stepOf(now)}, 1)
    on conflict (at, country) do update set sent = c.sent + 1`
  const [row] = await tx<{ sent: number }[]>`
    select coalesce(sum(sent), 0)::int as sent from sms_counts where at > ${before(now, DAY_MS)}`
  return row?.sent ?? 0
}

export async function uncountSend(tx: Sql, country: string, now: Date): Promise<void> {
  await tx`
    update sms_counts set sent = greatest(sent - 1, 0) where country = ${country} and at = ${stepOf(now)}`
}

/** Counted where its send was counted. */
export async function countConversion(tx: Sql, country: string, sentAt: Date): Promise<void> {
  await tx`
    update sms_counts set converted = converted + 1 where country = ${country} and at = ${stepOf(sentAt)}`
}

/**
 * Whether next to nobody in this country types the codes in. Codes that somebody may still be typing do not count, or
 * a good morning would look like an attack; it closes again by itself as the sends grow old.
 */
export async function isPumped(tx: Sql, country: string, now: Date): Promise<boolean> {
  const [row] = await tx<{ sent: number; converted: number }[]>`
    select coalesce(sum(sent), 0)::int as sent, coalesce(sum(converted), 0)::int as converted from sms_counts
    where country = ${country} and at > ${before(now, LOOK_BACK_MS)} and at <= ${before(now, 2 * STEP_MS)}`
  return row !== undefined && row.sent >= SENDS_MIN && row.converted < row.sent * CONVERSION_MIN
}

function stepOf(time: Date): Date {
  return new Date(Math.floor(time.getTime() / STEP_MS) * STEP_MS)
}

function before(time: Date, ms: number): Date {
  return new Date(time.getTime() - ms)
}

import type { Sql } from '../platform/db.ts'

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

export interface Turn {
  allowed: boolean
  /** Turns that count, oldest first, this one included where it was allowed. */
  times: Date[]
}

/**
 * Takes a turn, or says that there is none, in one statement: of two that come at once only one gets the last turn.
 * Meant for a transaction of its own that ends before anything is looked at, so that no later failure gives it back.
 * `subject` is a keyed hash.
 */
export async function takeTurn(tx: Sql, limit: Limit, subject: string, now: Date): Promise<Turn> {
  const { max, windowSeconds, cooldownSeconds = null, lockSeconds = null } = limit
  const windowStart = new Date(now.getTime() - windowSeconds * 1000)
  const expiresAt = new Date(now.getTime() + windowSeconds * 1000)
  const [turn] = await tx<Turn[]>`
    insert into login_limits as l (key, times, last_allowed, expires_at)
    values (${keyOf(limit, subject)}, array[${now}::timestamptz], true, ${expiresAt})
    on conflict (key) do update set (times, last_allowed, expires_at) = (
      select
        case when turn.allowed
          then (kept || ${now}::timestamptz)[greatest(1, cardinality(kept) + 2 - ${max}::int):] else kept end,
        turn.allowed,
        case when turn.allowed then ${expiresAt}::timestamptz else l.expires_at end
      from (select array(select t from unnest(l.times) as t where t > ${windowStart} order by t) as kept) as still,
        lateral (select coalesce(
          (cardinality(kept) < ${max}::int
            or kept[cardinality(kept)] + make_interval(secs => ${lockSeconds}::int) <= ${now}::timestamptz)
          and (${cooldownSeconds}::int is null or cardinality(kept) = 0
            or kept[cardinality(kept)] + make_interval(secs => ${cooldownSeconds}::int * 2 ^ (cardinality(kept) - 1))
              <= ${now}::timestamptz),
          false) as allowed) as turn
    )
    returning last_allowed as allowed, times`
  return turn ?? { allowed: false, times: [] }
}

/** Whether the limit has no turn now, without taking one. */
export async function isUsedUp(tx: Sql, limit: Limit, subject: string, now: Date): Promise<boolean> {
  const [row] = await tx<{ times: Date[] }[]>`
    select times from login_limits where key = ${keyOf(limit, subject)}`
  const times = (row?.times ?? []).filter(
    (time) => time.getTime() > now.getTime() - limit.windowSeconds * 1000,
  )
  const latest = times.at(-1)
  if (times.length < limit.max || !latest) return false
  return limit.lockSeconds === undefined || latest.getTime() + limit.lockSeconds * 1000 > now.getTime()
}

/** Takes the latest turn back, for a try that was no failure after all. */
export async function giveTurnBack(tx: Sql, limit: Limit, subject: string): Promise<void> {
  await tx`
    update login_limits set times = times[1:cardinality(times) - 1] where key = ${keyOf(limit, subject)}`
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

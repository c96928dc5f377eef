import type { Sql } from '../platform/db.ts'

export interface TurnRow {
  allowed: boolean
  /** Turns that count, oldest first, this one included where it was allowed. */
  times: Date[]
}

/** Takes a turn, or says that there is none, in one statement: of two that come at once only one gets the last turn. */
export async function takeTurnRow(
  tx: Sql,
  turn: {
    key: string
    max: number
    cooldownSeconds: number | null
    lockSeconds: number | null
    now: Date
    windowStart: Date
    expiresAt: Date
  },
): Promise<TurnRow | undefined> {
  const { key, max, cooldownSeconds, lockSeconds, now, windowStart, expiresAt } = turn
  const [row] = await tx<TurnRow[]>`
    insert into login_limits as l (key, times, last_allowed, expires_at)
    values (${key}, array[${now}::timestamptz], true, ${expiresAt})
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
  return row
}

/** Oldest first, those included that do not count any more. */
export async function listTurnTimes(tx: Sql, key: string): Promise<Date[]> {
  const [row] = await tx<{ times: Date[] }[]>`select times from login_limits where key = ${key}`
  return row?.times ?? []
}

export async function deleteLatestTurn(tx: Sql, key: string): Promise<void> {
  await tx`update login_limits set times = times[1:cardinality(times) - 1] where key = ${key}`
}

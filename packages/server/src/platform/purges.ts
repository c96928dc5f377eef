import { secondsAfter } from './clock.ts'
import type { Sql } from './db.ts'
import { DAY_SECONDS, type Period, type PeriodName, retention } from './retention.ts'

/** What is older than this has had its time. */
export const purgedUntil = ({ days }: Pick<Period, 'days'>, now: Date): Date =>
  secondsAfter(now, -days * DAY_SECONDS)

/** Deletes what has had its time, the given number at most, and notes it. Returns how many went. */
export async function purge(sql: Sql, name: PeriodName, now: Date, limit: number): Promise<number> {
  const { table, from, where, clears }: Period = retention[name]
  const remove = clears ? sql`update ${sql(table)} set ${sql(clears)} = null` : sql`delete from ${sql(table)}`
  const [row] = await sql<{ count: number }[]>`
    with gone as (
      ${remove} where ctid = any(array(
        select ctid from ${sql(table)}
        where ${sql(from)} <= ${purgedUntil(retention[name], now)} and (${sql.unsafe(where ?? 'true')})
        limit ${limit}))
      returning 1
    ), noted as (
      insert into purges as p (name, ran_at, purged_at, purged_count)
      select ${name}, ${now}, case when count(*) > 0 then ${now}::timestamptz end, count(*) from gone
      on conflict (name) do update set ran_at = excluded.ran_at,
        purged_at = coalesce(excluded.purged_at, p.purged_at), purged_count = p.purged_count + excluded.purged_count
    )
    select count(*)::int as count from gone`
  return row?.count ?? 0
}

/** For work that deletes by itself. Records that the law has had us keep have no period here: each has its own end. */
export async function notePurge(
  sql: Sql,
  name: PeriodName | 'retainedRecords',
  count: number,
  now: Date,
): Promise<void> {
  await sql`
    insert into purges as p (name, ran_at, purged_at, purged_count)
    values (${name}, ${now}, ${count > 0 ? now : null}, ${count})
    on conflict (name) do update set ran_at = excluded.ran_at,
      purged_at = coalesce(excluded.purged_at, p.purged_at), purged_count = p.purged_count + excluded.purged_count`
}

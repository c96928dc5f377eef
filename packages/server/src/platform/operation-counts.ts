import type { Sql } from './db.ts'

export interface WorkCount {
  kind: string
  pending: number
  /** Of the work that is due and that nobody holds, the longest wait; 0 where there is none. */
  lateSeconds: number
  /** Visits in a row that did not get on: most of any of them. */
  attempts: number
}

export function countWork(sql: Sql): Promise<WorkCount[]> {
  return sql<WorkCount[]>`
    select kind, count(*)::int as pending, max(attempts)::int as attempts,
      greatest(0, coalesce(extract(epoch from clock_timestamp() - min(run_at) filter (
        where lease_until is null or lease_until < clock_timestamp())), 0))::float8 as "lateSeconds"
    from operations where state = 'pending' group by kind`
}

import type { Sql } from './db.ts'

/** Adds what this server has counted; what all of them have counted. Subjects are hashes in hexadecimal. */
export async function addRequestCounts(
  tx: Sql,
  {
    windowStart,
    windowBefore,
    counts,
  }: {
    windowStart: Date
    windowBefore: Date
    counts: readonly { subject: string; count: number }[]
  },
): Promise<Map<string, { used: number; usedBefore: number }>> {
  // In one order at every server, so that two that add at once do not wait for each other.
  const sorted = counts.toSorted((a, b) => (a.subject < b.subject ? -1 : 1))
  const rows = await tx<{ subject: string; used: number; usedBefore: number }[]>`
    insert into request_counts as c (subject, window_start, count)
    select decode(subject, 'hex'), ${windowStart}, count
    from unnest(${sorted.map(({ subject }) => subject)}::text[], ${sorted.map(({ count }) => count)}::int[])
      as fresh (subject, count)
    on conflict (subject, window_start) do update set count = c.count + excluded.count
    returning encode(subject, 'hex') as subject, count as used, coalesce(
      (select b.count from request_counts b where b.subject = c.subject and b.window_start = ${windowBefore}), 0
    ) as "usedBefore"`
  return new Map(rows.map(({ subject, used, usedBefore }) => [subject, { used, usedBefore }]))
}

export async function deleteRequestCounts(tx: Sql, before: Date): Promise<void> {
  await tx`delete from request_counts where window_start < ${before}`
}

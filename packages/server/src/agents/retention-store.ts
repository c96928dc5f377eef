import type { Sql } from '../platform/db.ts'

/** How many went. */
export async function deleteLogsBefore(tx: Sql, before: Date, limit: number): Promise<number> {
  const logs = await tx`
    delete from agent_logs where ctid = any(array(
      select ctid from agent_logs where at < ${before} limit ${limit}))`
  return logs.count
}

/** Rows of machines, snapshots and sightings that are long gone; a snapshot after the machines that were made of it. */
export async function deleteGoneMachines(tx: Sql, before: Date): Promise<void> {
  await tx`delete from machines where state = 'deleted' and deleted_at < ${before}`
  await tx`
    delete from warm_machines
    where state in ('bound', 'deleted') and coalesce(bound_at, deleted_at) < ${before}`
  await tx`
    delete from snapshots s where s.state = 'deleted' and s.deleted_at < ${before}
      and not exists (select from machines m where m.snapshot_id = s.id)`
  await tx`delete from orphan_sightings where first_seen_at < ${before}`
}

export function listUnusedBlobs(
  tx: Sql,
  before: Date,
  limit: number,
): Promise<{ accountId: string; sha256: Buffer }[]> {
  return tx<{ accountId: string; sha256: Buffer }[]>`
    select account_id as "accountId", sha256 from blobs where used_at < ${before} limit ${limit}`
}

/** What is still needed is asked about again in a month, not at each visit. */
export async function markBlobsUsed(
  tx: Sql,
  accountId: string,
  hashes: readonly Buffer[],
  { now, before }: { now: Date; before: Date },
): Promise<void> {
  await tx`
    update blobs set used_at = ${now}
    where account_id = ${accountId} and sha256 = any(${tx.array([...hashes])}) and used_at < ${before}`
}

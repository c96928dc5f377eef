import type { Sql } from '../platform/db.ts'

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

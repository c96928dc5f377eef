import type { Deps } from '../deps.ts'
import type { Lease, Operation, Outcome } from '../platform/operations.ts'
import { notePurge, purgedUntil } from '../platform/purges.ts'
import { retention } from '../platform/retention.ts'
import { unneededBlobs } from './blob-store.ts'
import { listUnusedBlobs, markBlobsUsed } from './retention-store.ts'
import { deleteStrayFiles } from './stray-files.ts'

const AT_ONCE = 5000
const EVERY_SECONDS = 600

/** Deletes blobs that nothing uses, with their files, and files that a killed upload left. */
export async function visitRetention(
  { db, clock, blobs }: Pick<Deps, 'db' | 'clock' | 'blobs'>,
  operation: Operation,
  lease: Lease,
): Promise<Outcome> {
  const now = clock.now()
  const before = purgedUntil(retention.unusedBlobs, now)
  const more = await lease.write(async (tx) => {
    const unused = await listUnusedBlobs(tx, before, AT_ONCE)
    const byAccount = Map.groupBy(unused, ({ accountId }) => accountId)
    let deleted = 0
    for (const [accountId, candidates] of byAccount) {
      const hashes = candidates.map(({ sha256 }) => sha256)
      const gone = await unneededBlobs(tx, accountId, hashes, before)
      for (const sha256 of gone) await blobs.delete(accountId, sha256)
      // What is still needed is asked about again in a month, not at each visit.
      await markBlobsUsed(tx, accountId, hashes, { now, before })
      deleted += gone.length
    }
    await notePurge(tx, 'unusedBlobs', deleted, now)
    return unused.length === AT_ONCE
  })
  const { strayFilesAfter: after } = operation.stepData
  const next = await deleteStrayFiles({ db, blobs }, lease, typeof after === 'string' ? after : undefined)
  return {
    state: 'again',
    afterSeconds: more ? 0 : EVERY_SECONDS,
    stepData: next === undefined ? {} : { strayFilesAfter: next },
  }
}

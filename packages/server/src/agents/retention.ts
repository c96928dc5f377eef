import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Lease, Operation, Outcome } from '../platform/operations.ts'
import { unneededBlobs } from './blob-store.ts'
import { LOG_DAYS, UNUSED_BLOB_DAYS } from './limits.ts'
import { deleteGoneMachines, deleteLogsBefore, listUnusedBlobs, markBlobsUsed } from './retention-store.ts'
import { deleteStrayFiles } from './stray-files.ts'
import { deleteTransfersBefore } from './transfer-store.ts'

const DAY_SECONDS = 86_400
/** Rows of machines and sightings that are gone. */
const MACHINE_DAYS = 90
const AT_ONCE = 5000
const EVERY_SECONDS = 600

/**
 * Deletes what has had its time: logs, blobs that nothing uses, rows of machines that are long gone, and files that a
 * killed upload left.
 */
export async function visitRetention(
  { db, clock, blobs }: Pick<Deps, 'db' | 'clock' | 'blobs'>,
  operation: Operation,
  lease: Lease,
): Promise<Outcome> {
  const now = clock.now()
  const before = (days: number): Date => secondsAfter(now, -days * DAY_SECONDS)
  const more = await lease.write(async (tx) => {
    const logs = await deleteLogsBefore(tx, before(LOG_DAYS), AT_ONCE)
    await deleteGoneMachines(tx, before(MACHINE_DAYS))
    await deleteTransfersBefore(tx, before(MACHINE_DAYS))
    const unused = await listUnusedBlobs(tx, before(UNUSED_BLOB_DAYS), AT_ONCE)
    const byAccount = Map.groupBy(unused, ({ accountId }) => accountId)
    let deleted = 0
    for (const [accountId, candidates] of byAccount) {
      const hashes = candidates.map(({ sha256 }) => sha256)
      const gone = await unneededBlobs(tx, accountId, hashes, before(UNUSED_BLOB_DAYS))
      for (const sha256 of gone) await blobs.delete(accountId, sha256)
      // What is still needed is asked about again in a month, not at each visit.
      await markBlobsUsed(tx, accountId, hashes, { now, before: before(UNUSED_BLOB_DAYS) })
      deleted += gone.length
    }
    return logs === AT_ONCE || unused.length === AT_ONCE || deleted === AT_ONCE
  })
  const { strayFilesAfter: after } = operation.stepData
  const next = await deleteStrayFiles({ db, blobs }, lease, typeof after === 'string' ? after : undefined)
  return {
    state: 'again',
    afterSeconds: more ? 0 : EVERY_SECONDS,
    stepData: next === undefined ? {} : { strayFilesAfter: next },
  }
}

import type { Deps } from '../deps.ts'
import type { Sql } from '../platform/db.ts'
import { type Lease, type Operation, type Outcome, startOperation } from '../platform/operations.ts'
import { findSnapshot, type SnapshotRow, setSnapshotDeleted, setSnapshotDeleting } from './snapshot-store.ts'

/** Records that snapshots are of no use any more and are to be deleted, in the caller's transaction. */
export async function removeSnapshots(
  tx: Sql,
  snapshots: readonly Pick<SnapshotRow, 'id' | 'namespaceId'>[],
  now: Date,
): Promise<void> {
  for (const { id, namespaceId } of snapshots) {
    await setSnapshotDeleting(tx, id)
    await startOperation(tx, { kind: 'remove-snapshot', subject: id, namespaceId, now })
  }
}

/** Deletes one snapshot that is of no use any more. */
export async function visitSnapshotRemoval(
  deps: Pick<Deps, 'db' | 'clock' | 'machines'>,
  operation: Operation,
  lease: Lease,
): Promise<Outcome> {
  const snapshot = await findSnapshot(deps.db.jobs, operation.subject)
  if (snapshot && snapshot.state !== 'deleted') await removeSnapshot(deps, snapshot, lease)
  return { state: 'done' }
}

/** Also what was ordered without an answer that reached us; what is made after this look is found by the sweeper. */
export async function removeSnapshot(
  { machines, clock }: Pick<Deps, 'machines' | 'clock'>,
  snapshot: SnapshotRow,
  lease: Lease,
): Promise<void> {
  const found = await machines.listSnapshotsByLabel(snapshot.label)
  const ids = new Set([
    ...found.map(({ id }) => id),
    ...(snapshot.providerId === null ? [] : [snapshot.providerId]),
  ])
  for (const id of ids) await machines.deleteSnapshot(id)
  await lease.write((tx) => setSnapshotDeleted(tx, snapshot.id, clock.now()))
}

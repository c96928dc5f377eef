import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import type { Lease, Operation, Outcome } from '../platform/operations.ts'
import {
  deleteSighting,
  listOrphans,
  listOwned,
  type Owned,
  putSightings,
  type SweptKind,
} from './sweep-store.ts'

/** Between the first sighting of something that no row owns and its end. */
export const ORPHAN_SECONDS = 1800
/** More than this many orphans at once are a fault of ours rather than of the provider. */
const SWEPT_AT_ONCE_MAX = 20
export const SWEEP_EVERY_SECONDS = 600

/**
 * Deletes machines and snapshots of ours at the provider that no row owns: those of a worker that slept past its lease
 * in the middle of an order. Only at the second sighting, so that an order under way is not taken for one.
 */
export async function visitSweep(
  deps: Pick<Deps, 'clock' | 'machines' | 'log'>,
  _operation: Operation,
  lease: Lease,
): Promise<Outcome> {
  const { machines, log } = deps
  const present = await machines.listOurs()
  // Policy 3d: machines are in Seoul. One that is not may be somebody's, so people decide what becomes of it.
  const elsewhere = present.filter(({ isElsewhere }) => isElsewhere)
  for (const { id } of elsewhere) log.error('A machine is in another region', { providerId: id })
  await sweep(deps, lease, {
    kind: 'machine',
    present,
    listOwned: (tx) => listOwned(tx, 'machine'),
    remove: machines.delete,
  })
  await sweep(deps, lease, {
    kind: 'snapshot',
    present: await machines.listOurSnapshots(),
    listOwned: (tx) => listOwned(tx, 'snapshot'),
    remove: machines.deleteSnapshot,
  })
  const spare = await machines.listSpareNetworks()
  for (const kind of ['vpc', 'firewall'] as const) {
    await sweep(deps, lease, {
      kind,
      present: spare.filter((network) => network.kind === kind),
      // No row owns one: what is in use is not listed as spare.
      listOwned: async () => [],
      remove: (id) => machines.deleteSpareNetwork(kind, id),
    })
  }
  return { state: 'again', afterSeconds: SWEEP_EVERY_SECONDS, stepData: { elsewhere: elsewhere.length } }
}

interface Swept {
  kind: SweptKind
  /** What the provider has of it that is ours. */
  present: readonly { id: string; label: string }[]
  listOwned(tx: Sql): Promise<Owned[]>
  remove(id: string): Promise<void>
}

export async function sweep(
  { clock, log }: Pick<Deps, 'clock' | 'log'>,
  lease: Lease,
  { kind, present, listOwned, remove }: Swept,
): Promise<void> {
  const now = clock.now()
  const { orphans, missing } = await lease.write(async (tx) => {
    // Read after the list: a row is written before its order, so everything that was listed has it.
    const rows = await listOwned(tx)
    const ids = new Set(rows.flatMap(({ providerId }) => providerId ?? []))
    const expected = new Set(rows.filter(({ providerId }) => providerId === null).map(({ label }) => label))
    const unowned = present.filter(({ id, label }) => !ids.has(id) && !expected.has(label))
    await putSightings(tx, kind, unowned, now)
    const there = new Set(present.map(({ id }) => id))
    return {
      orphans: await listOrphans(tx, kind, secondsAfter(now, -ORPHAN_SECONDS), SWEPT_AT_ONCE_MAX),
      missing: rows.filter(({ providerId }) => providerId !== null && !there.has(providerId)),
    }
  })
  for (const { id } of missing)
    log.error('Something has a row, but the provider does not have it', { kind, step: id })
  if (orphans.length === SWEPT_AT_ONCE_MAX) {
    log.error('Many of a kind are owned by nobody', { kind, count: orphans.length })
  }
  for (const id of orphans) {
    await remove(id)
    log.warn('Something that nobody owned was deleted', { kind, providerId: id })
    await lease.write((tx) => deleteSighting(tx, id))
  }
}

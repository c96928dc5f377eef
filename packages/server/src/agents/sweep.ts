import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Lease, Operation, Outcome } from '../platform/operations.ts'

/** Between the first sighting of a machine that no row owns and its end. */
export const ORPHAN_SECONDS = 1800
/** More than this many orphans at once are a fault of ours rather than of the provider. */
const SWEPT_AT_ONCE_MAX = 20
const EVERY_SECONDS = 600

interface Owned {
  label: string
  providerId: string | null
  id: string
}

/**
 * Deletes machines of ours at the provider that no row owns: those of a worker that slept past its lease in the
 * middle of an order. Only at the second sighting, so that an order under way is not taken for one.
 */
export async function visitSweep(
  { clock, machines, log }: Pick<Deps, 'clock' | 'machines' | 'log'>,
  _operation: Operation,
  lease: Lease,
): Promise<Outcome> {
  const now = clock.now()
  const present = await machines.listOurs()
  const { orphans, missing } = await lease.write(async (tx) => {
    // Read after the list: a row is written before its machine is ordered, so every machine that was listed has it.
    const rows = await tx<Owned[]>`
      select id, label, provider_id as "providerId" from machines where state <> 'deleted'`
    const ids = new Set(rows.flatMap(({ providerId }) => providerId ?? []))
    const expected = new Set(rows.filter(({ providerId }) => providerId === null).map(({ label }) => label))
    const unowned = present.filter((machine) => !ids.has(machine.id) && !expected.has(machine.label))
    await tx`delete from orphan_sightings where provider_id <> all(${unowned.map(({ id }) => id)}::text[])`
    for (const { id, label } of unowned) {
      await tx`
        insert into orphan_sightings (provider_id, label, first_seen_at) values (${id}, ${label}, ${now})
        on conflict do nothing`
    }
    const due = await tx<{ id: string }[]>`
      select provider_id as id from orphan_sightings
      where first_seen_at <= ${secondsAfter(now, -ORPHAN_SECONDS)} order by first_seen_at limit ${SWEPT_AT_ONCE_MAX}`
    const there = new Set(present.map(({ id }) => id))
    return {
      orphans: due.map(({ id }) => id),
      missing: rows.filter(({ providerId }) => providerId !== null && !there.has(providerId)),
    }
  })
  for (const machine of missing) {
    log.error('A machine has a row, but the provider does not have it', { machineId: machine.id })
  }
  if (orphans.length === SWEPT_AT_ONCE_MAX)
    log.error('Many machines are owned by nobody', { count: orphans.length })
  for (const id of orphans) {
    await machines.delete(id)
    log.warn('A machine that nobody owned was deleted', { providerId: id })
    await lease.write((tx) => tx`delete from orphan_sightings where provider_id = ${id}`)
  }
  return { state: 'again', afterSeconds: EVERY_SECONDS }
}

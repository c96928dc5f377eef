import type { Sql } from '../platform/db.ts'

export type SweptKind = 'machine' | 'snapshot' | 'vpc' | 'firewall' | 'hostname'

/** What we expect to find at the provider: by its id there, or by the label under which it was ordered. */
export interface Owned {
  id: string
  label: string
  providerId: string | null
}

export function listOwned(tx: Sql, kind: 'machine' | 'snapshot'): Promise<Owned[]> {
  if (kind === 'snapshot') {
    return tx<Owned[]>`select id, label, provider_id as "providerId" from snapshots where state <> 'deleted'`
  }
  // One statement sees one moment: what is bound in between is in one of the two.
  return tx<Owned[]>`
    select id, label, provider_id as "providerId" from machines where state <> 'deleted'
    union all
    select id, label, provider_id from warm_machines where state not in ('bound', 'deleted')`
}

/** Remembers what nobody owns, since its first sighting, and forgets what is gone or has an owner by now. */
export async function putSightings(
  tx: Sql,
  kind: SweptKind,
  unowned: readonly { id: string; label: string }[],
  now: Date,
): Promise<void> {
  await tx`
    delete from orphan_sightings where kind = ${kind} and provider_id <> all(${unowned.map(({ id }) => id)}::text[])`
  for (const { id, label } of unowned) {
    await tx`
      insert into orphan_sightings (kind, provider_id, label, first_seen_at) values (${kind}, ${id}, ${label}, ${now})
      on conflict do nothing`
  }
}

export async function listOrphans(tx: Sql, kind: SweptKind, before: Date, limit: number): Promise<string[]> {
  const rows = await tx<{ id: string }[]>`
    select provider_id as id from orphan_sightings
    where kind = ${kind} and first_seen_at <= ${before} order by first_seen_at limit ${limit}`
  return rows.map(({ id }) => id)
}

export async function deleteSighting(tx: Sql, providerId: string): Promise<void> {
  await tx`delete from orphan_sightings where provider_id = ${providerId}`
}

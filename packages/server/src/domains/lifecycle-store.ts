import type { Domain } from '@agentctl/contract/domains.ts'
import type { Sql } from '../platform/db.ts'

/** What a look at the provider, at DNS and through our edge has come to. */
export interface Sighting {
  status: 'pending' | 'verifying' | 'live'
  step: string | null
  failure: Domain['failure']
  certificate: Domain['certificate']
  ownership: { name: string; value: string } | null
  attendedAt: Date
  liveAt: Date | null
  givenUpAt: Date | null
}

/** Also ends nothing: whoever has begun its end meanwhile is not overruled. */
export async function setSighting(sql: Sql, id: string, seen: Sighting, now: Date): Promise<void> {
  await sql`
    update domains set status = ${seen.status}, step = ${seen.step},
      failure = ${seen.failure && sql.json(seen.failure)},
      certificate = ${seen.certificate && sql.json(seen.certificate)},
      ownership = ${seen.ownership && sql.json(seen.ownership)},
      attended_at = greatest(attended_at, ${seen.attendedAt}), live_at = ${seen.liveAt},
      given_up_at = ${seen.givenUpAt}, checked_at = ${now}
    where id = ${id} and ending is null and status in ('pending', 'verifying', 'live')`
}

export async function setStep(sql: Sql, id: string, step: string): Promise<void> {
  await sql`
    update domains set step = ${step}
    where id = ${id} and step is distinct from ${step} and (status in ('pending', 'verifying') or ending is not null)`
}

export async function setProvided(
  sql: Sql,
  id: string,
  { providerId, ownership }: { providerId: string; ownership: { name: string; value: string } | undefined },
): Promise<void> {
  await sql`
    update domains set provider_id = ${providerId}, ownership = ${ownership ? sql.json(ownership) : null}
    where id = ${id}`
}

export async function setUnprovided(sql: Sql, id: string): Promise<void> {
  await sql`update domains set provider_id = null, ownership = null where id = ${id}`
}

/** The hostname at the provider is gone: from now on somebody else may have the name. */
export async function setEnded(
  sql: Sql,
  id: string,
  { status, now }: { status: 'failed' | 'removed'; now: Date },
): Promise<void> {
  await sql`
    update domains set status = ${status}, ending = null, step = null, provider_id = null, ownership = null,
      certificate = null, given_up_at = null, ended_at = ${now}
    where id = ${id} and status in ('pending', 'verifying', 'live')`
}

/** Ids at the provider, and names of rows that may have ordered one. */
export function listHeld(sql: Sql): Promise<{ id: string; label: string; providerId: string | null }[]> {
  return sql<{ id: string; label: string; providerId: string | null }[]>`
    select id, hostname as label, provider_id as "providerId" from domains
    where status in ('pending', 'verifying', 'live')`
}

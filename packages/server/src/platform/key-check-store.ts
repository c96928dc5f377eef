import type { Sql } from './db.ts'

/** Which keys the rows of this database were made with. */
export async function keysInUse(sql: Sql): Promise<{ sealing: string[]; pepperVersions: number[] }> {
  const sealing = await sql<{ keyId: string }[]>`
    select key_id as "keyId" from secrets
    union
    select key_id from machines where key_id is not null and state <> 'deleted'`
  const peppers = await sql<{ version: number }[]>`select distinct pepper_version as version from phones`
  return { sealing: sealing.map(({ keyId }) => keyId), pepperVersions: peppers.map(({ version }) => version) }
}

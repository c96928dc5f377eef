import type { Sql } from '../platform/db.ts'
import type { Sealed } from '../platform/keyring.ts'

export async function listSecretRows(
  sql: Sql,
  agentId: string,
): Promise<{ name: string; version: number; updatedAt: Date }[]> {
  return sql<{ name: string; version: number; updatedAt: Date }[]>`
    select name, version, updated_at as "updatedAt" from secrets where agent_id = ${agentId} order by name`
}

export async function listSealedSecrets(
  sql: Sql,
  agentId: string,
): Promise<({ name: string; version: number } & Sealed)[]> {
  return sql<({ name: string; version: number } & Sealed)[]>`
    select name, version, key_id as "keyId", nonce, ciphertext from secrets where agent_id = ${agentId}`
}

export async function deleteSecret(sql: Sql, agentId: string, name: string): Promise<void> {
  await sql`delete from secrets where agent_id = ${agentId} and name = ${name}`
}

export async function putSecret(
  sql: Sql,
  secret: {
    agentId: string
    namespaceId: string
    name: string
    version: number
    sealed: Sealed
    now: Date
  },
): Promise<void> {
  const { sealed } = secret
  await sql`
    insert into secrets (agent_id, namespace_id, name, version, key_id, nonce, ciphertext, updated_at)
    values (${secret.agentId}, ${secret.namespaceId}, ${secret.name}, ${secret.version}, ${sealed.keyId},
      ${sealed.nonce}, ${sealed.ciphertext}, ${secret.now})
    on conflict (agent_id, name) do update set version = excluded.version, key_id = excluded.key_id,
      nonce = excluded.nonce, ciphertext = excluded.ciphertext, updated_at = excluded.updated_at`
}

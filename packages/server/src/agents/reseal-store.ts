import type { Sql } from '../platform/db.ts'
import type { Sealed } from '../platform/keyring.ts'

export interface SealedSecret extends Sealed {
  agentId: string
  name: string
  version: number
}

export interface SealedCredential extends Sealed {
  machineId: string
}

/**
 * Secrets that another key sealed, locked. Those that somebody else holds are passed over: whoever writes one seals it
 * with a key of the present anyway, and nobody waits for anybody.
 */
export function lockSecretsOfOtherKeys(sql: Sql, keyId: string, limit: number): Promise<SealedSecret[]> {
  return sql<SealedSecret[]>`
    select agent_id as "agentId", name, version, key_id as "keyId", nonce, ciphertext from secrets
    where key_id <> ${keyId} limit ${limit} for update skip locked`
}

export async function resealSecret(sql: Sql, secret: SealedSecret, sealed: Sealed): Promise<void> {
  await sql`
    update secrets set key_id = ${sealed.keyId}, nonce = ${sealed.nonce}, ciphertext = ${sealed.ciphertext}
    where agent_id = ${secret.agentId} and name = ${secret.name}`
}

/** What routers show to machines that are there, sealed by another key. */
export function lockCredentialsOfOtherKeys(
  sql: Sql,
  keyId: string,
  limit: number,
): Promise<SealedCredential[]> {
  return sql<SealedCredential[]>`
    select id as "machineId", key_id as "keyId", router_nonce as nonce, router_ciphertext as ciphertext
    from machines where key_id <> ${keyId} and state <> 'deleted' limit ${limit} for update skip locked`
}

export async function resealCredential(
  sql: Sql,
  { machineId }: SealedCredential,
  sealed: Sealed,
): Promise<void> {
  await sql`
    update machines set key_id = ${sealed.keyId}, router_nonce = ${sealed.nonce},
      router_ciphertext = ${sealed.ciphertext}
    where id = ${machineId}`
}

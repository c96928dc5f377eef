import type { Scope } from '@agentctl/contract/endpoint.ts'
import type { Sql } from '../platform/db.ts'

export interface KeyRow {
  id: string
  accountId: string
  name: string
  prefix: string
  scopes: Scope[]
  namespaceId: string | null
  namespace: string | null
  createdAt: Date
  expiresAt: Date | null
  lastUsedAt: Date | null
  rotatedAt: Date | null
  revokedAt: Date | null
}

const keyColumns = (tx: Sql) => tx`
  k.id, k.account_id as "accountId", k.name, k.prefix, k.scopes, k.namespace_id as "namespaceId",
  k.created_at as "createdAt", k.expires_at as "expiresAt", k.last_used_at as "lastUsedAt",
  k.rotated_at as "rotatedAt", k.revoked_at as "revokedAt"`

/** What every request with a key asks for, and no more. */
type ShownKey = Pick<
  KeyRow,
  'id' | 'accountId' | 'scopes' | 'namespaceId' | 'expiresAt' | 'lastUsedAt' | 'revokedAt'
>

export const keyByHash = (sql: Sql, hash: Buffer) =>
  sql<ShownKey[]>`
    select id, account_id as "accountId", scopes, namespace_id as "namespaceId", expires_at as "expiresAt",
      last_used_at as "lastUsedAt", revoked_at as "revokedAt"
    from api_keys where key_hash = ${hash}`

export async function touchKey(tx: Sql, hash: Buffer, usedAt: Date): Promise<void> {
  await tx`update api_keys set last_used_at = ${usedAt} where key_hash = ${hash}`
}

export async function insertKey(tx: Sql, key: KeyRow & { keyHash: Buffer }): Promise<void> {
  await tx`
    insert into api_keys (id, key_hash, prefix, account_id, namespace_id, name, scopes, created_at, expires_at)
    values (${key.id}, ${key.keyHash}, ${key.prefix}, ${key.accountId}, ${key.namespaceId}, ${key.name},
            ${key.scopes}, ${key.createdAt}, ${key.expiresAt})`
}

/** Newest first; of a key that is bound to a namespace the others are hidden. */
export const keysOf = (sql: Sql, accountId: string, namespaceId: string | null) =>
  sql<KeyRow[]>`
    select ${keyColumns(sql)}, n.name as namespace
    from api_keys k left join namespaces n on n.id = k.namespace_id
    where k.account_id = ${accountId} and (${namespaceId}::text is null or k.namespace_id = ${namespaceId})
    order by k.created_at desc, k.id limit 200`

export async function findKeyForUpdate(tx: Sql, accountId: string, id: string): Promise<KeyRow | undefined> {
  const [row] = await tx<KeyRow[]>`
    select ${keyColumns(tx)}, n.name as namespace
    from api_keys k left join namespaces n on n.id = k.namespace_id
    where k.account_id = ${accountId} and k.id = ${id}
    for update of k`
  return row
}

export async function countLiveKeys(tx: Sql, accountId: string, now: Date): Promise<number> {
  const [row] = await tx<{ count: number }[]>`
    select count(*)::int as count from api_keys
    where account_id = ${accountId} and revoked_at is null and (expires_at is null or expires_at > ${now})`
  return row?.count ?? 0
}

export async function retireKey(
  tx: Sql,
  id: string,
  retired: { rotatedAt: Date; expiresAt: Date },
): Promise<void> {
  await tx`
    update api_keys set rotated_at = ${retired.rotatedAt}, expires_at = least(expires_at, ${retired.expiresAt})
    where id = ${id}`
}

export async function revokeKeyRow(tx: Sql, id: string, now: Date): Promise<void> {
  await tx`update api_keys set revoked_at = coalesce(revoked_at, ${now}) where id = ${id}`
}

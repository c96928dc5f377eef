import type { Sql } from '../platform/db.ts'
import type { Namespace } from './access.ts'

/** By name or id; without either the account's first. Only where the account is a member. */
export const namespaceOf = (sql: Sql, accountId: string, name: string | undefined) =>
  sql<Namespace[]>`
    select n.id, n.name, n.owner_account_id as "ownerAccountId", n.created_at as "createdAt", m.role
    from namespaces n join members m on m.namespace_id = n.id and m.account_id = ${accountId}
    where ${name ?? null}::text is null or n.name = ${name ?? null} or n.id = ${name ?? null}
    order by m.created_at, n.id limit 1`

export const namespacesOf = (sql: Sql, accountId: string, namespaceId: string | null) =>
  sql<Namespace[]>`
    select n.id, n.name, n.owner_account_id as "ownerAccountId", n.created_at as "createdAt", m.role
    from namespaces n join members m on m.namespace_id = n.id and m.account_id = ${accountId}
    where ${namespaceId}::text is null or n.id = ${namespaceId}
    order by m.created_at, n.id limit 200`

/** False when the name is taken, by whomever. */
export async function insertNamespace(
  tx: Sql,
  namespace: { id: string; name: string; ownerAccountId: string; createdAt: Date },
): Promise<boolean> {
  const rows = await tx`
    insert into namespaces (id, name, owner_account_id, created_at)
    values (${namespace.id}, ${namespace.name}, ${namespace.ownerAccountId}, ${namespace.createdAt})
    on conflict (name) do nothing returning id`
  return rows.length > 0
}

export async function countOwnNamespaces(tx: Sql, accountId: string): Promise<number> {
  const [row] = await tx<{ count: number }[]>`
    select count(*)::int as count
    from namespaces n join members m on m.namespace_id = n.id and m.account_id = ${accountId}
    where n.owner_account_id = ${accountId}`
  return row?.count ?? 0
}

/**
 * Serialises changes to who is in a namespace: two owners who leave at once would leave none. Not stronger than that:
 * whoever accepts an invitation holds it while its new row asks for the namespace, and the two would wait for each other.
 */
export async function lockNamespace(tx: Sql, namespaceId: string): Promise<void> {
  await tx`select 1 from namespaces where id = ${namespaceId} for no key update`
}

export async function renameNamespaceRow(tx: Sql, namespaceId: string, name: string): Promise<void> {
  await tx`update namespaces set name = ${name} where id = ${namespaceId}`
}

export async function setPayer(tx: Sql, namespaceId: string, accountId: string): Promise<void> {
  await tx`update namespaces set owner_account_id = ${accountId} where id = ${namespaceId}`
}

/** Agents of a namespace: those that live, and whether there ever was one. */
export async function countAgents(tx: Sql, namespaceId: string): Promise<{ live: number; ever: number }> {
  const [row] = await tx<{ live: number; ever: number }[]>`
    select (count(*) filter (where status <> 'deleted'))::int as live, count(*)::int as ever
    from agents where namespace_id = ${namespaceId}`
  return row ?? { live: 0, ever: 0 }
}

export async function deleteNamespaceRow(tx: Sql, namespaceId: string): Promise<void> {
  await tx`delete from namespaces where id = ${namespaceId}`
}

/** Leaves nothing of a namespace but its row, which its payer still sees. Members last: they see the rest. */
export async function emptyNamespace(tx: Sql, namespaceId: string): Promise<void> {
  await tx`delete from invitations where namespace_id = ${namespaceId}`
  await tx`delete from api_keys where namespace_id = ${namespaceId}`
  await tx`delete from members where namespace_id = ${namespaceId}`
}

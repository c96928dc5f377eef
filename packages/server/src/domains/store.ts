import type { Domain, DomainStatus } from '@agentctl/contract/domains.ts'
import type { Sql } from '../platform/db.ts'

export interface DomainRow {
  id: string
  hostname: string
  status: DomainStatus
  /** What it becomes once the hostname at the provider is gone. */
  ending: 'failed' | 'removed' | null
  step: string | null
  failure: Domain['failure']
  providerId: string | null
  ownership: { name: string; value: string } | null
  certificate: Domain['certificate']
  createdAt: Date
  attendedAt: Date
  checkedAt: Date | null
  liveAt: Date | null
  givenUpAt: Date | null
  namespaceId: string
  namespace: string
  /** The account that pays for the namespace. */
  ownerAccountId: string
  agentId: string
  agentName: string
  /** The first label of the address of its agent, to which its CNAME leads. */
  agentLabel: string
  isAgentDeleted: boolean
}

const domainColumns = (sql: Sql) => sql`
  d.id, d.hostname, d.status, d.ending, d.step, d.failure, d.provider_id as "providerId", d.ownership, d.certificate,
  d.created_at as "createdAt", d.attended_at as "attendedAt", d.checked_at as "checkedAt", d.live_at as "liveAt",
  d.given_up_at as "givenUpAt", d.namespace_id as "namespaceId", n.name as namespace,
  n.owner_account_id as "ownerAccountId", d.agent_id as "agentId", a.name as "agentName", a.label as "agentLabel",
  a.status = 'deleted' as "isAgentDeleted"`

const domainTables = (sql: Sql) => sql`
  domains d join agents a on a.id = d.agent_id join namespaces n on n.id = d.namespace_id`

export async function findDomainById(sql: Sql, id: string): Promise<DomainRow | undefined> {
  const [row] = await sql<DomainRow[]>`
    select ${domainColumns(sql)} from ${domainTables(sql)} where d.id = ${id}`
  return row
}

/** The one that holds the name; else the newest that failed. Names of agents that are gone are found by their id only. */
export async function findDomainByName(
  sql: Sql,
  hostname: string,
  namespace: string | undefined,
): Promise<DomainRow | undefined> {
  const [row] = await sql<DomainRow[]>`
    select ${domainColumns(sql)} from ${domainTables(sql)}
    where d.hostname = ${hostname} and d.status <> 'removed' and a.status <> 'deleted'
      and ${namespace === undefined ? sql`true` : sql`(n.name = ${namespace} or n.id = ${namespace})`}
    order by d.status = 'failed', d.created_at desc, d.id limit 1`
  return row
}

export async function findHolder(sql: Sql, hostname: string): Promise<DomainRow | undefined> {
  const [row] = await sql<DomainRow[]>`
    select ${domainColumns(sql)} from ${domainTables(sql)}
    where d.hostname = ${hostname} and d.status in ('pending', 'verifying', 'live')`
  return row
}

export function listDomainRows(
  sql: Sql,
  { namespaceId, agentId }: { namespaceId: string | undefined; agentId: string | undefined },
): Promise<DomainRow[]> {
  return sql<DomainRow[]>`
    select ${domainColumns(sql)} from ${domainTables(sql)}
    where d.status <> 'removed' and a.status <> 'deleted'
      and ${namespaceId === undefined ? sql`true` : sql`d.namespace_id = ${namespaceId}`}
      and ${agentId === undefined ? sql`true` : sql`d.agent_id = ${agentId}`}
    order by n.name, a.name, d.hostname, d.id limit 1000`
}

/** Names that are held by agents of an account, whoever asks. */
export async function countHeld(sql: Sql, accountId: string): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::int as count from domains d join namespaces n on n.id = d.namespace_id
    where n.owner_account_id = ${accountId} and d.status in ('pending', 'verifying', 'live')`
  return row?.count ?? 0
}

export function listHeldBy(
  sql: Sql,
  accountId: string,
): Promise<{ id: string; ending: DomainRow['ending'] }[]> {
  return sql<{ id: string; ending: DomainRow['ending'] }[]>`
    select d.id, d.ending from domains d join namespaces n on n.id = d.namespace_id
    where n.owner_account_id = ${accountId} and d.status in ('pending', 'verifying', 'live') order by d.id`
}

export interface Wish {
  id: string
  namespaceId: string
  agentId: string
  hostname: string
  step: string
  givenUpAt: Date
  now: Date
}

/** False when somebody holds the name, whom the caller need not be able to see. */
export async function insertDomain(sql: Sql, wish: Wish): Promise<boolean> {
  const rows = await sql`
    insert into domains
      (id, namespace_id, agent_id, hostname, status, step, created_at, attended_at, given_up_at)
    values (${wish.id}, ${wish.namespaceId}, ${wish.agentId}, ${wish.hostname}, 'pending', ${wish.step}, ${wish.now},
            ${wish.now}, ${wish.givenUpAt})
    on conflict do nothing returning id`
  return rows.length === 1
}

/** One that failed is of no use beside the new try. */
export async function dropFailed(
  sql: Sql,
  { agentId, hostname, now }: { agentId: string; hostname: string; now: Date },
): Promise<void> {
  await sql`
    update domains set status = 'removed', step = null, ended_at = ${now}
    where agent_id = ${agentId} and hostname = ${hostname} and status = 'failed'`
}

/** Makes looks at it frequent for a while. */
export async function setAttended(sql: Sql, id: string, now: Date): Promise<void> {
  await sql`update domains set attended_at = ${now} where id = ${id}`
}

/** Begins its end; one at the provider of which nothing is left has come to it at once. */
export async function setEnding(
  sql: Sql,
  id: string,
  { ending, step, failure }: { ending: 'failed' | 'removed'; step: string; failure?: Domain['failure'] },
): Promise<void> {
  await sql`
    update domains set ending = ${ending}, step = ${step},
      failure = ${failure === undefined ? sql`failure` : failure && sql.json(failure)}
    where id = ${id} and status in ('pending', 'verifying', 'live')`
}

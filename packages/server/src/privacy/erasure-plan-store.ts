import type { Sql } from '../platform/db.ts'

export interface PlannedAgent {
  name: string
  namespace: string
  label: string
  status: string
}

export function listPlannedAgents(sql: Sql, accountId: string): Promise<PlannedAgent[]> {
  return sql<PlannedAgent[]>`
    select a.name, n.name as namespace, a.label, a.status
    from agents a join namespaces n on n.id = a.namespace_id
    where n.owner_account_id = ${accountId} and a.status <> 'deleted' order by n.name, a.name`
}

export async function listPlannedDomains(sql: Sql, accountId: string): Promise<string[]> {
  const rows = await sql<{ hostname: string }[]>`
    select d.hostname from domains d join namespaces n on n.id = d.namespace_id
    where n.owner_account_id = ${accountId} and d.status in ('pending', 'verifying', 'live') order by d.hostname`
  return rows.map(({ hostname }) => hostname)
}

export interface PlannedNamespace {
  id: string
  name: string
  isOwn: boolean
  /** Members besides the account. */
  others: number
  /** The owner besides it who was there first. */
  nextOwner: string | null
  liveAgents: number
}

export function listPlannedNamespaces(sql: Sql, accountId: string): Promise<PlannedNamespace[]> {
  return sql<PlannedNamespace[]>`
    select n.id, n.name, n.owner_account_id = ${accountId} as "isOwn",
      (select count(*)::int from members o where o.namespace_id = n.id and o.account_id <> ${accountId}) as others,
      (select o.account_id from members o
        where o.namespace_id = n.id and o.account_id <> ${accountId} and o.role = 'owner'
        order by o.created_at, o.account_id limit 1) as "nextOwner",
      (select count(*)::int from agents a where a.namespace_id = n.id and a.status <> 'deleted') as "liveAgents"
    from namespaces n join members m on m.namespace_id = n.id and m.account_id = ${accountId}
    order by n.name`
}

export async function setPayer(tx: Sql, namespaceId: string, accountId: string): Promise<void> {
  await tx`update namespaces set owner_account_id = ${accountId} where id = ${namespaceId}`
}

export interface PlannedCounts {
  machines: number
  snapshots: number
  files: number
  bytes: number
  secrets: number
  notices: number
}

export async function countPlanned(sql: Sql, accountId: string): Promise<PlannedCounts> {
  const own = sql`(select id from namespaces where owner_account_id = ${accountId})`
  const [row] = await sql<PlannedCounts[]>`
    select
      (select count(*)::int from machines where state <> 'deleted' and namespace_id in ${own}) as machines,
      (select count(*)::int from snapshots where state <> 'deleted' and namespace_id in ${own}) as snapshots,
      (select count(*)::int from blobs where account_id = ${accountId}) as files,
      (select coalesce(sum(size), 0)::float8 from blobs where account_id = ${accountId}) as bytes,
      (select count(*)::int from secrets where namespace_id in ${own}) as secrets,
      (select count(*)::int from notices where account_id = ${accountId}) as notices`
  return row ?? { machines: 0, snapshots: 0, files: 0, bytes: 0, secrets: 0, notices: 0 }
}

export interface Money {
  balanceMicros: bigint
  heldMicros: bigint
  /** Payments on chain that are not credited yet, or are being sent back. */
  movingPayments: number
  /** Pages of the card processor that may still be paid. */
  openCheckouts: number
  openRefunds: number
  /** Records that will be kept. */
  records: number
}

export async function findMoney(sql: Sql, accountId: string): Promise<Money> {
  const own = sql`(select ledger_account_id from billing_accounts where account_id = ${accountId})`
  const [row] = await sql<Money[]>`
    select
      coalesce((select balance_micros from ledger_balances where ledger_account_id in ${own}), 0)::bigint as "balanceMicros",
      coalesce((select held_micros from ledger_balances where ledger_account_id in ${own}), 0)::bigint as "heldMicros",
      (select count(*)::int from payments
        where ledger_account_id in ${own} and state in ('confirming', 'refunding')) as "movingPayments",
      (select count(*)::int from checkouts
        where ledger_account_id in ${own} and status in ('starting', 'open', 'processing')) as "openCheckouts",
      (select count(*)::int from card_refunds r join checkouts c on c.id = r.checkout_id
        where c.ledger_account_id in ${own} and r.state = 'intended') as "openRefunds",
      ((select count(*) from ledger_entries where ledger_account_id in ${own})
        + (select count(*) from payments where ledger_account_id in ${own})
        + (select count(*) from deposits where ledger_account_id in ${own})
        + (select count(*) from checkouts where ledger_account_id in ${own})
        + (select count(*) from meters where ledger_account_id in ${own}))::int as records`
  return (
    row ?? {
      balanceMicros: 0n,
      heldMicros: 0n,
      movingPayments: 0,
      openCheckouts: 0,
      openRefunds: 0,
      records: 0,
    }
  )
}

/** Read as the account itself: nobody else may count its credentials. */
export async function countCredentials(
  sql: Sql,
  accountId: string,
  now: Date,
): Promise<{ keys: number; sessions: number }> {
  const [row] = await sql<{ keys: number; sessions: number }[]>`
    select
      (select count(*)::int from api_keys where account_id = ${accountId} and revoked_at is null
        and (expires_at is null or expires_at > ${now})) as keys,
      (select count(*)::int from sessions where account_id = ${accountId} and expires_at > ${now}) as sessions`
  return row ?? { keys: 0, sessions: 0 }
}

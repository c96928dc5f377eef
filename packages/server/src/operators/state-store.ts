import type { Sql } from '../platform/db.ts'

/** How many there are of what, by its state. */
export interface Counted {
  what: string
  state: string
  count: number
}

/** Only what is there: of what is gone and only recorded there may be any number. */
export function countStates(sql: Sql): Promise<Counted[]> {
  return sql<Counted[]>`
    select 'agents' as what, status as state, count(*)::int as count from agents where status <> 'deleted' group by 2
    union all select 'machines', state, count(*)::int from machines where state <> 'deleted' group by 2
    union all
    select 'warm_machines', state, count(*)::int from warm_machines where state not in ('bound', 'deleted') group by 2
    union all select 'snapshots', state, count(*)::int from snapshots where state <> 'deleted' group by 2
    union all select 'domains', status, count(*)::int from domains where status <> 'removed' group by 2
    union all select 'orphans', kind, count(*)::int from orphan_sightings group by 2
    union all select 'payments', state, count(*)::int from payments group by 2
    union all select 'deposits', status, count(*)::int from deposits group by 2
    union all select 'notices', 'unread', count(*)::int from notices where read_at is null`
}

/** Moments by which it shows whether work that comes back goes on. */
export async function findMoments(sql: Sql): Promise<{
  meteredUpto: Date | null
  oldestRequestDay: Date | null
  oldestDeposit: Date | null
}> {
  const [row] = await sql`
    select (select upto from meter_watermark) as "meteredUpto", oldest_request_day() as "oldestRequestDay",
      (select min(created_at) from deposits where status in ('seen', 'confirming')) as "oldestDeposit"`
  return row as never
}

export function listPurges(sql: Sql): Promise<{ name: string; ranAt: Date }[]> {
  return sql<{ name: string; ranAt: Date }[]>`select name, ran_at as "ranAt" from purges order by name`
}

export function listCursors(sql: Sql): Promise<{ chainId: number; nextBlock: bigint }[]> {
  return sql<{ chainId: number; nextBlock: bigint }[]>`
    select chain_id::int as "chainId", next_block as "nextBlock" from chain_cursors`
}

/** Policy 3d: machines of ours that the provider lists in another region than Seoul. */
export async function countMachinesElsewhere(sql: Sql): Promise<number> {
  const [row] = await sql<{ count: number }[]>`select machines_elsewhere()::int as count`
  return row?.count ?? 0
}

/** Ledger accounts, of all, of which the last entry, or the sum of all, does not say what they have. */
export async function countWrongLedgers(sql: Sql): Promise<number> {
  const [row] = await sql<{ wrong: number }[]>`
    select greatest((select count(*) from ledger_faults(null)), (select wrong from ledger_audit()))::int as wrong`
  return row?.wrong ?? 0
}

import type { Sql } from '../platform/db.ts'

/** Machines that have, or had a moment ago, an agent that may send. */
export function listSending(
  sql: Sql,
): Promise<{ machineId: string; agentId: string; namespaceId: string; providerId: string }[]> {
  return sql<{ machineId: string; agentId: string; namespaceId: string; providerId: string }[]>`
    select id as "machineId", agent_id as "agentId", namespace_id as "namespaceId", provider_id as "providerId"
    from machines where state not in ('intended', 'deleted') and provider_id is not null order by id`
}

/** The provider corrects its counts later; what it told before stays told. */
export async function putTransfer(
  sql: Sql,
  t: {
    machineId: string
    agentId: string
    namespaceId: string
    month: Date
    sentBytes: bigint
    includedBytes: bigint
    now: Date
  },
): Promise<void> {
  await sql`
    insert into machine_transfers
      (machine_id, month, agent_id, namespace_id, sent_bytes, included_bytes, polled_at)
    values (${t.machineId}, ${t.month}, ${t.agentId}, ${t.namespaceId}, ${t.sentBytes}, ${t.includedBytes}, ${t.now})
    on conflict (machine_id, month) do update set
      sent_bytes = greatest(machine_transfers.sent_bytes, excluded.sent_bytes),
      included_bytes = excluded.included_bytes, polled_at = excluded.polled_at`
}

export interface TransferRow {
  agentId: string
  sentBytes: bigint
  /** Of the plan of its latest machine: what is included is a size's, however many machines it has had. */
  includedBytes: bigint
}

export function listTransfers(sql: Sql, month: Date, agentIds: readonly string[]): Promise<TransferRow[]> {
  return sql<TransferRow[]>`
    select agent_id as "agentId", sum(sent_bytes)::bigint as "sentBytes",
      (array_agg(included_bytes order by polled_at desc))[1] as "includedBytes"
    from machine_transfers where month = ${month} and agent_id = any(${[...agentIds]}::text[]) group by agent_id`
}

/** False when it has been said in this month. */
export async function putTransferWarning(
  sql: Sql,
  w: { agentId: string; month: Date; percent: number },
): Promise<boolean> {
  const rows = await sql`
    insert into transfer_warnings (agent_id, month, percent) values (${w.agentId}, ${w.month}, ${w.percent})
    on conflict do nothing returning 1`
  return rows.length > 0
}

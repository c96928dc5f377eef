import type { Sql } from '../platform/db.ts'

/**
 * intended: its row precedes the order. created: the provider has it. ready: its runner serves a healthy release, and
 * the router sends requests to it. deleting: out of service, going away. deleted: the provider has it no more.
 */
export type MachineState = 'intended' | 'created' | 'ready' | 'deleting' | 'deleted'

export interface MachineRow {
  id: string
  agentId: string
  namespaceId: string
  generation: number
  label: string
  providerId: string | null
  plan: string
  state: MachineState
  address: string | null
  port: number | null
  createdAt: Date
  /** Null until it has phoned home. */
  seenAt: Date | null
}

const machineColumns = (sql: Sql) => sql`
  id, agent_id as "agentId", namespace_id as "namespaceId", generation, label, provider_id as "providerId", plan, state,
  address, port, created_at as "createdAt", seen_at as "seenAt"`

/** Machines of an agent that are not gone, newest generation first. */
export async function listMachines(sql: Sql, agentId: string): Promise<MachineRow[]> {
  return sql<MachineRow[]>`
    select ${machineColumns(sql)} from machines
    where agent_id = ${agentId} and state <> 'deleted' order by generation desc`
}

export async function findMachine(sql: Sql, id: string): Promise<MachineRow | undefined> {
  const [row] = await sql<MachineRow[]>`select ${machineColumns(sql)} from machines where id = ${id}`
  return row
}

/** How many agents of an account have a machine or a release that will need one. */
export async function countMachines(
  sql: Sql,
  accountId: string,
  { exceptOfAgent }: { exceptOfAgent: string },
): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::int as count from agents a
    where a.id <> ${exceptOfAgent}
      and a.namespace_id in (select id from namespaces where owner_account_id = ${accountId})
      and (exists (select from machines m where m.agent_id = a.id and m.state in ('intended', 'created', 'ready'))
        or exists (select from releases r where r.agent_id = a.id and r.status in ('pending', 'starting')))`
  return row?.count ?? 0
}

/** The row that precedes the order at the provider. */
export async function insertMachine(
  sql: Sql,
  machine: {
    id: string
    agentId: string
    namespaceId: string
    operationId: string
    plan: string
    bootstrapHash: Buffer
    now: Date
  },
): Promise<MachineRow> {
  const [row] = await sql<MachineRow[]>`
    insert into machines (id, agent_id, namespace_id, generation, label, operation_id, plan, state, bootstrap_hash, created_at)
    select ${machine.id}, ${machine.agentId}, ${machine.namespaceId}, generation,
      ${machine.operationId} || '-g' || generation, ${machine.operationId}, ${machine.plan}, 'intended',
      ${machine.bootstrapHash}, ${machine.now}
    from (select coalesce(max(generation), 0) + 1 as generation from machines where agent_id = ${machine.agentId}) as next
    returning ${machineColumns(sql)}`
  if (!row) throw new Error('A machine was not inserted.')
  return row
}

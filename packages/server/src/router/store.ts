import type { AgentStatus } from '@agentctl/contract/agents.ts'
import type { Sql } from '../platform/db.ts'

export interface RouteRow {
  agentId: string
  name: string
  status: AgentStatus
  machineId: string | null
  address: string | null
  port: number | null
  keyId: string | null
  nonce: Buffer | null
  ciphertext: Buffer | null
}

/** The agent with this label and the machine on which it lives, if one has phoned home. */
export async function findRouteRow(sql: Sql, label: string): Promise<RouteRow | undefined> {
  const [row] = await sql<RouteRow[]>`
    select a.id as "agentId", a.name, a.status, m.id as "machineId", m.address, m.port,
      m.key_id as "keyId", m.router_nonce as nonce, m.router_ciphertext as ciphertext
    from agents a
    left join machines m on m.agent_id = a.id and m.state in ('intended', 'created', 'ready')
    where a.label = ${label}
    -- While an agent moves to another machine it has two, and the one that serves is ready.
    order by (m.state = 'ready') desc nulls last limit 1`
  return row
}

import type { AgentStatus } from '@agentctl/contract/agents.ts'
import type { Sql } from '../platform/db.ts'

export interface RouteRow {
  /** Set for a name of somebody's own: which domain it is, and whether visitors are to be let in under it. */
  domainId: string | null
  isOpen: boolean
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

/**
 * The agent with this label, or to which this name of somebody's own is attached, and the machine on which it lives, if
 * one has phoned home. A domain that has been live stays open while its owner sets right what has gone wrong.
 */
export async function findRouteRow(sql: Sql, name: string): Promise<RouteRow | undefined> {
  const isOwn = name.includes('.')
  const [row] = await sql<RouteRow[]>`
    select ${isOwn ? sql`d.id as "domainId", (d.live_at is not null) as "isOpen"` : sql`null as "domainId", true as "isOpen"`},
      a.id as "agentId", a.name, a.status, m.id as "machineId", m.address, m.port,
      m.key_id as "keyId", m.router_nonce as nonce, m.router_ciphertext as ciphertext
    from agents a
    ${
      isOwn
        ? sql`join domains d on d.agent_id = a.id and d.status in ('pending', 'verifying', 'live') and d.ending is null`
        : sql``
    }
    left join machines m on m.agent_id = a.id and m.state in ('intended', 'created', 'ready')
    where ${isOwn ? sql`d.hostname = ${name}` : sql`a.label = ${name}`}
    -- While an agent moves to another machine it has two, and the one that serves is ready.
    order by (m.state = 'ready') desc nulls last limit 1`
  return row
}

import type { Sql } from '../platform/db.ts'

// The domains of agents belong to a room above this one; here they are only read, and told when their agent goes.

export interface AgentDomain {
  agentId: string
  hostname: string
  status: string
}

export function listDomainsOf(sql: Sql, agentIds: readonly string[]): Promise<AgentDomain[]> {
  return sql<AgentDomain[]>`
    select agent_id as "agentId", hostname, status from domains
    where agent_id = any(${[...agentIds]}::text[]) and status <> 'removed' order by hostname, id`
}

/** Has them looked at now: those of a deleted agent are taken away at the provider. */
export async function wakeDomainsOf(tx: Sql, agentId: string): Promise<void> {
  await tx`
    update operations set run_at = clock_timestamp()
    where state = 'pending' and run_at > clock_timestamp()
      and subject in (select id from domains where agent_id = ${agentId})`
}

/** Deletes those that have ended. False while the provider still has one. */
export async function forgetDomainsOf(tx: Sql, agentId: string): Promise<boolean> {
  await tx`delete from domains where agent_id = ${agentId} and status in ('failed', 'removed')`
  return (await tx`select 1 from domains where agent_id = ${agentId} limit 1`).length === 0
}

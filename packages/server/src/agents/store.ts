import type { AgentConfig, ManifestFile, Size } from '@agentctl/contract/agent-config.ts'
import type { AgentStatus, Release, ReleaseStatus } from '@agentctl/contract/agents.ts'
import type { Sql } from '../platform/db.ts'

export interface AgentRow {
  id: string
  namespaceId: string
  namespace: string
  ownerAccountId: string
  name: string
  label: string
  size: Size
  region: string
  status: AgentStatus
  releaseId: string | null
  releaseNumber: number | null
  desiredReleaseId: string | null
  revision: number
  /** Where it is, or falls back to, while it has no machine. */
  rest: 'stopped' | 'suspended' | null
  restSince: Date | null
  resumes: boolean
  snapshotDeleteAt: Date | null
  /** What it may cost an hour and in all, whatever its account has; null for no limit of its own. */
  maxHourlyMicros: bigint | null
  maxTotalMicros: bigint | null
}

const agentColumns = (sql: Sql) => sql`
  a.id, a.namespace_id as "namespaceId", n.name as namespace, n.owner_account_id as "ownerAccountId", a.name, a.label,
  a.size, a.region, a.status, a.release_id as "releaseId", live.number as "releaseNumber",
  a.desired_release_id as "desiredReleaseId", a.revision, a.rest, a.rest_since as "restSince", a.resumes,
  a.snapshot_delete_at as "snapshotDeleteAt", a.max_hourly_micros as "maxHourlyMicros",
  a.max_total_micros as "maxTotalMicros"`

const agentTables = (sql: Sql) => sql`
  agents a join namespaces n on n.id = a.namespace_id left join releases live on live.id = a.release_id`

export async function findAgentById(sql: Sql, id: string): Promise<AgentRow | undefined> {
  const [row] = await sql<AgentRow[]>`
    select ${agentColumns(sql)} from ${agentTables(sql)} where a.id = ${id} and a.status <> 'deleted'`
  return row
}

export async function findAgentByName(
  sql: Sql,
  namespaceId: string,
  name: string,
): Promise<AgentRow | undefined> {
  const [row] = await sql<AgentRow[]>`
    select ${agentColumns(sql)} from ${agentTables(sql)}
    where a.namespace_id = ${namespaceId} and a.name = ${name} and a.status <> 'deleted'`
  return row
}

/** Of a namespace, or of all that may be seen. */
export const agentsOf = (sql: Sql, namespaceId: string | undefined) =>
  sql<AgentRow[]>`
    select ${agentColumns(sql)} from ${agentTables(sql)}
    where a.status <> 'deleted' and ${namespaceId === undefined ? sql`true` : sql`a.namespace_id = ${namespaceId}`}
    order by n.name, a.name limit 1000`

/** False when the name or the label is taken. */
export async function insertAgent(
  sql: Sql,
  agent: { id: string; namespaceId: string; name: string; label: string; size: Size; now: Date },
): Promise<boolean> {
  const rows = await sql`
    insert into agents (id, namespace_id, name, label, size, status, created_at, used_at)
    values (${agent.id}, ${agent.namespaceId}, ${agent.name}, ${agent.label}, ${agent.size}, 'stopped', ${agent.now},
            ${agent.now})
    on conflict do nothing
    returning id`
  return rows.length === 1
}

export interface ReleaseRow {
  id: string
  agentId: string
  namespaceId: string
  number: number
  status: ReleaseStatus
  step: string | null
  config: AgentConfig
  repeats: string | null
  files: number
  failure: Release['failure']
  timings: Release['timings']
  createdAt: Date
  liveAt: Date | null
}

const releaseColumns = (sql: Sql) => sql`
  r.id, r.agent_id as "agentId", r.namespace_id as "namespaceId", r.number, r.status, r.step, r.config, r.repeats,
  r.file_count as files, r.failure, r.timings, r.created_at as "createdAt", r.live_at as "liveAt"`

export async function findRelease(sql: Sql, id: string): Promise<ReleaseRow | undefined> {
  const [row] = await sql<ReleaseRow[]>`select ${releaseColumns(sql)} from releases r where r.id = ${id}`
  return row
}

/** The one that is on its way to being live. */
export async function findReleaseUnderWay(sql: Sql, agentId: string): Promise<ReleaseRow | undefined> {
  const [row] = await sql<ReleaseRow[]>`
    select ${releaseColumns(sql)} from releases r
    where r.agent_id = ${agentId} and r.status in ('pending', 'starting') order by r.number desc limit 1`
  return row
}

export async function findReleaseByNumber(
  sql: Sql,
  agentId: string,
  number: number,
): Promise<ReleaseRow | undefined> {
  const [row] = await sql<ReleaseRow[]>`
    select ${releaseColumns(sql)} from releases r where r.agent_id = ${agentId} and r.number = ${number}`
  return row
}

export async function listReleaseRows(sql: Sql, agentId: string): Promise<ReleaseRow[]> {
  return sql<ReleaseRow[]>`
    select ${releaseColumns(sql)} from releases r where r.agent_id = ${agentId} order by r.number desc limit 200`
}

/** The newest release that was once healthy and is neither the given one nor a repetition of the same. */
export async function findEarlierHealthyRelease(
  sql: Sql,
  agentId: string,
  than: { id: string; repeats: string | null } | undefined,
): Promise<ReleaseRow | undefined> {
  const origin = than?.repeats ?? than?.id ?? ''
  const [row] = await sql<ReleaseRow[]>`
    select ${releaseColumns(sql)} from releases r
    where r.agent_id = ${agentId} and r.live_at is not null and coalesce(r.repeats, r.id) <> ${origin}
    order by r.number desc limit 1`
  return row
}

/** The caller holds the lock of the agent, so that numbers are given out one after another. */
export async function insertRelease(
  sql: Sql,
  release: {
    id: string
    agentId: string
    namespaceId: string
    config: AgentConfig
    repeats: string | null
    files: number
    step: string
    now: Date
  },
): Promise<ReleaseRow> {
  const [row] = await sql<ReleaseRow[]>`
    insert into releases as r (id, agent_id, namespace_id, number, status, step, config, repeats, file_count, created_at)
    select ${release.id}, ${release.agentId}, ${release.namespaceId},
      (select coalesce(max(number), 0) + 1 from releases where agent_id = ${release.agentId}),
      'pending', ${release.step}, ${sql.json(release.config)}, ${release.repeats}, ${release.files}, ${release.now}
    returning ${releaseColumns(sql)}`
  if (!row) throw new Error('A release was not inserted.')
  return row
}

export async function insertReleaseFiles(
  sql: Sql,
  releaseId: string,
  files: readonly ManifestFile[],
): Promise<void> {
  await sql`
    insert into release_files (release_id, path, sha256, size, executable)
    select ${releaseId}, path, decode(sha256, 'hex'), size, executable
    from unnest(${files.map((file) => file.path)}::text[], ${files.map((file) => file.sha256)}::text[],
                ${files.map((file) => file.size)}::bigint[], ${sql.array(files.map((file) => file.executable))}::boolean[])
      as file (path, sha256, size, executable)`
}

export async function copyReleaseFiles(sql: Sql, fromReleaseId: string, toReleaseId: string): Promise<void> {
  await sql`
    insert into release_files (release_id, path, sha256, size, executable)
    select ${toReleaseId}, path, sha256, size, executable from release_files where release_id = ${fromReleaseId}`
}

export async function listReleaseFiles(sql: Sql, releaseId: string): Promise<ManifestFile[]> {
  return sql<ManifestFile[]>`
    select path, encode(sha256, 'hex') as sha256, size::float8 as size, executable
    from release_files where release_id = ${releaseId} order by path`
}

/** Names of agents, also of those that have been deleted. */
export function listAgentNames(sql: Sql, ids: readonly string[]): Promise<{ id: string; name: string }[]> {
  return sql<{ id: string; name: string }[]>`
    select id, name from agents where id = any(${sql.array([...ids])})`
}

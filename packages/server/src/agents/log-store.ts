import type { Sql } from '../platform/db.ts'

export interface LogRow {
  machineId: string
  sequence: string
  at: Date
  stream: 'stdout' | 'stderr' | 'platform'
  release: number | null
  line: string
}

export interface NewLogLine {
  sequence: number
  at: Date
  stream: 'stdout' | 'stderr' | 'platform'
  releaseId: string | null
  line: string
}

/** How far a reader is: for each machine, the last line that it has. Lines of one machine come in their order. */
export type LogPosition = Readonly<Record<string, string>>

/** A batch that comes twice is stored once; a deleted agent stores nothing. Returns how many lines were new. */
export async function insertLogs(
  sql: Sql,
  machine: { machineId: string; agentId: string },
  lines: readonly NewLogLine[],
): Promise<number> {
  const rows = await sql`
    insert into agent_logs (machine_id, sequence, agent_id, namespace_id, release_id, at, stream, line)
    select ${machine.machineId}, l.sequence, a.id, a.namespace_id, l.release_id, l.at, l.stream, l.line
    from agents a, unnest(
      ${lines.map((line) => line.sequence)}::bigint[], ${lines.map((line) => line.releaseId)}::text[],
      ${sql.array(lines.map((line) => line.at))}::timestamptz[], ${lines.map((line) => line.stream)}::text[],
      ${lines.map((line) => line.line)}::text[]
    ) as l (sequence, release_id, at, stream, line)
    where a.id = ${machine.agentId} and a.status <> 'deleted'
    on conflict (machine_id, sequence) do nothing`
  return rows.count
}

export async function countLogs(sql: Sql, agentId: string, since: Date): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::int as count from agent_logs where agent_id = ${agentId} and at >= ${since}`
  return row?.count ?? 0
}

export async function logPosition(sql: Sql, agentId: string): Promise<LogPosition> {
  const rows = await sql<{ machineId: string; sequence: string }[]>`
    select m.id as "machineId", last.sequence::text as sequence from machines m
    cross join lateral (
      select sequence from agent_logs l where l.machine_id = m.id order by sequence desc limit 1) as last
    where m.agent_id = ${agentId}`
  return Object.fromEntries(rows.map((row) => [row.machineId, row.sequence]))
}

const logColumns = (sql: Sql) => sql`
  l.machine_id as "machineId", l.sequence::text as sequence, l.at, l.stream, r.number as release, l.line`

const matching = (sql: Sql, grep: string | undefined) =>
  grep === undefined || grep === '' ? sql`true` : sql`strpos(lower(l.line), lower(${grep})) > 0`

/** The newest lines that match, oldest first. */
export async function readLogTail(
  sql: Sql,
  agentId: string,
  wanted: { since: Date | undefined; tail: number; grep: string | undefined },
): Promise<LogRow[]> {
  const rows = await sql<LogRow[]>`
    select ${logColumns(sql)} from agent_logs l
    left join releases r on r.id = l.release_id and r.agent_id = l.agent_id
    where l.agent_id = ${agentId} and ${matching(sql, wanted.grep)}
      and ${wanted.since === undefined ? sql`true` : sql`l.at >= ${wanted.since}`}
    order by l.at desc, l.machine_id desc, l.sequence desc limit ${wanted.tail}`
  return rows.reverse()
}

/** Lines after a position, whatever their times: a reader who follows misses none. */
export async function readLogsAfter(
  sql: Sql,
  agentId: string,
  position: LogPosition,
  limit: number,
): Promise<LogRow[]> {
  return sql<LogRow[]>`
    select ${logColumns(sql)} from machines m
    left join jsonb_each_text(${sql.json(position)}) as seen (machine_id, sequence) on seen.machine_id = m.id
    cross join lateral (
      select * from agent_logs l
      where l.machine_id = m.id and l.sequence > coalesce(seen.sequence::bigint, -1)
      order by l.sequence limit ${limit}) as l
    left join releases r on r.id = l.release_id and r.agent_id = l.agent_id
    where m.agent_id = ${agentId}
    order by l.at, l.machine_id, l.sequence`
}

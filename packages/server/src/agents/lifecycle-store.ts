import type { Size } from '@agentctl/contract/agent-config.ts'
import type { AgentStatus } from '@agentctl/contract/agents.ts'
import type { Sql } from '../platform/db.ts'
import { REST_KIND } from './operation-kinds.ts'
import type { ReleaseRow } from './store.ts'

// What becomes of agents and their releases. Whoever writes here holds the lock of the agent.

export type Rest = 'stopped' | 'suspended'
type Failure = NonNullable<ReleaseRow['failure']>

/** An agent as its writers see it: locked, and with what decides about its future. */
export interface LockedAgent {
  id: string
  namespaceId: string
  ownerAccountId: string
  name: string
  size: Size
  status: AgentStatus
  releaseId: string | null
  desiredReleaseId: string | null
  revision: number
  rest: Rest | null
  resumes: boolean
}

/** Makes its other writers wait; undefined once it is deleted. */
export async function lockAgent(sql: Sql, id: string): Promise<LockedAgent | undefined> {
  const [row] = await sql<LockedAgent[]>`
    select a.id, a.namespace_id as "namespaceId", n.owner_account_id as "ownerAccountId", a.name, a.size, a.status,
      a.release_id as "releaseId", a.desired_release_id as "desiredReleaseId", a.revision, a.rest, a.resumes
    from agents a join namespaces n on n.id = a.namespace_id
    where a.id = ${id} and a.status <> 'deleted' for update of a`
  return row
}

/** A release was begun: the agent is used, and starts unless it serves already. */
export async function setAgentUsed(sql: Sql, id: string, now: Date): Promise<void> {
  await sql`
    update agents set used_at = ${now},
      status = case when release_id is null or rest is not null then 'starting' else status end
    where id = ${id}`
}

export async function setAgentLive(
  sql: Sql,
  id: string,
  { releaseId, size, now }: { releaseId: string; size: Size; now: Date },
): Promise<void> {
  await sql`
    update agents set release_id = ${releaseId}, status = 'running', size = ${size}, used_at = ${now},
      rest = null, rest_since = null, resumes = false, snapshot_delete_at = null
    where id = ${id}`
}

/** What the machine that serves says about the live release. */
export async function setAgentHealth(sql: Sql, id: string, status: 'running' | 'failing'): Promise<void> {
  await sql`
    update agents set status = ${status}
    where id = ${id} and status in ('running', 'failing') and status <> ${status}`
}

export async function setDesiredRelease(sql: Sql, id: string, releaseId: string): Promise<void> {
  await sql`
    update agents set desired_release_id = ${releaseId}, revision = revision + 1
    where id = ${id} and desired_release_id is distinct from ${releaseId}`
}

/** After a release that failed: what was before goes on, and what rested rests. */
export async function fallBack(sql: Sql, id: string): Promise<void> {
  await sql`
    update agents set revision = revision + 1,
      desired_release_id = case when rest is null then release_id end,
      status = case when rest is not null then rest when release_id is null then 'failing' else status end
    where id = ${id} and status <> 'deleted'`
}

export async function setAgentResting(
  sql: Sql,
  id: string,
  {
    rest,
    since,
    resumes,
    snapshotDeleteAt,
  }: { rest: Rest; since: Date; resumes: boolean; snapshotDeleteAt: Date | null },
): Promise<void> {
  await sql`
    update agents set status = ${rest}, rest = ${rest}, rest_since = ${since}, resumes = ${resumes},
      snapshot_delete_at = ${snapshotDeleteAt}, desired_release_id = null, revision = revision + 1
    where id = ${id}`
}

/** Those that are being laid to rest now. In trouble is one whose last visit ended because its provider was. */
export function listRestsUnderWay(
  sql: Sql,
  agentIds: readonly string[],
): Promise<{ agentId: string; isInTrouble: boolean }[]> {
  return sql<{ agentId: string; isInTrouble: boolean }[]>`
    select subject as "agentId", coalesce(last_error like '%provider_unavailable%', false) as "isInTrouble"
    from operations where subject = any(${[...agentIds]}::text[]) and state = 'pending' and kind = ${REST_KIND}`
}

export async function setResumes(sql: Sql, id: string, resumes: boolean): Promise<void> {
  await sql`update agents set resumes = ${resumes} where id = ${id}`
}

export async function setAgentDeleted(sql: Sql, id: string, now: Date): Promise<void> {
  await sql`
    update agents set status = 'deleted', deleted_at = ${now}, release_id = null, desired_release_id = null,
      rest = null, rest_since = null, resumes = false, snapshot_delete_at = null, revision = revision + 1
    where id = ${id}`
}

/** Undefined leaves a cap as it is. */
export async function setSpendCaps(
  sql: Sql,
  id: string,
  { maxHourlyMicros, maxTotalMicros }: SpendCaps,
): Promise<void> {
  await sql`
    update agents set
      max_hourly_micros = ${maxHourlyMicros === undefined ? sql`max_hourly_micros` : maxHourlyMicros},
      max_total_micros = ${maxTotalMicros === undefined ? sql`max_total_micros` : maxTotalMicros}
    where id = ${id}`
}

/** What an agent may cost, whatever its account has; null for no such limit. */
export interface SpendCaps {
  maxHourlyMicros: bigint | null | undefined
  maxTotalMicros: bigint | null | undefined
}

export async function setReleaseStep(sql: Sql, id: string, step: string): Promise<void> {
  await sql`
    update releases set step = ${step} where id = ${id} and status = 'pending' and step is distinct from ${step}`
}

export async function setReleaseStarting(
  sql: Sql,
  id: string,
  { step, timings }: { step: string; timings: ReleaseRow['timings'] },
): Promise<void> {
  await sql`update releases set status = 'starting', step = ${step}, timings = ${sql.json(timings)} where id = ${id}`
}

export async function setReleaseTimings(sql: Sql, id: string, timings: ReleaseRow['timings']): Promise<void> {
  await sql`update releases set timings = ${sql.json(timings)} where id = ${id}`
}

/** It serves; the one before does not any more. */
export async function setReleaseLive(
  sql: Sql,
  { id, agentId, timings, now }: Pick<ReleaseRow, 'id' | 'agentId' | 'timings'> & { now: Date },
): Promise<void> {
  await sql`
    update releases set status = 'retired', finished_at = ${now} where agent_id = ${agentId} and status = 'live'`
  await sql`
    update releases set status = 'live', step = null, live_at = ${now}, timings = ${sql.json(timings)}
    where id = ${id}`
}

/** False when it had ended already. */
export async function setReleaseFailed(sql: Sql, id: string, failure: Failure, now: Date): Promise<boolean> {
  const rows = await sql`
    update releases set status = 'failed', step = null, failure = ${sql.json(failure)}, finished_at = ${now}
    where id = ${id} and status in ('pending', 'starting') returning 1`
  return rows.length > 0
}

/** Ends whatever release of the agent is under way. */
export async function failReleasesUnderWay(
  sql: Sql,
  agentId: string,
  failure: Failure,
  now: Date,
): Promise<void> {
  await sql`
    update releases set status = 'failed', step = null, failure = ${sql.json(failure)}, finished_at = ${now}
    where agent_id = ${agentId} and status in ('pending', 'starting')`
}

export async function findPendingRelease(sql: Sql, agentId: string): Promise<string | undefined> {
  const [row] = await sql<{ id: string }[]>`
    select id from releases where agent_id = ${agentId} and status = 'pending' order by number desc limit 1`
  return row?.id
}

/** What is asked again and again about all agents. */
export interface RestingAgent {
  id: string
  namespaceId: string
  ownerAccountId: string
  name: string
  size: Size
  rest: Rest
  resumes: boolean
}

/**
 * Suspended ones, and those that did not become healthy on another machine, as far as nothing is being done about
 * them; the most recently used first.
 */
export function listWaiting(sql: Sql, limit: number): Promise<RestingAgent[]> {
  return sql<RestingAgent[]>`
    select a.id, a.namespace_id as "namespaceId", n.owner_account_id as "ownerAccountId", a.name, a.size, a.rest,
      a.resumes
    from agents a join namespaces n on n.id = a.namespace_id
    where a.status = a.rest and (a.rest = 'suspended' or a.resumes)
    order by a.used_at desc limit ${limit}`
}

/**
 * Whoever is about to have something burn decides one after another for each account: otherwise two at once would both
 * find room under a limit that has room for one. Taken before the locks of agents and operations.
 */
export async function lockMeans(tx: Sql, accountId: string): Promise<void> {
  await tx`select pg_advisory_xact_lock(hashtextextended(${`means of ${accountId}`}, 4207720))`
}

/** Agents of an account whose release is under way, and on which machine: they will burn that once it is healthy. */
export function listComing(sql: Sql, accountId: string): Promise<{ agentId: string; size: Size }[]> {
  return sql<{ agentId: string; size: Size }[]>`
    select a.id as "agentId", r.config ->> 'size' as size
    from releases r join agents a on a.id = r.agent_id join namespaces n on n.id = a.namespace_id
    where n.owner_account_id = ${accountId} and r.status in ('pending', 'starting')`
}

export interface PurgeableAgent {
  agentId: string
  resumes: boolean
  snapshotId: string
  namespaceId: string
  name: string
  accountId: string
}

/** Suspended ones whose grace period is over and whose snapshot is still there. */
export function listPurgeable(sql: Sql, now: Date, limit: number): Promise<PurgeableAgent[]> {
  return sql<PurgeableAgent[]>`
    select a.id as "agentId", a.resumes, s.id as "snapshotId", a.namespace_id as "namespaceId", a.name,
      n.owner_account_id as "accountId"
    from agents a join namespaces n on n.id = a.namespace_id
      join snapshots s on s.agent_id = a.id and s.state = 'complete'
    where a.rest = 'suspended' and a.status = 'suspended' and a.snapshot_delete_at <= ${now}
    order by a.snapshot_delete_at limit ${limit}`
}

/** Agents that may cost only so much in all. */
export function listCapped(
  sql: Sql,
): Promise<{ id: string; ownerAccountId: string; name: string; maxTotalMicros: bigint }[]> {
  return sql<{ id: string; ownerAccountId: string; name: string; maxTotalMicros: bigint }[]>`
    select a.id, n.owner_account_id as "ownerAccountId", a.name, a.max_total_micros as "maxTotalMicros"
    from agents a join namespaces n on n.id = a.namespace_id
    where a.max_total_micros is not null and a.status <> 'deleted' and a.rest is null and a.release_id is not null`
}

/** Agents that rested for lack of credits when their account was suspended: their grace period ends as well. */
export async function endGrace(sql: Sql): Promise<void> {
  await sql`
    update agents set snapshot_delete_at = null
    where rest = 'suspended' and snapshot_delete_at is not null
      and namespace_id in (
        select n.id from namespaces n join account_standings s on s.account_id = n.owner_account_id
        where s.state = 'suspended')`
}

/** Agents at rest whose account was suspended and is not any more: from now on their files wait for credits only. */
export async function beginGrace(sql: Sql, snapshotDeleteAt: Date): Promise<void> {
  await sql`
    update agents set snapshot_delete_at = ${snapshotDeleteAt}
    where rest = 'suspended' and status = 'suspended' and snapshot_delete_at is null
      and namespace_id in (
        select n.id from namespaces n join account_standings s on s.account_id = n.owner_account_id
        where s.state <> 'suspended')`
}

/** Agents of an account that have a machine to lose. */
export function listAwake(sql: Sql, accountId: string): Promise<{ id: string; name: string }[]> {
  return sql<{ id: string; name: string }[]>`
    select a.id, a.name from agents a join namespaces n on n.id = a.namespace_id
    where n.owner_account_id = ${accountId} and a.status <> 'deleted' and a.rest is null and a.release_id is not null`
}

import type { Sql } from '../platform/db.ts'
import type { MachineRow } from './machine-store.ts'

/**
 * intended: its row precedes the order. created: the provider has it. warm: its runner waits to be told whose it is.
 * bound: an agent has it, for good. deleting: to be given to nobody, going away. deleted: the provider has it no more.
 */
export type WarmState = 'intended' | 'created' | 'warm' | 'bound' | 'deleting' | 'deleted'

/** Why one was not kept. */
export type WarmEnding =
  | 'sold_out'
  | 'refused'
  | 'not_ready'
  | 'silent'
  | 'gone'
  | 'outdated'
  | 'aged'
  | 'not_wanted'
  | 'budget'

export interface WarmRow {
  id: string
  label: string
  providerId: string | null
  plan: string
  state: WarmState
  scriptSha256: Buffer
  staleSince: Date | null
  address: string | null
  createdAt: Date
  seenAt: Date | null
}

const warmColumns = (sql: Sql) => sql`
  id, label, provider_id as "providerId", plan, state, script_sha256 as "scriptSha256", stale_since as "staleSince",
  address, created_at as "createdAt", seen_at as "seenAt"`

/** What its operation works on. An agent that has it by now has operations of its own about the same machine. */
export const warmSubject = (id: string): string => `warm:${id}`

export async function findWarmBySubject(sql: Sql, subject: string): Promise<WarmRow | undefined> {
  const [row] = await sql<WarmRow[]>`
    select ${warmColumns(sql)} from warm_machines where id = ${subject.replace(/^warm:/, '')}`
  return row
}

/** Those that wait for an agent, or will, oldest first. */
export function listKept(sql: Sql): Promise<WarmRow[]> {
  return sql<WarmRow[]>`
    select ${warmColumns(sql)} from warm_machines
    where state in ('intended', 'created', 'warm') order by created_at, id`
}

/** The row that precedes the order at the provider. */
export async function insertWarm(
  sql: Sql,
  row: Pick<WarmRow, 'id' | 'label' | 'plan' | 'scriptSha256'> & {
    monthlyMicros: bigint
    bootstrapHash: Buffer
    now: Date
  },
): Promise<void> {
  await sql`
    insert into warm_machines (id, label, plan, state, script_sha256, monthly_micros, bootstrap_hash, created_at)
    values (${row.id}, ${row.label}, ${row.plan}, 'intended', ${row.scriptSha256}, ${row.monthlyMicros},
      ${row.bootstrapHash}, ${row.now})`
}

export async function setWarmCreated(
  sql: Sql,
  id: string,
  found: { id: string; address: string | null },
): Promise<void> {
  await sql`
    update warm_machines set provider_id = ${found.id}, address = ${found.address}, state = 'created'
    where id = ${id} and state = 'intended'`
}

export async function setWarmAddress(sql: Sql, id: string, address: string): Promise<void> {
  await sql`update warm_machines set address = ${address} where id = ${id} and state = 'created'`
}

/** Its runner has come with the token that it was given, and where it is is known. */
export async function setWarm(sql: Sql, id: string, now: Date): Promise<void> {
  await sql`
    update warm_machines set state = 'warm', warm_at = ${now}
    where id = ${id} and state = 'created' and address is not null and bootstrap_hash is null
      and waiting_hash is not null`
}

export async function setWarmDeleting(sql: Sql, id: string, ending: WarmEnding): Promise<void> {
  await sql`
    update warm_machines set state = 'deleting', ending = ${ending}
    where id = ${id} and state in ('intended', 'created', 'warm')`
}

export async function setWarmDeleted(sql: Sql, id: string, now: Date): Promise<void> {
  await sql`
    update warm_machines set state = 'deleted', deleted_at = ${now}, address = null, bootstrap_hash = null,
      waiting_hash = null
    where id = ${id} and state = 'deleting'`
}

/** Notes since when one would be made otherwise; null for one that would be made the same. */
export async function setStale(sql: Sql, id: string, since: Date | null): Promise<void> {
  await sql`update warm_machines set stale_since = ${since} where id = ${id}`
}

/** For the token in its script, until the one that it was traded for is used: another one to wait with. */
export async function tradeBootstrap(
  sql: Sql,
  bootstrapHash: Buffer,
  { waitingHash, now }: { waitingHash: Buffer; now: Date },
): Promise<boolean> {
  const rows = await sql`
    update warm_machines set waiting_hash = ${waitingHash}, seen_at = ${now}
    where bootstrap_hash = ${bootstrapHash} and state in ('intended', 'created') returning 1`
  return rows.length > 0
}

/** Whose runner waits with this token. */
export async function findWaiting(
  sql: Sql,
  waitingHash: Buffer,
): Promise<{ id: string; state: WarmState } | undefined> {
  const [row] = await sql<{ id: string; state: WarmState }[]>`
    select id, state from warm_machines where waiting_hash = ${waitingHash}`
  return row
}

export async function setWaiting(sql: Sql, id: string, now: Date): Promise<void> {
  await sql`
    update warm_machines set seen_at = ${now}, bootstrap_hash = null
    where id = ${id} and state in ('intended', 'created', 'warm')`
}

/**
 * Takes the longest waiting one for an agent, once and for good: its state and the machine of the agent are written by
 * one statement. Whoever comes at the same moment takes another one, or none. Undefined when there is none.
 */
export async function bindWarm(
  sql: Sql,
  wanted: {
    plan: string
    scriptSha256: Buffer
    seenSince: Date
    agentId: string
    namespaceId: string
    operationId: string
    now: Date
  },
): Promise<Pick<MachineRow, 'id'> | undefined> {
  const [row] = await sql<{ id: string }[]>`
    with taken as (
      update warm_machines set state = 'bound', bound_at = ${wanted.now}
      where id = (
        select id from warm_machines
        where state = 'warm' and plan = ${wanted.plan} and script_sha256 = ${wanted.scriptSha256}
          and seen_at >= ${wanted.seenSince}
        order by warm_at for update skip locked limit 1)
      returning id, label, provider_id, address, waiting_hash, seen_at)
    insert into machines (id, agent_id, namespace_id, generation, label, operation_id, plan, state, bootstrap_hash,
      provider_id, address, created_at, seen_at)
    select id, ${wanted.agentId}, ${wanted.namespaceId},
      (select coalesce(max(generation), 0) + 1 from machines where agent_id = ${wanted.agentId}),
      label, ${wanted.operationId}, ${wanted.plan}, 'created', waiting_hash, provider_id, address, ${wanted.now}, seen_at
    from taken
    returning id`
  return row
}

/** Plans that could not be had, or not brought up, and when that was last. */
export function listTroubles(
  sql: Sql,
  since: Date,
): Promise<{ plan: string; ending: WarmEnding; at: Date }[]> {
  return sql<{ plan: string; ending: WarmEnding; at: Date }[]>`
    select distinct on (plan, ending) plan, ending, deleted_at as at from warm_machines
    where state = 'deleted' and deleted_at > ${since}
      and ending in ('sold_out', 'refused', 'not_ready', 'silent', 'gone')
    order by plan, ending, deleted_at desc`
}

/**
 * What they have cost since the beginning of a month until an agent had them, as the provider bills: begun hours, and
 * at most a month's price, which is that of 672 hours.
 */
export async function sumWarmCost(
  sql: Sql,
  { monthStart, now }: { monthStart: Date; now: Date },
): Promise<bigint> {
  const [row] = await sql<{ micros: bigint }[]>`
    select coalesce(sum(ceil(monthly_micros * least(1, ceil(extract(epoch from
        coalesce(bound_at, deleted_at, ${now}) - greatest(created_at, ${monthStart})) / 3600) / 672))), 0)::bigint
      as micros
    from warm_machines
    where provider_id is not null and coalesce(bound_at, deleted_at, ${now}) > ${monthStart}`
  return row?.micros ?? 0n
}

/** What is kept by plan, and what it would cost to keep it for a month. */
export function countKept(
  sql: Sql,
): Promise<{ plan: string; warm: number; making: number; leaving: number; monthlyMicros: bigint }[]> {
  return sql<{ plan: string; warm: number; making: number; leaving: number; monthlyMicros: bigint }[]>`
    select plan,
      (count(*) filter (where state = 'warm' and stale_since is null))::int as warm,
      (count(*) filter (where state in ('intended', 'created') and stale_since is null))::int as making,
      (count(*) filter (where state = 'deleting' or stale_since is not null))::int as leaving,
      sum(monthly_micros)::bigint as "monthlyMicros"
    from warm_machines where state not in ('bound', 'deleted') group by plan`
}

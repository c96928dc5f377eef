import type { Sql } from '../platform/db.ts'

/**
 * intended: its row precedes the order. created: the provider has it. ready: its runner serves a healthy release, and
 * the router sends requests to it. resting: out of service, its disk is being kept in a snapshot. deleting: out of
 * service, going away. deleted: the provider has it no more.
 */
export type MachineState = 'intended' | 'created' | 'ready' | 'resting' | 'deleting' | 'deleted'

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
  /** What its disk was made from; null for a blank one. */
  snapshotId: string | null
  createdAt: Date
  /** Null until it has phoned home. */
  seenAt: Date | null
  /** Whether it can prove itself to the server. */
  trusted: boolean
}

const machineColumns = (sql: Sql) => sql`
  id, agent_id as "agentId", namespace_id as "namespaceId", generation, label, provider_id as "providerId", plan, state,
  address, port, snapshot_id as "snapshotId", created_at as "createdAt", seen_at as "seenAt",
  token_hash is not null as trusted`

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
    snapshotId: string | null
    now: Date
  },
): Promise<MachineRow> {
  const [row] = await sql<MachineRow[]>`
    insert into machines (id, agent_id, namespace_id, generation, label, operation_id, plan, state, bootstrap_hash, snapshot_id,
      created_at)
    select ${machine.id}, ${machine.agentId}, ${machine.namespaceId}, generation,
      ${machine.operationId} || '-g' || generation, ${machine.operationId}, ${machine.plan}, 'intended',
      ${machine.bootstrapHash}, ${machine.snapshotId}, ${machine.now}
    from (select coalesce(max(generation), 0) + 1 as generation from machines where agent_id = ${machine.agentId}) as next
    returning ${machineColumns(sql)}`
  if (!row) throw new Error('A machine was not inserted.')
  return row
}

/** The provider has it: told by its order, or found by its label. */
export async function setMachineCreated(
  sql: Sql,
  id: string,
  found: { id: string; address: string | null },
): Promise<void> {
  await sql`
    update machines set provider_id = ${found.id}, address = ${found.address}, state = 'created'
    where id = ${id} and state = 'intended'`
}

export async function setMachineAddress(sql: Sql, id: string, address: string): Promise<void> {
  await sql`update machines set address = ${address} where id = ${id} and state = 'created'`
}

export async function setMachineState(
  sql: Sql,
  id: string,
  state: 'ready' | 'resting' | 'deleting',
): Promise<void> {
  await sql`update machines set state = ${state} where id = ${id} and state not in (${state}, 'deleted')`
}

/** Its credentials are worth nothing from now on; in both directions. */
export async function revokeMachine(sql: Sql, id: string): Promise<void> {
  await sql`
    update machines set bootstrap_hash = null, token_hash = null, key_id = null, router_nonce = null,
      router_ciphertext = null
    where id = ${id}`
}

export async function setMachineDeleted(sql: Sql, id: string, now: Date): Promise<void> {
  await revokeMachine(sql, id)
  await sql`
    update machines set state = 'deleted', deleted_at = ${now}, address = null, port = null where id = ${id}`
}

export async function setMachineSeen(
  sql: Sql,
  id: string,
  { port, now }: { port: number; now: Date },
): Promise<void> {
  await sql`update machines set seen_at = ${now} where id = ${id}`
  // Apart, for it is announced to routers.
  await sql`update machines set port = ${port} where id = ${id} and port is distinct from ${port}`
}

/** Whose machine token this is; `fresh` while its bootstrap token still counts. */
export async function findMachineByToken(
  sql: Sql,
  tokenHash: Buffer,
): Promise<{ machineId: string; agentId: string; fresh: boolean } | undefined> {
  const [row] = await sql<{ machineId: string; agentId: string; fresh: boolean }[]>`
    select id as "machineId", agent_id as "agentId", bootstrap_hash is not null as fresh from machines
    where token_hash = ${tokenHash} and state <> 'deleted'`
  return row
}

/** False when another token has taken its place. */
export async function endBootstrap(sql: Sql, id: string, tokenHash: Buffer): Promise<boolean> {
  const used = await sql`
    update machines set bootstrap_hash = null where id = ${id} and token_hash = ${tokenHash} returning id`
  return used.length > 0
}

/** A machine on its way, or one that lost its credential and was given another bootstrap token. */
export async function findGreeting(
  sql: Sql,
  bootstrapHash: Buffer,
): Promise<{ id: string; agentId: string } | undefined> {
  const [row] = await sql<{ id: string; agentId: string }[]>`
    select id, agent_id as "agentId" from machines
    where bootstrap_hash = ${bootstrapHash} and state in ('intended', 'created', 'ready')`
  return row
}

export async function setBootstrap(sql: Sql, id: string, bootstrapHash: Buffer): Promise<void> {
  await sql`update machines set bootstrap_hash = ${bootstrapHash} where id = ${id}`
}

/** False when the bootstrap token does not count any more. */
export async function greet(
  sql: Sql,
  id: string,
  greeting: {
    bootstrapHash: Buffer
    tokenHash: Buffer
    sealed: { keyId: string; nonce: Buffer; ciphertext: Buffer }
    now: Date
  },
): Promise<boolean> {
  const { sealed } = greeting
  const greeted = await sql`
    update machines set token_hash = ${greeting.tokenHash}, key_id = ${sealed.keyId}, router_nonce = ${sealed.nonce},
      router_ciphertext = ${sealed.ciphertext}, seen_at = ${greeting.now}
    where id = ${id} and bootstrap_hash = ${greeting.bootstrapHash} and state in ('created', 'ready') returning id`
  return greeted.length > 0
}

/** Machines that serve, or should, and have not been heard of for a while. */
export function listSilent(
  sql: Sql,
  since: Date,
  limit: number,
): Promise<{ id: string; agentId: string; namespaceId: string; seenAt: Date | null }[]> {
  return sql<{ id: string; agentId: string; namespaceId: string; seenAt: Date | null }[]>`
    select m.id, m.agent_id as "agentId", m.namespace_id as "namespaceId", m.seen_at as "seenAt"
    from machines m join agents a on a.id = m.agent_id
    where m.state = 'ready' and a.status <> 'deleted' and coalesce(m.seen_at, m.created_at) < ${since}
    order by m.seen_at limit ${limit}`
}

/** Whether there is a wish for this machine, and what is live and desired. */
export interface MachineWish {
  agentId: string
  name: string
  namespace: string
  namespaceOwner: string
  label: string
  revision: number
  live: string | null
  desired: string | null
  state: MachineState
  /** Whether another one is on its way to follow it. */
  followed: boolean
}

export async function findMachineWish(sql: Sql, id: string): Promise<MachineWish | undefined> {
  const [row] = await sql<MachineWish[]>`
    select a.id as "agentId", a.name, n.name as namespace, n.owner_account_id as "namespaceOwner", a.label, a.revision,
      a.release_id as live, a.desired_release_id as desired, m.state,
      exists (select from machines next where next.agent_id = a.id and next.state in ('intended', 'created')) as followed
    from machines m join agents a on a.id = m.agent_id join namespaces n on n.id = a.namespace_id
    where m.id = ${id}`
  return row
}

import type { Size } from '@agentctl/contract/agent-config.ts'
import type { Agent } from '@agentctl/contract/agents.ts'
import type { Role } from '@agentctl/contract/endpoint.ts'
import { zeroAtOf } from '../billing/runway.ts'
import type { Deps } from '../deps.ts'
import { enterNamespace, seeNamespace } from '../identity/access.ts'
import { secondsAfter, startOfMonth } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import type { Caller } from '../platform/http.ts'
import { newId } from '../platform/ids.ts'
import { cancelOperation, startOperation } from '../platform/operations.ts'
import { Problem } from '../platform/problem.ts'
import { type AgentDomain, listDomainsOf, wakeDomainsOf } from './domain-store.ts'
import { suffixedLabel, wantedLabel } from './labels.ts'
import { failReleasesUnderWay, listRestsUnderWay, lockAgent, setAgentDeleted } from './lifecycle-store.ts'
import { PROVIDER_IN_TROUBLE } from './limits.ts'
import { meterAgent } from './metering.ts'
import { type AgentRow, agentsOf, findAgentById, findAgentByName, insertAgent } from './store.ts'
import { transfersOf } from './transfer.ts'

const DAY_SECONDS = 86_400
const LABEL_TRIES = 5
const FIRST_SIZE: Size = 'small'

export function agentUrl({ config }: Pick<Deps, 'config'>, label: string): string {
  return config.agentUrlTemplate.replace('{label}', label)
}

const COPYING = 'Its files are being copied, then its machine goes'

/** `zeroAt` is when the credits of its account end; undefined while it burns nothing. */
function agentView(
  deps: Pick<Deps, 'config'>,
  agent: AgentRow,
  {
    zeroAt,
    domains = [],
    transfer = null,
    step = null,
  }: {
    zeroAt?: Date | null | undefined
    domains?: readonly AgentDomain[] | undefined
    transfer?: Agent['transfer'] | undefined
    step?: string | null | undefined
  },
): Agent {
  const snapshotDeletedAt =
    agent.snapshotDeleteAt ?? (zeroAt ? secondsAfter(zeroAt, deps.config.graceDays * DAY_SECONDS) : null)
  return {
    id: agent.id,
    name: agent.name,
    namespace: agent.namespace,
    url: agentUrl(deps, agent.label),
    status: agent.status,
    step,
    size: agent.size,
    region: agent.region,
    release:
      agent.releaseId !== null && agent.releaseNumber !== null
        ? { id: agent.releaseId, number: agent.releaseNumber }
        : null,
    domains: domains.map(({ hostname, status }) => ({ hostname, status })),
    transfer,
    suspendsAt: zeroAt?.toISOString() ?? null,
    snapshotDeletedAt: snapshotDeletedAt?.toISOString() ?? null,
  }
}

/**
 * With the times at which they will be suspended and lose their snapshots if everything goes on as it is. Read by the
 * jobs role: whoever may see an agent sees how long it will run, and nothing else of its owner's credits.
 */
export async function agentViews(
  deps: Pick<Deps, 'config' | 'db' | 'clock'>,
  agents: readonly AgentRow[],
): Promise<Agent[]> {
  const burning = agents.filter(({ status, rest, releaseId }) => {
    return status !== 'deleted' && releaseId !== null && rest !== 'suspended'
  })
  const zeroAt = new Map<string, Date | null>()
  for (const account of new Set(burning.map(({ ownerAccountId }) => ownerAccountId))) {
    zeroAt.set(account, await zeroAtOf(deps.db.jobs, account, deps.clock.now()))
  }
  const ids = agents.map(({ id }) => id)
  const found = await listDomainsOf(deps.db.jobs, ids)
  const transfers = await transfersOf(deps.db.jobs, startOfMonth(deps.clock.now()), ids)
  const rests = await listRestsUnderWay(deps.db.jobs, ids)
  const steps = new Map(
    rests.map((rest) => [rest.agentId, rest.isInTrouble ? PROVIDER_IN_TROUBLE : COPYING] as const),
  )
  const domains = Map.groupBy(found, ({ agentId }) => agentId)
  return agents.map((agent) =>
    agentView(deps, agent, {
      zeroAt: burning.includes(agent) ? zeroAt.get(agent.ownerAccountId) : undefined,
      domains: domains.get(agent.id),
      transfer: transfers.get(agent.id),
      step: steps.get(agent.id),
    }),
  )
}

export async function viewOf(deps: Pick<Deps, 'config' | 'db' | 'clock'>, agent: AgentRow): Promise<Agent> {
  const [view] = await agentViews(deps, [agent])
  return view ?? agentView(deps, agent, {})
}

/** Which agent a request is about: an id, or a name in a namespace. */
export interface AgentWanted {
  agent: string
  namespace: string | undefined
}

/**
 * The agent, if the caller has this role in its namespace. To a stranger somebody else's agent looks like none, and
 * to a key so does one outside of its namespace.
 */
export async function enterAgent(
  tx: Sql,
  caller: Caller,
  wanted: AgentWanted,
  role: Role,
): Promise<AgentRow> {
  if (!wanted.agent.startsWith('agt_')) {
    const namespace = await enterNamespace(tx, caller, wanted.namespace, role)
    const agent = await findAgentByName(tx, namespace.id, wanted.agent)
    if (!agent) throw noSuchAgent()
    return agent
  }
  const agent = await findAgentById(tx, wanted.agent)
  if (!agent || (wanted.namespace !== undefined && wanted.namespace !== agent.namespace)) throw noSuchAgent()
  await enterNamespaceOf(tx, caller, agent, role, noSuchAgent)
  return agent
}

/** Enters a namespace that the caller did not name, so that its absence must not speak of a namespace. */
export async function enterNamespaceOf(
  tx: Sql,
  caller: Caller,
  thing: { namespace: string },
  role: Role,
  refusal: () => Problem,
): Promise<void> {
  try {
    await enterNamespace(tx, caller, thing.namespace, role)
  } catch (error) {
    if (error instanceof Problem && error.code === 'not_found') throw refusal()
    throw error
  }
}

export function noSuchAgent(): Problem {
  return new Problem('not_found', 'There is no such agent.')
}

export async function listAgents(
  { db }: Pick<Deps, 'db'>,
  caller: Caller,
  namespace: string | undefined,
  role: Role,
): Promise<AgentRow[]> {
  const isOne = namespace !== undefined || caller.namespaceId !== null
  const one = isOne ? await seeNamespace(db, caller, namespace, role) : undefined
  return db.read({ account: caller.accountId }, (sql) => agentsOf(sql, one?.id))
}

/** The agent of this name, made if there is none. Its label is chosen now and stays for life. */
export async function makeSureOfAgent(
  tx: Sql,
  namespace: { id: string; name: string },
  { name, size = FIRST_SIZE, now }: { name: string; size?: Size; now: Date },
): Promise<AgentRow> {
  for (let attempt = 0; attempt < LABEL_TRIES; attempt++) {
    const existing = await findAgentByName(tx, namespace.id, name)
    if (existing) return existing
    const label = attempt === 0 ? wantedLabel(name, namespace.name) : suffixedLabel(name, namespace.name)
    await insertAgent(tx, { id: newId('agt'), namespaceId: namespace.id, name, label, size, now })
  }
  throw new Error('No label was free for an agent.')
}

export async function createAgent(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  caller: Caller,
  wanted: { name: string; namespace: string | undefined },
  role: Role,
): Promise<AgentRow> {
  return db.as({ account: caller.accountId }, async (tx) => {
    const namespace = await enterNamespace(tx, caller, wanted.namespace, role)
    return makeSureOfAgent(tx, namespace, { name: wanted.name, now: clock.now() })
  })
}

export async function showAgent(
  { db }: Pick<Deps, 'db'>,
  caller: Caller,
  wanted: AgentWanted,
  role: Role,
): Promise<AgentRow> {
  return db.as({ account: caller.accountId }, (tx) => enterAgent(tx, caller, wanted, role))
}

/** False when it is deleted already; then nothing of this transaction may stay. */
export async function endAgent(
  tx: Sql,
  agent: Pick<AgentRow, 'id' | 'namespaceId'>,
  now: Date,
): Promise<boolean> {
  await cancelOperation(tx, agent.id, now)
  const started = await startOperation(tx, {
    kind: 'delete-agent',
    subject: agent.id,
    namespaceId: agent.namespaceId,
    now,
  })
  const locked = await lockAgent(tx, agent.id)
  if (!started || !locked) return false
  const failure = { reason: 'agent_deleted', message: 'The agent was deleted.', logTail: [] }
  await failReleasesUnderWay(tx, agent.id, failure, now)
  await setAgentDeleted(tx, agent.id, now)
  await wakeDomainsOf(tx, agent.id)
  await meterAgent(tx, locked, 'suspended', now)
  return true
}

/**
 * The agent is gone for everybody at once, and burns nothing from that moment; its machine and data go by an operation.
 * A deploy under way loses its lease in the same transaction, so that it cannot bring anything back.
 */
export async function deleteAgent(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  caller: Caller,
  wanted: AgentWanted,
  role: Role,
): Promise<AgentRow> {
  const now = clock.now()
  const agent = await db.as({ account: caller.accountId }, (tx) => enterAgent(tx, caller, wanted, role))
  // Whoever may ask for it was looked at above; meters are set by the jobs role alone.
  await db.work(async (tx) => {
    if (!(await endAgent(tx, agent, now))) throw noSuchAgent()
  })
  return { ...agent, status: 'deleted', releaseId: null, releaseNumber: null, rest: null }
}

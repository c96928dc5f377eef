import type { Role } from '@agentctl/contract/endpoint.ts'
import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import type { Caller } from '../platform/http.ts'
import { cancelOperation, lockOperation, startOperation } from '../platform/operations.ts'
import { Problem } from '../platform/problem.ts'
import { type AgentWanted, enterAgent, noSuchAgent } from './agents.ts'
import {
  failReleasesUnderWay,
  type LockedAgent,
  lockAgent,
  type Rest,
  setAgentResting,
  setAgentUsed,
  setResumes,
} from './lifecycle-store.ts'
import { LAST_WORDS_SECONDS } from './limits.ts'
import { retireMachines } from './machine-removal.ts'
import { listMachines, setMachineState } from './machine-store.ts'
import { meterAgent } from './metering.ts'
import { REST_KIND } from './operation-kinds.ts'
import { deployInProgress } from './releases.ts'
import { listSnapshots } from './snapshot-store.ts'
import { type AgentRow, findAgentById } from './store.ts'

const DAY_SECONDS = 86_400

interface Resting {
  rest: Rest
  /** For suspended: when the credits ended. */
  since: Date
  graceDays: number
  now: Date
  /** Why it is suspended; because the credits are used up unless told. */
  why?: 'credits' | 'suspended' | 'banned'
}

/**
 * When the snapshot of a suspended agent goes: a grace period after the credits ended. Where nobody could suspend it in
 * time, its people still have a day to read of it.
 */
export function graceEnd({ since, graceDays, now }: Omit<Resting, 'rest'>): Date {
  const end = secondsAfter(since, graceDays * DAY_SECONDS)
  const soonest = secondsAfter(now, Math.min(graceDays, 1) * DAY_SECONDS)
  return new Date(Math.max(end.getTime(), soonest.getTime()))
}

/** Takes an agent's machine away; its files are kept in a snapshot. Told again, it changes nothing. */
export async function stopAgent(
  { db, clock, config }: Pick<Deps, 'db' | 'clock' | 'config'>,
  caller: Caller,
  wanted: AgentWanted,
  role: Role,
): Promise<AgentRow> {
  const now = clock.now()
  const { id } = await db.as({ account: caller.accountId }, (tx) => enterAgent(tx, caller, wanted, role))
  return db.work(async (tx) => {
    const busyWith = await lockOperation(tx, id)
    const agent = await lockAgent(tx, id)
    if (!agent) throw noSuchAgent()
    if (agent.releaseId === null) {
      if (busyWith !== undefined) throw deployInProgress(agent.name)
      throw new Problem('agent_not_running', 'The agent has never run, so there is nothing to stop.', {
        fix: 'Deploy it first: agentctl deploy',
      })
    }
    const stopped = async (): Promise<AgentRow> => {
      const row = await findAgentById(tx, id)
      if (!row) throw noSuchAgent()
      return row
    }
    if (agent.status === 'stopped') {
      await setResumes(tx, id, false)
      return stopped()
    }
    // No deposit starts what its people have stopped.
    if (agent.rest === 'suspended' && agent.status === 'suspended') await setResumes(tx, id, false)
    else await layToRest(tx, agent, { rest: 'stopped', since: now, graceDays: config.graceDays, now })
    return stopped()
  })
}

/** The credits of its account are used up. Undefined when it is suspended already, or gone. */
export async function suspendAgent(
  tx: Sql,
  agentId: string,
  resting: Omit<Resting, 'rest'>,
): Promise<LockedAgent | undefined> {
  await lockOperation(tx, agentId)
  const agent = await lockAgent(tx, agentId)
  if (!agent || agent.releaseId === null) return undefined
  if (agent.rest === 'suspended' && agent.status === 'suspended') return undefined
  await layToRest(tx, agent, { ...resting, rest: 'suspended' })
  return agent
}

/** The budget of its people is used up: stopped, as if they had done it. */
export async function stopForLimit(
  tx: Sql,
  agentId: string,
  resting: Omit<Resting, 'rest'>,
): Promise<boolean> {
  await lockOperation(tx, agentId)
  const agent = await lockAgent(tx, agentId)
  if (!agent || agent.releaseId === null || agent.rest !== null) return false
  await layToRest(tx, agent, { ...resting, rest: 'stopped' })
  return true
}

/**
 * Its next machine is another one and is made of its disk. If it does not become healthy there, it comes back as it
 * was. The caller has ended the operation that was under way, and its release waits for the end of this one.
 */
export async function restToMove(tx: Sql, agentId: string, now: Date): Promise<void> {
  const agent = await lockAgent(tx, agentId)
  const serving = (await listMachines(tx, agentId)).find(({ state }) => state === 'ready')
  if (!agent || !serving) return
  await setMachineState(tx, serving.id, 'resting')
  await setAgentResting(tx, agentId, { rest: 'stopped', since: now, resumes: true, snapshotDeleteAt: null })
  await setAgentUsed(tx, agentId, now)
  await meterAgent(tx, agent, 'stopped', now)
  await startOperation(tx, { kind: REST_KIND, subject: agentId, namespaceId: agent.namespaceId, now })
}

/**
 * In one transaction with what it costs from now on. The caller holds the locks of the operation and of the agent, in
 * this order. What was under way ends: a release that nobody will see run, also a return from rest.
 */
async function layToRest(
  tx: Sql,
  agent: LockedAgent,
  { rest, since, graceDays, now, why = 'credits' }: Resting,
): Promise<void> {
  const machines = await listMachines(tx, agent.id)
  const serving = machines.find(({ state }) => state === 'ready')
  const resting = machines.some(({ state }) => state === 'resting')
  const failure =
    rest === 'stopped'
      ? { reason: 'agent_stopped', message: 'The agent was stopped.', logTail: [] }
      : {
          reason: 'agent_suspended',
          message:
            why === 'credits' ? 'The credits of the account are used up.' : 'The account is suspended.',
          logTail: [],
        }
  await failReleasesUnderWay(tx, agent.id, failure, now)
  const coming = machines.filter(({ state }) => state === 'intended' || state === 'created')
  await retireMachines(tx, coming, { afterSeconds: LAST_WORDS_SECONDS, now })
  await setAgentResting(tx, agent.id, {
    rest,
    since,
    resumes: rest === 'suspended' && (agent.rest !== 'stopped' || agent.resumes),
    // While its account is suspended its files wait for the end of that.
    snapshotDeleteAt:
      rest === 'suspended' && why !== 'suspended' ? graceEnd({ since, graceDays, now }) : null,
  })
  if (serving) await setMachineState(tx, serving.id, 'resting')
  const snapshots = await listSnapshots(tx, agent.id)
  const kept = serving || resting || snapshots.some(({ state }) => state === 'complete')
  // Without a snapshot (its machine was lost) there is nothing that costs anything.
  await meterAgent(tx, agent, rest === 'stopped' && kept ? 'stopped' : 'suspended', now)
  // While it is being laid to rest already, that goes on; whatever else was being done about it ends here.
  if (resting) return
  await cancelOperation(tx, agent.id, now)
  if (serving) {
    await startOperation(tx, { kind: REST_KIND, subject: agent.id, namespaceId: agent.namespaceId, now })
  }
}

import type { AgentConfig, ManifestFile, Size } from '@agentctl/contract/agent-config.ts'
import type { Release, ReleaseStatus } from '@agentctl/contract/agents.ts'
import type { Role } from '@agentctl/contract/endpoint.ts'
import type { Deps } from '../deps.ts'
import type { Sql } from '../platform/db.ts'
import type { Caller } from '../platform/http.ts'
import { newId } from '../platform/ids.ts'
import { cancelOperation, findOperation, lockOperation, startOperation } from '../platform/operations.ts'
import { Problem } from '../platform/problem.ts'
import type { Wakes } from '../platform/wakes.ts'
import { type AgentWanted, enterAgent, enterNamespaceOf, noSuchAgent } from './agents.ts'
import { countGoneFiles } from './blob-store.ts'
import { findPendingRelease, lockAgent, lockMeans, setAgentUsed } from './lifecycle-store.ts'
import { fitsOn } from './machine-sizes.ts'
import { listMachines } from './machine-store.ts'
import { requireMeansFor } from './means.ts'
import { HEAL_KIND, REST_KIND } from './operation-kinds.ts'
import { listSnapshots } from './snapshot-store.ts'
import {
  type AgentRow,
  copyReleaseFiles,
  findAgentById,
  findEarlierHealthyRelease,
  findRelease,
  findReleaseByNumber,
  findReleaseUnderWay,
  insertRelease,
  insertReleaseFiles,
  listReleaseRows,
  type ReleaseRow,
} from './store.ts'

export function releaseView(release: ReleaseRow): Release {
  return {
    id: release.id,
    agentId: release.agentId,
    number: release.number,
    status: release.status,
    step: release.step,
    failure: release.failure,
    timings: release.timings,
    repeats: release.repeats,
    files: release.files,
    createdAt: release.createdAt.toISOString(),
    liveAt: release.liveAt?.toISOString() ?? null,
  }
}

/** Where the files of a new release are: a manifest, or an earlier release that it repeats. */
type Content = { files: readonly ManifestFile[] } | { repeating: ReleaseRow }

/**
 * Records a release and the operation that brings it about, in the caller's transaction. While the agent is being laid
 * to rest, the release waits for the end of that, which starts its operation.
 */
export async function beginRelease(
  tx: Sql,
  agent: Pick<AgentRow, 'id' | 'namespaceId' | 'name'>,
  { config, content, now }: { config: AgentConfig; content: Content; now: Date },
): Promise<ReleaseRow> {
  const id = newId('rel')
  // The operation first, then the agent: everybody locks in this order.
  const begins = await startReleaseOperation(tx, agent, id, now)
  if (begins === undefined) throw deployInProgress(agent.name)
  const locked = await lockAgent(tx, agent.id)
  if (!locked) throw noSuchAgent()
  await requireReady(tx, locked, config.size)
  const repeats = 'repeating' in content ? (content.repeating.repeats ?? content.repeating.id) : null
  const files = 'repeating' in content ? content.repeating.files : content.files.length
  const release = await insertRelease(tx, {
    ...ids(agent),
    id,
    config,
    repeats,
    files,
    step: FIRST_STEPS[begins],
    now,
  })
  if ('repeating' in content) await copyReleaseFiles(tx, content.repeating.id, id)
  else await insertReleaseFiles(tx, id, content.files)
  await setAgentUsed(tx, agent.id, now)
  return release
}

/** Refuses what `beginRelease` would refuse as things are. Nothing is locked: a plan is in nobody's way. */
export async function requireReleasable(
  tx: Sql,
  agent: Pick<AgentRow, 'id' | 'name' | 'size'>,
  size: Size,
): Promise<void> {
  const busyWith = await findOperation(tx, agent.id)
  if (!givesWay(busyWith)) throw deployInProgress(agent.name)
  await requireReady(tx, agent, size)
}

/** One release at a time, on a machine that the files fit on. */
async function requireReady(
  tx: Sql,
  agent: Pick<AgentRow, 'id' | 'name' | 'size'>,
  size: Size,
): Promise<void> {
  if (!fitsOn(agent.size, size) && (await keepsFiles(tx, agent.id))) {
    throw new Problem('invalid_config', `The files of this agent do not fit on a ${size} machine.`, {
      fix: `Choose a machine at least as large as before (${agent.size}), or delete the agent to begin anew.`,
    })
  }
  if ((await findPendingRelease(tx, agent.id)) !== undefined) throw deployInProgress(agent.name)
}

/** A release waits for the end of a rest, and makes a machine well again as healing would; all else goes first. */
const givesWay = (busyWith: string | undefined): boolean =>
  busyWith === undefined || busyWith === REST_KIND || busyWith === HEAL_KIND

export const deployInProgress = (agent: string): Problem =>
  new Problem('deploy_in_progress', undefined, { fix: `Wait for it: agentctl agents show ${agent}` })

/** Whether there are files that its next machine is made from. */
async function keepsFiles(tx: Sql, agentId: string): Promise<boolean> {
  const [snapshots, machines] = [await listSnapshots(tx, agentId), await listMachines(tx, agentId)]
  return (
    snapshots.some(({ state }) => state === 'complete') ||
    machines.some(({ state }) => state === 'resting' || state === 'ready')
  )
}

const FIRST_STEPS = {
  now: 'Waiting for its machine',
  'after a rest': 'Waiting until its files are copied; its machine is made of them',
} as const

/** When its work begins; undefined when something else is being done about the agent that must not be disturbed. */
async function startReleaseOperation(
  tx: Sql,
  agent: Pick<AgentRow, 'id' | 'namespaceId'>,
  releaseId: string,
  now: Date,
): Promise<keyof typeof FIRST_STEPS | undefined> {
  const start = () =>
    startOperation(tx, {
      kind: 'release',
      subject: agent.id,
      namespaceId: agent.namespaceId,
      stepData: { releaseId },
      now,
    })
  if (await start()) return 'now'
  const busyWith = await lockOperation(tx, agent.id)
  if (busyWith === REST_KIND) return 'after a rest'
  if (busyWith === HEAL_KIND) await cancelOperation(tx, agent.id, now)
  return givesWay(busyWith) && (await start()) !== undefined ? 'now' : undefined
}

const ids = (agent: Pick<AgentRow, 'id' | 'namespaceId'>) => ({
  agentId: agent.id,
  namespaceId: agent.namespaceId,
})

/** Starts the live release afresh; its process gets the secrets of now. An agent at rest is brought back. */
export async function restartAgent(
  deps: Pick<Deps, 'db' | 'clock'>,
  caller: Caller,
  wanted: AgentWanted,
  role: Role,
): Promise<ReleaseRow> {
  return deps.db.as({ account: caller.accountId }, async (tx) => {
    const agent = await enterAgent(tx, caller, wanted, role)
    await lockMeans(tx, agent.ownerAccountId)
    if (agent.rest !== null) await requireMeansFor(deps, agent, agent.size)
    return repeatLive(tx, agent, deps.clock.now())
  })
}

/**
 * Brings an agent at rest back with its files, by a release that repeats the last one; nothing to do for one that
 * runs.
 */
export async function startAgent(
  deps: Pick<Deps, 'db' | 'clock'>,
  caller: Caller,
  wanted: AgentWanted,
  role: Role,
): Promise<ReleaseRow> {
  return deps.db.as({ account: caller.accountId }, async (tx) => {
    const agent = await enterAgent(tx, caller, wanted, role)
    await lockMeans(tx, agent.ownerAccountId)
    const underWay = await findReleaseUnderWay(tx, agent.id)
    if (underWay) return underWay
    const live = agent.releaseId === null ? undefined : await findRelease(tx, agent.releaseId)
    if (live && agent.rest === null) return live
    if (live) await requireMeansFor(deps, agent, live.config.size)
    return repeatLive(tx, agent, deps.clock.now())
  })
}

/** Begins a release that repeats the one that is live, or was before the agent went to rest. */
export async function repeatLive(
  tx: Sql,
  agent: Pick<AgentRow, 'id' | 'namespaceId' | 'name' | 'releaseId'>,
  now: Date,
): Promise<ReleaseRow> {
  const live = agent.releaseId === null ? undefined : await findRelease(tx, agent.releaseId)
  if (!live) {
    throw new Problem('agent_not_running', 'The agent has no release that could run.', {
      fix: 'Deploy it first: agentctl deploy',
    })
  }
  return beginRelease(tx, agent, { config: live.config, content: { repeating: live }, now })
}

/** Deploys an earlier healthy release again: the one of this number, else the one that was live before. */
export async function rollBack(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  caller: Caller,
  wanted: AgentWanted & { number: number | undefined },
  role: Role,
): Promise<ReleaseRow> {
  return db.as({ account: caller.accountId }, async (tx) => {
    const agent = await enterAgent(tx, caller, wanted, role)
    const live = agent.releaseId === null ? undefined : await findRelease(tx, agent.releaseId)
    const earlier =
      wanted.number === undefined
        ? await findEarlierHealthyRelease(tx, agent.id, live)
        : await findReleaseByNumber(tx, agent.id, wanted.number)
    const list = { fix: `See: agentctl agents releases ${agent.name}` }
    if (!earlier && wanted.number !== undefined) {
      throw new Problem('not_found', `${agent.name} has no release ${wanted.number}.`, list)
    }
    if (!earlier) throw new Problem('nothing_to_roll_back', undefined, list)
    if (earlier.liveAt === null) {
      throw new Problem('nothing_to_roll_back', `Release ${earlier.number} was never healthy.`, list)
    }
    if ((await countGoneFiles(tx, agent.ownerAccountId, earlier.id)) > 0) {
      throw new Problem(
        'nothing_to_roll_back',
        `The files of release ${earlier.number} are not kept any more.`,
        {
          fix: 'Check that version out and run: agentctl deploy',
        },
      )
    }
    // What is rolled back is what runs, not the machine: its files may not fit on the one of then.
    const { size } = agent
    await lockMeans(tx, agent.ownerAccountId)
    await requireMeansFor({ db, clock }, agent, size)
    return beginRelease(tx, agent, {
      config: { ...earlier.config, size },
      content: { repeating: earlier },
      now: clock.now(),
    })
  })
}

export async function listReleases(
  { db }: Pick<Deps, 'db'>,
  caller: Caller,
  wanted: AgentWanted,
  role: Role,
): Promise<ReleaseRow[]> {
  return db.as({ account: caller.accountId }, async (tx) => {
    const agent = await enterAgent(tx, caller, wanted, role)
    return listReleaseRows(tx, agent.id)
  })
}

/** One release; waits until it differs from what the caller has seen of it. */
export async function awaitRelease(
  { db, wakes }: Pick<Deps, 'db'> & { wakes: Wakes },
  caller: Caller,
  wanted: {
    release: string
    waitSeconds: number
    status?: ReleaseStatus | undefined
    step?: string | undefined
  },
  role: Role,
  signal: AbortSignal,
): Promise<ReleaseRow> {
  const wake = wakes.of(wanted.release)
  try {
    const deadline = performance.now() + wanted.waitSeconds * 1000
    let { status, step } = wanted
    for (;;) {
      const release = await showRelease({ db }, caller, wanted.release, role)
      if (status === undefined && step === undefined) {
        status = release.status
        step = release.step ?? ''
      }
      const remaining = deadline - performance.now()
      const changed =
        (status !== undefined && status !== release.status) ||
        (step !== undefined && step !== (release.step ?? ''))
      if (changed || remaining <= 0 || signal.aborted) return release
      await wake.next(remaining, signal)
    }
  } finally {
    wake.close()
  }
}

async function showRelease(
  { db }: Pick<Deps, 'db'>,
  caller: Caller,
  id: string,
  role: Role,
): Promise<ReleaseRow> {
  const noSuchRelease = () => new Problem('not_found', 'There is no such release.')
  return db.as({ account: caller.accountId }, async (tx) => {
    const release = await findRelease(tx, id)
    const agent = release && (await findAgentById(tx, release.agentId))
    if (!agent) throw noSuchRelease()
    await enterNamespaceOf(tx, caller, agent, role, noSuchRelease)
    return release
  })
}

import { z } from 'zod'
import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import { type Lease, type Operation, type Outcome, wakeOperation } from '../platform/operations.ts'
import { Problem } from '../platform/problem.ts'
import { wakeKeepWarm } from './keep-warm-operation.ts'
import { type Failure, lateness } from './lateness.ts'
import { lockAgent, setDesiredRelease, setReleaseStep } from './lifecycle-store.ts'
import { MACHINES_PER_ACCOUNT, PROVIDER_IN_TROUBLE } from './limits.ts'
import { tellFilesLost } from './lost-files.ts'
import {
  findOrdered,
  LOOK_AGAIN_SECONDS,
  newBootstrap,
  openBootstrap,
  POLL_SECONDS_MAX,
  pollPause,
  SealedToken,
} from './machine-order.ts'
import { retireMachines } from './machine-removal.ts'
import { machineSizes } from './machine-sizes.ts'
import {
  countMachines,
  insertMachine,
  listMachines,
  type MachineRow,
  setMachineAddress,
  setMachineCreated,
  setMachineDeleted,
} from './machine-store.ts'
import { failRelease, machineComing } from './reports.ts'
import { restToMove } from './rest.ts'
import { scriptFor, scriptSha256 } from './script-for.ts'
import { findSnapshot, listSnapshots, setSnapshotDeleted } from './snapshot-store.ts'
import { type AgentRow, findAgentById, findRelease, type ReleaseRow } from './store.ts'
import { bindWarm, warmSubject } from './warm-store.ts'

/** What the operation remembers between visits. */
const Memory = z.object({
  releaseId: z.string(),
  /** The bootstrap token of its machine, sealed: the same one for every order, whichever of them succeeds. */
  bootstrap: SealedToken.exactOptional(),
  /** Set before an order goes out and while it is not known what became of it: how often was looked since. */
  looks: z.int().exactOptional(),
  /** How often the provider was asked how its machine is doing. */
  polls: z.int().exactOptional(),
  /** When it took a machine that was kept ready; `never` once such a machine has not greeted. */
  boundAt: z.union([z.iso.datetime(), z.literal('never')]).exactOptional(),
})
type Memory = z.infer<typeof Memory>

/** A machine that has not polled for so long is asked about at the provider. */
const SILENT_SECONDS = 90
/** The runner of one that was kept ready asks at least this often; it is told whose it is at once. */
const WAITING_SECONDS = 60
/** One that was kept ready and has not greeted by then has died meanwhile. */
const GREETING_SECONDS = 40

type Parts = Pick<Deps, 'db' | 'clock' | 'config' | 'keyring' | 'machines' | 'log'>

interface Sight {
  memory: Memory
  agent: AgentRow
  release: ReleaseRow
  machines: MachineRow[]
}

/**
 * Brings a release to a machine: makes sure of the machine, says what it should run, and waits for its report. Each
 * visit looks at what is and takes the next step; the report itself ends the operation.
 */
export async function visitRelease(
  deps: Parts,
  operation: Operation,
  lease: Lease,
): Promise<Outcome | 'settled'> {
  const memory = Memory.parse(operation.stepData)
  const release = await findRelease(deps.db.jobs, memory.releaseId)
  const agent = release && (await findAgentById(deps.db.jobs, release.agentId))
  if (!agent || (release.status !== 'pending' && release.status !== 'starting')) return { state: 'done' }
  const sight: Sight = { memory, agent, release, machines: await listMachines(deps.db.jobs, agent.id) }
  const late = lateness(sight, operation, deps.clock.now())
  if (late) return fail(deps, lease, sight, late)
  try {
    return await bring(deps, operation, lease, sight)
  } catch (error) {
    if (!(error instanceof Problem && error.code === 'provider_unavailable')) throw error
    // A machine that has been heard of tells better than this how far the release is.
    if (!machineComing(sight.machines)?.seenAt) {
      await lease.write((tx) => say(tx, sight, PROVIDER_IN_TROUBLE))
    }
    throw error
  }
}

async function bring(
  deps: Parts,
  operation: Operation,
  lease: Lease,
  sight: Sight,
): Promise<Outcome | 'settled'> {
  const { memory, agent, release } = sight
  const machine = machineComing(sight.machines)
  const { plan } = machineSizes[release.config.size]
  if (machine?.state === 'ready' && machine.plan !== plan) return move(deps, lease, sight)
  if (!machine) return intend(deps, operation, lease, sight, plan)
  if (agent.desiredReleaseId !== release.id) {
    return lease.write(async (tx) => {
      await desire(tx, sight)
      return settleAgain(lease, tx, operation, memory, 0)
    })
  }
  if (machine.state === 'intended') return order(deps, operation, lease, sight, machine)
  if (machine.address === null) return learnAddress(deps, operation, lease, sight, machine)
  return watch(deps, operation, lease, sight, machine)
}

function withoutLooks({ looks: _, ...memory }: Memory): Memory {
  return memory
}

async function settleAgain(
  lease: Lease,
  tx: Sql,
  operation: Operation,
  memory: Memory,
  afterSeconds: number,
): Promise<'settled'> {
  await lease.settle(tx, { state: 'again', afterSeconds, step: operation.step, stepData: { ...memory } })
  return 'settled'
}

/** The intent row, and what the machine should run once it is there, before anything is asked of the provider. */
async function intend(
  deps: Parts,
  operation: Operation,
  lease: Lease,
  sight: Sight,
  plan: string,
): Promise<Outcome | 'settled'> {
  const { agent, memory } = sight
  const kept = agent.rest === null ? [] : await listSnapshots(deps.db.jobs, agent.id)
  const snapshot = kept.find(({ state }) => state === 'complete')
  const bootstrap = newBootstrap(deps, operation.id)
  const script = await scriptSha256(deps.config)
  const now = deps.clock.now()
  let bound: { id: string } | undefined
  const outcome = await lease.write(async (tx) => {
    // Deploys of several agents of the account may be here at once; the limit holds for all of them together.
    await tx`select pg_advisory_xact_lock(hashtextextended(${`machines of ${agent.ownerAccountId}`}, 4207719))`
    const others = await countMachines(tx, agent.ownerAccountId, { exceptOfAgent: agent.id })
    if (others >= MACHINES_PER_ACCOUNT) return undefined
    const place = { agentId: agent.id, namespaceId: agent.namespaceId, operationId: operation.id, plan, now }
    const isBlank = snapshot === undefined && memory.boundAt !== 'never'
    const seenSince = secondsAfter(now, -WAITING_SECONDS)
    bound = isBlank ? await bindWarm(tx, { ...place, scriptSha256: script, seenSince }) : undefined
    if (bound) {
      await desire(tx, sight)
      await say(tx, sight, 'Taking a machine that is ready')
      const taken = { releaseId: memory.releaseId, boundAt: now.toISOString() }
      return settleAgain(lease, tx, operation, taken, GREETING_SECONDS)
    }
    await insertMachine(tx, {
      ...place,
      id: newId('mch'),
      bootstrapHash: bootstrap.hash,
      snapshotId: snapshot?.id ?? null,
    })
    await desire(tx, sight)
    await say(tx, sight, snapshot ? 'Restoring its machine' : 'Making a machine')
    const ordered = { releaseId: memory.releaseId, bootstrap: bootstrap.sealed }
    return settleAgain(lease, tx, operation, ordered, 0)
  })
  if (outcome) {
    if (bound) await wakeOperation(deps.db.jobs, warmSubject(bound.id))
    await wakeKeepWarm(deps)
    return outcome
  }
  return fail(deps, lease, sight, {
    reason: 'agent_limit',
    message: `The account has ${MACHINES_PER_ACCOUNT} machines already.`,
  })
}

/** To a larger machine its files go by way of a snapshot; the end of that rest goes on with this release. */
async function move({ clock }: Parts, lease: Lease, sight: Sight): Promise<'settled'> {
  return lease.write<'settled'>(async (tx) => {
    await say(tx, sight, 'Copying its files for the larger machine')
    await lease.settle(tx, { state: 'done' })
    await restToMove(tx, sight.agent.id, clock.now())
    return 'settled'
  })
}

async function desire(tx: Sql, { agent, release }: Sight): Promise<void> {
  if (await lockAgent(tx, agent.id)) await setDesiredRelease(tx, agent.id, release.id)
}

async function say(tx: Sql, { release }: Sight, step: string): Promise<void> {
  await setReleaseStep(tx, release.id, step)
}

/** Adopt before create: what carries the label already is the machine, whoever ordered it. */
async function order(
  deps: Parts,
  operation: Operation,
  lease: Lease,
  sight: Sight,
  machine: MachineRow,
): Promise<Outcome | 'settled'> {
  const { memory, agent } = sight
  const { log } = deps
  const found = await findOrdered(deps, machine.label, memory.looks)
  if (found.state === 'found') return adopt(operation, lease, sight, machine, found.machine)
  if (found.state === 'look') {
    const { looks, afterSeconds } = found
    return { state: 'again', afterSeconds, stepData: { ...memory, looks } }
  }
  const disk = await diskOf(deps, lease, machine)
  if (disk === 'gone') {
    log.error('A snapshot is gone at the provider', { agentId: agent.id })
    return fail(deps, lease, sight, {
      reason: 'snapshot_gone',
      message: 'The snapshot with its files is gone. Starting it again begins with an empty disk.',
    })
  }
  const script = await scriptFor(deps.config, openBootstrap(deps, memory.bootstrap, operation.id))
  // From here on it may be there, even if we are not any more.
  await lease.write((tx) => remember(tx, operation.id, { ...memory, looks: 0 }))
  const outcome = await deps.machines.create({
    label: machine.label,
    plan: machine.plan,
    agentId: agent.id,
    userData: script,
    ...(disk === 'blank' ? {} : { snapshotId: disk.providerId }),
  })
  switch (outcome.state) {
    case 'created':
      return adopt(operation, lease, sight, machine, outcome.machine)
    case 'unknown':
      return { state: 'again', afterSeconds: LOOK_AGAIN_SECONDS[1], stepData: { ...memory, looks: 0 } }
    case 'not_now':
      await lease.write((tx) => remember(tx, operation.id, withoutLooks(memory)))
      throw new Problem('provider_unavailable', 'The provider takes no orders of machines now.', outcome)
    case 'sold_out':
      log.error('There are no machines to be had', { agentId: agent.id, step: machine.plan })
      return fail(deps, lease, sight, {
        reason: 'machines_sold_out',
        message: `There is no ${sight.release.config.size} machine to be had in Seoul at the moment.`,
      })
    case 'refused':
      return fail(deps, lease, sight, {
        reason: 'machine_refused',
        message: `The provider refused to make a machine: ${outcome.message}`,
      })
  }
}

async function remember(tx: Sql, operationId: string, memory: Memory): Promise<void> {
  await tx`update operations set step_data = ${tx.json(memory as never)} where id = ${operationId}`
}

async function adopt(
  operation: Operation,
  lease: Lease,
  sight: Sight,
  machine: MachineRow,
  found: { id: string; address: string | null },
): Promise<'settled'> {
  const memory = withoutLooks(sight.memory)
  return lease.write(async (tx) => {
    await setMachineCreated(tx, machine.id, found)
    await say(tx, sight, 'Its machine starts')
    return settleAgain(lease, tx, operation, { ...memory, polls: 0 }, pollPause(0))
  })
}

/** What its disk is made from. A snapshot that the provider has lost is not there any more for us either. */
async function diskOf(
  { db, machines, clock }: Parts,
  lease: Lease,
  machine: MachineRow,
): Promise<'blank' | 'gone' | { providerId: string }> {
  if (machine.snapshotId === null) return 'blank'
  const snapshot = await findSnapshot(db.jobs, machine.snapshotId)
  const providerId = snapshot?.providerId ?? undefined
  if (providerId !== undefined && (await machines.findSnapshot(providerId))) return { providerId }
  if (snapshot) await lease.write((tx) => setSnapshotDeleted(tx, snapshot.id, clock.now()))
  return 'gone'
}

async function learnAddress(
  deps: Parts,
  operation: Operation,
  lease: Lease,
  sight: Sight,
  machine: MachineRow,
): Promise<Outcome | 'settled'> {
  const polls = (sight.memory.polls ?? 0) + 1
  const found = machine.providerId === null ? undefined : await deps.machines.find(machine.providerId)
  if (!found) return lost(deps, operation, lease, sight, machine)
  return lease.write(async (tx) => {
    if (found.address !== null) await setMachineAddress(tx, machine.id, found.address)
    return settleAgain(
      lease,
      tx,
      operation,
      { ...sight.memory, polls },
      found.address ? POLL_SECONDS_MAX : pollPause(polls),
    )
  })
}

/** The machine knows what to run; its report wakes us. A silent one is asked about at the provider. */
async function watch(
  deps: Parts,
  operation: Operation,
  lease: Lease,
  sight: Sight,
  machine: MachineRow,
): Promise<Outcome | 'settled'> {
  const now = deps.clock.now()
  const { boundAt } = sight.memory
  if (boundAt !== undefined && boundAt !== 'never' && !machine.trusted) {
    if (secondsAfter(new Date(boundAt), GREETING_SECONDS) < now) {
      return bootAnother(deps, operation, lease, sight, machine)
    }
    return { state: 'again', afterSeconds: GREETING_SECONDS }
  }
  const silentSince = machine.seenAt ?? machine.createdAt
  if (secondsAfter(silentSince, SILENT_SECONDS) < now && machine.providerId !== null) {
    const found = await deps.machines.find(machine.providerId)
    if (!found) return lost(deps, operation, lease, sight, machine)
  }
  return { state: 'again', afterSeconds: POLL_SECONDS_MAX }
}

/** One that was kept ready has died while it waited: the deploy does not wait for it, and takes no other such. */
async function bootAnother(
  { clock, log }: Parts,
  operation: Operation,
  lease: Lease,
  { memory }: Sight,
  machine: MachineRow,
): Promise<'settled'> {
  log.error('A machine that was kept ready does not answer', {
    machineId: machine.id,
    agentId: machine.agentId,
  })
  return lease.write(async (tx) => {
    await retireMachines(tx, [machine], { afterSeconds: 0, now: clock.now() })
    return settleAgain(lease, tx, operation, { releaseId: memory.releaseId, boundAt: 'never' }, 0)
  })
}

/** The provider does not have it any more: the next visit makes another one. */
async function lost(
  { clock, log }: Parts,
  operation: Operation,
  lease: Lease,
  { memory, agent }: Sight,
  machine: MachineRow,
): Promise<'settled'> {
  log.error('A machine is gone at the provider', { machineId: machine.id, agentId: machine.agentId })
  return lease.write(async (tx) => {
    const now = clock.now()
    await setMachineDeleted(tx, machine.id, now)
    if (machine.state === 'ready' && agent.releaseId !== null) {
      await tellFilesLost(tx, agent, { next: 'comes back', now })
    }
    return settleAgain(lease, tx, operation, { releaseId: memory.releaseId }, 0)
  })
}

async function fail(
  { clock }: Parts,
  lease: Lease,
  { release }: Sight,
  failure: Omit<Failure, 'logTail'>,
): Promise<'settled'> {
  return lease.write<'settled'>(async (tx) => {
    await failRelease(tx, release, { ...failure, logTail: [] }, clock.now())
    await lease.settle(tx, { state: 'failed', error: failure.reason })
    return 'settled'
  })
}

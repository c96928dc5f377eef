import { z } from 'zod'
import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import { type Lease, type Operation, type Outcome, startOperation } from '../platform/operations.ts'
import { Problem } from '../platform/problem.ts'
import type { ProviderSnapshot } from '../providers/machines/vultr.ts'
import { findPendingRelease, lockAgent } from './lifecycle-store.ts'
import { tellFilesLost } from './lost-files.ts'
import { retireMachines } from './machine-removal.ts'
import { listMachines, type MachineRow, revokeMachine, setMachineDeleted } from './machine-store.ts'
import { meterAgent } from './metering.ts'
import { removeSnapshots } from './snapshot-removal.ts'
import {
  insertSnapshot,
  listSnapshots,
  type SnapshotRow,
  setSnapshotComplete,
  setSnapshotDeleted,
  setSnapshotMade,
} from './snapshot-store.ts'

/** How long a runner may take to end its agent in peace before its machine is switched off. */
const FORGET_SECONDS = 45
const FORGET_LOOK_SECONDS = 5
const HALT_LOOK_SECONDS = 0.5
const POLL_SECONDS_MAX = 10
/** Pauses before looking for a snapshot whose order was not answered; after the last look it is ordered again. */
const LOOK_AGAIN_SECONDS = [0, 2, 8] as const
const ORDER_AGAIN_SECONDS = 5

const Memory = z.object({
  /** Set before an order goes out and while it is not known what became of it: how often was looked since. */
  looks: z.int().exactOptional(),
  polls: z.int().exactOptional(),
})
type Memory = z.infer<typeof Memory>
type Parts = Pick<Deps, 'db' | 'clock' | 'machines' | 'log'>

/**
 * Takes the machine of an agent at rest away: the runner forgets, the machine is switched off, its disk is copied, and
 * only when the copy is whole does the machine go. Each visit looks at what is and takes the next step.
 */
export async function visitRest(
  deps: Parts,
  operation: Operation,
  lease: Lease,
): Promise<Outcome | 'settled'> {
  const memory = Memory.parse(operation.stepData)
  const machines = await listMachines(deps.db.jobs, operation.subject)
  const machine = machines.find(({ state }) => state === 'resting')
  if (!machine) return end(deps, operation, lease)
  if (machine.trusted) {
    const begun = operation.createdAt
    if (deps.clock.now() < secondsAfter(begun, FORGET_SECONDS)) {
      return { state: 'again', afterSeconds: FORGET_LOOK_SECONDS }
    }
    deps.log.warn('A machine is switched off without its runner having ended', { machineId: machine.id })
  }
  await lease.write((tx) => revokeMachine(tx, machine.id))
  const found = machine.providerId === null ? undefined : await deps.machines.find(machine.providerId)
  if (!found) return lost(deps, lease, machine)
  if (found.isOn) {
    await deps.machines.halt(found.id)
    return { state: 'again', afterSeconds: HALT_LOOK_SECONDS, stepData: {} }
  }
  const snapshots = await listSnapshots(deps.db.jobs, operation.subject)
  const snapshot = snapshots.find(({ state }) => state !== 'deleting')
  if (!snapshot) return intend(deps, operation, lease, machine)
  switch (snapshot.state) {
    case 'intended':
      return order(deps, operation, lease, { memory, machine, snapshot, providerId: found.id })
    case 'complete':
      return release(deps, lease, machine)
    default:
      return watch(deps, lease, memory, snapshot)
  }
}

/** The intent row, before anything is asked of the provider. */
async function intend(
  { clock }: Parts,
  operation: Operation,
  lease: Lease,
  machine: MachineRow,
): Promise<Outcome> {
  const id = newId('snp')
  await lease.write((tx) =>
    insertSnapshot(tx, {
      id,
      agentId: machine.agentId,
      namespaceId: machine.namespaceId,
      machineId: machine.id,
      label: `${operation.id}-${id}`,
      plan: machine.plan,
      now: clock.now(),
    }),
  )
  return { state: 'again', afterSeconds: 0, stepData: {} }
}

/** Adopt before create: what carries the label already is the snapshot, whoever ordered it. */
async function order(
  { machines, log }: Parts,
  operation: Operation,
  lease: Lease,
  {
    memory,
    machine,
    snapshot,
    providerId,
  }: { memory: Memory; machine: MachineRow; snapshot: SnapshotRow; providerId: string },
): Promise<Outcome> {
  const [oldest, ...others] = await machines.listSnapshotsByLabel(snapshot.label)
  if (oldest) {
    for (const other of others) await machines.deleteSnapshot(other.id)
    return adopt(lease, snapshot, oldest)
  }
  if (memory.looks !== undefined && memory.looks < LOOK_AGAIN_SECONDS.length) {
    const looks = memory.looks + 1
    return { state: 'again', afterSeconds: LOOK_AGAIN_SECONDS[looks] ?? 0, stepData: { looks } }
  }
  // From here on it may be there, even if we are not any more.
  await lease.write((tx) => remember(tx, operation.id, { looks: 0 }))
  const outcome = await machines.createSnapshot({ machineId: providerId, label: snapshot.label })
  switch (outcome.state) {
    case 'created':
      return adopt(lease, snapshot, outcome.snapshot)
    case 'unknown':
      return { state: 'again', afterSeconds: LOOK_AGAIN_SECONDS[1], stepData: { looks: 0 } }
    case 'not_now':
      await lease.write((tx) => remember(tx, operation.id, {}))
      throw new Problem('provider_unavailable', 'The provider takes no orders of snapshots now.', outcome)
    case 'refused':
      // Nothing is given up that somebody's files depend on: it is asked for until it is there, and operators are told.
      log.error('The provider refuses to copy a disk', { machineId: machine.id })
      return { state: 'again', afterSeconds: POLL_SECONDS_MAX, stepData: {} }
  }
}

async function adopt(lease: Lease, snapshot: SnapshotRow, found: ProviderSnapshot): Promise<Outcome> {
  await lease.write((tx) => setSnapshotMade(tx, snapshot.id, found.id))
  return { state: 'again', afterSeconds: 0, stepData: { polls: 0 } }
}

async function watch(
  { machines, clock, log }: Parts,
  lease: Lease,
  memory: Memory,
  snapshot: SnapshotRow,
): Promise<Outcome> {
  const found = snapshot.providerId === null ? undefined : await machines.findSnapshot(snapshot.providerId)
  const now = clock.now()
  if (!found) {
    log.error('A snapshot is gone at the provider before it was whole', { agentId: snapshot.agentId })
    await lease.write((tx) => setSnapshotDeleted(tx, snapshot.id, now))
    return { state: 'again', afterSeconds: ORDER_AGAIN_SECONDS, stepData: {} }
  }
  if (!found.isComplete) {
    const polls = (memory.polls ?? 0) + 1
    return {
      state: 'again',
      afterSeconds: Math.min(0.2 * 2 ** polls, POLL_SECONDS_MAX),
      stepData: { polls },
    }
  }
  await lease.write((tx) => setSnapshotComplete(tx, snapshot.id, { sizeBytes: found.sizeBytes, now }))
  return { state: 'again', afterSeconds: 0, stepData: {} }
}

/** The copy is whole: only now is the machine of no use any more. */
async function release({ clock }: Parts, lease: Lease, machine: MachineRow): Promise<Outcome> {
  await lease.write((tx) => retireMachines(tx, [machine], { afterSeconds: 0, now: clock.now() }))
  return { state: 'again', afterSeconds: 0, stepData: {} }
}

/** The provider does not have the machine any more: there is nothing to copy, and so nothing to keep. */
async function lost({ clock, log }: Parts, lease: Lease, machine: MachineRow): Promise<Outcome> {
  log.error('A machine is gone at the provider before its disk was copied', {
    machineId: machine.id,
    agentId: machine.agentId,
  })
  await lease.write(async (tx) => {
    const agent = await lockAgent(tx, machine.agentId)
    const now = clock.now()
    const snapshots = await listSnapshots(tx, machine.agentId)
    await setMachineDeleted(tx, machine.id, now)
    const whole = snapshots.some(({ state }) => state === 'complete')
    await removeSnapshots(
      tx,
      snapshots.filter(({ state }) => state !== 'complete'),
      now,
    )
    if (!agent || whole) return
    await meterAgent(tx, agent, 'suspended', now)
    await tellFilesLost(tx, agent, { next: 'stays stopped', now })
  })
  return { state: 'again', afterSeconds: 0, stepData: {} }
}

/** Whoever wanted the agent back in the meantime has left a release that waits for this. */
async function end({ clock }: Parts, operation: Operation, lease: Lease): Promise<'settled'> {
  return lease.write<'settled'>(async (tx) => {
    await lease.settle(tx, { state: 'done' })
    const agent = await lockAgent(tx, operation.subject)
    const releaseId = agent && (await findPendingRelease(tx, agent.id))
    if (agent && releaseId !== undefined) {
      await startOperation(tx, {
        kind: 'release',
        subject: agent.id,
        namespaceId: agent.namespaceId,
        stepData: { releaseId },
        now: clock.now(),
      })
    }
    return 'settled'
  })
}

async function remember(tx: Sql, operationId: string, memory: Memory): Promise<void> {
  await tx`update operations set step_data = ${tx.json(memory)} where id = ${operationId}`
}

import { z } from 'zod'
import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import type { Lease, Operation, Outcome } from '../platform/operations.ts'
import { Problem } from '../platform/problem.ts'
import { FIRST_RELEASE_SECONDS } from './limits.ts'
import { findOrdered, LOOK_AGAIN_SECONDS, openBootstrap, pollPause, SealedToken } from './machine-order.ts'
import { deleteLabelled } from './machine-removal.ts'
import { findMachine } from './machine-store.ts'
import { scriptFor } from './script-for.ts'
import {
  findWarmBySubject,
  setWarm,
  setWarmAddress,
  setWarmCreated,
  setWarmDeleted,
  setWarmDeleting,
  type WarmEnding,
  type WarmRow,
} from './warm-store.ts'

/** Its runner comes at least twice a minute. */
const LOOK_SECONDS = 30
/** Looks, by the database's time, in all of which it was not heard of: business time can jump. */
const SILENT_LOOKS = 10

const Memory = z.object({
  bootstrap: SealedToken.exactOptional(),
  /** Set before an order goes out and while it is not known what became of it: how often was looked since. */
  looks: z.int().exactOptional(),
  polls: z.int().exactOptional(),
  /** When it had been heard of last, and at how many looks since. */
  seenAt: z.string().nullable().exactOptional(),
  silent: z.int().exactOptional(),
})
type Memory = z.infer<typeof Memory>
type Parts = Pick<Deps, 'db' | 'clock' | 'config' | 'keyring' | 'machines' | 'log'>

/**
 * The life of one blank machine until an agent has it, which the provider is told last of all, or it is let go. Each
 * visit looks at what is and takes the next step; what it writes changes nothing any more once it is bound.
 */
export async function visitWarmMachine(deps: Parts, operation: Operation, lease: Lease): Promise<Outcome> {
  const row = await findWarmBySubject(deps.db.jobs, operation.subject)
  const memory = Memory.parse(operation.stepData)
  switch (row?.state) {
    case 'intended':
      return order(deps, operation, lease, row, memory)
    case 'created':
      return comeUp(deps, lease, row, memory)
    case 'warm':
      return watch(deps, lease, row, memory)
    case 'bound':
      return tagBound(deps, row)
    case 'deleting':
      await deleteLabelled(deps, row)
      await lease.write((tx) => setWarmDeleted(tx, row.id, deps.clock.now()))
      return { state: 'done' }
    default:
      return { state: 'done' }
  }
}

async function order(
  deps: Parts,
  operation: Operation,
  lease: Lease,
  row: WarmRow,
  memory: Memory,
): Promise<Outcome> {
  const found = await findOrdered(deps, row.label, memory.looks)
  if (found.state === 'found') return adopt(lease, row, memory, found.machine)
  if (found.state === 'look') {
    const { looks, afterSeconds } = found
    return { state: 'again', afterSeconds, stepData: { ...memory, looks } }
  }
  const userData = await scriptFor(deps.config, openBootstrap(deps, memory.bootstrap, row.id))
  // From here on it may be there, even if we are not any more.
  await lease.write((tx) => remember(tx, operation.id, { ...memory, looks: 0 }))
  const outcome = await deps.machines.create({ label: row.label, plan: row.plan, userData })
  const { looks: _, ...withoutLooks } = memory
  switch (outcome.state) {
    case 'created':
      return adopt(lease, row, memory, outcome.machine)
    case 'unknown':
      return { state: 'again', afterSeconds: LOOK_AGAIN_SECONDS[1], stepData: { ...memory, looks: 0 } }
    case 'not_now':
      await lease.write((tx) => remember(tx, operation.id, withoutLooks))
      throw new Problem('provider_unavailable', 'The provider takes no orders of machines now.', outcome)
    case 'sold_out':
      return giveUp(deps, lease, row, 'sold_out')
    case 'refused':
      return giveUp(deps, lease, row, 'refused')
  }
}

async function remember(tx: Sql, operationId: string, memory: Memory): Promise<void> {
  await tx`update operations set step_data = ${tx.json(memory as never)} where id = ${operationId}`
}

async function adopt(
  lease: Lease,
  row: WarmRow,
  { looks: _, ...memory }: Memory,
  found: { id: string; address: string | null },
): Promise<Outcome> {
  await lease.write((tx) => setWarmCreated(tx, row.id, found))
  return { state: 'again', afterSeconds: pollPause(0), stepData: { ...memory, polls: 0 } }
}

/** Its address, and its runner. */
async function comeUp(deps: Parts, lease: Lease, row: WarmRow, memory: Memory): Promise<Outcome> {
  const now = deps.clock.now()
  if (secondsAfter(row.createdAt, FIRST_RELEASE_SECONDS) <= now) {
    return giveUp(deps, lease, row, 'not_ready')
  }
  const polls = (memory.polls ?? 0) + 1
  const found = row.providerId === null ? undefined : await deps.machines.find(row.providerId)
  if (!found) return giveUp(deps, lease, row, 'gone')
  await lease.write(async (tx) => {
    if (found.address !== null) await setWarmAddress(tx, row.id, found.address)
    await setWarm(tx, row.id, now)
  })
  return { state: 'again', afterSeconds: pollPause(polls), stepData: { ...memory, polls } }
}

/** A runner that does not wait any more is of no use to the next deploy. */
async function watch(deps: Parts, lease: Lease, row: WarmRow, memory: Memory): Promise<Outcome> {
  const seenAt = row.seenAt?.toISOString() ?? null
  const silent = seenAt === memory.seenAt ? (memory.silent ?? 0) + 1 : 0
  if (silent < SILENT_LOOKS)
    return { state: 'again', afterSeconds: LOOK_SECONDS, stepData: { seenAt, silent } }
  return giveUp(deps, lease, row, 'silent')
}

/** An agent has it for good, so its tag can be written as often as it takes. */
async function tagBound({ db, machines }: Parts, row: WarmRow): Promise<Outcome> {
  const machine = await findMachine(db.jobs, row.id)
  if (machine && machine.state !== 'deleted' && machine.providerId !== null) {
    await machines.tagFor(machine.providerId, machine.agentId)
  }
  return { state: 'done' }
}

/** It goes, and for a while none of its plan is ordered. An agent that has it by now keeps it. */
async function giveUp({ log }: Parts, lease: Lease, row: WarmRow, ending: WarmEnding): Promise<Outcome> {
  log.error('A machine could not be kept ready', { machineId: row.id, step: `${row.plan}: ${ending}` })
  await lease.write((tx) => setWarmDeleting(tx, row.id, ending))
  return { state: 'again', afterSeconds: 0 }
}

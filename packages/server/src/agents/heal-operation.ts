import { z } from 'zod'
import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import { type Lease, type Operation, type Outcome, startOperation } from '../platform/operations.ts'
import { newToken, tokenHash } from '../platform/tokens.ts'
import { lockAgent, setAgentHealth } from './lifecycle-store.ts'
import { tellFilesLost } from './lost-files.ts'
import {
  findMachine,
  listMachines,
  listSilent,
  type MachineRow,
  revokeMachine,
  setBootstrap,
  setMachineDeleted,
} from './machine-store.ts'
import { HEAL_KIND } from './operation-kinds.ts'
import { beginRelease } from './releases.ts'
import { scriptFor } from './script-for.ts'
import { findRelease } from './store.ts'

/** A machine polls twice a minute; one that has not for so long may have lost its credential in a reboot. */
const SILENT_SECONDS = 120
const LOOK_SECONDS = 30
/**
 * Business time can jump, and then every machine seems to have been silent for long. The time between looks is that of
 * the database: one that has not polled in all of them is silent indeed.
 */
const LOOKS = 3
/** How long a reboot and the way back take; then it is tried anew. */
const PATIENCE_SECONDS = 300
const SICK_AT_ONCE = 20

type Parts = Pick<Deps, 'db' | 'clock' | 'config' | 'keyring' | 'machines' | 'log'>

/** How often machines were seen silent in a row, by their id, and when they had polled last. */
const Suspects = z.record(z.string(), z.object({ seenAt: z.string().nullable(), looks: z.int() }))

/** Finds machines that are silent at several looks in a row, and has them healed. */
export async function visitSilence(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  operation: Operation,
  lease: Lease,
): Promise<Outcome> {
  const now = clock.now()
  const before = Suspects.catch({}).parse(operation.stepData.suspects)
  const suspects: z.infer<typeof Suspects> = {}
  for (const machine of await listSilent(db.jobs, secondsAfter(now, -SILENT_SECONDS), SICK_AT_ONCE)) {
    const seenAt = machine.seenAt?.toISOString() ?? null
    const known = before[machine.id]
    const looks = (known?.seenAt === seenAt ? known.looks : 0) + 1
    suspects[machine.id] = { seenAt, looks }
    if (looks < LOOKS) continue
    await lease.write((tx) =>
      startOperation(tx, {
        kind: HEAL_KIND,
        subject: machine.agentId,
        namespaceId: machine.namespaceId,
        stepData: { machineId: machine.id, seenAt },
        now,
      }),
    )
  }
  return { state: 'again', afterSeconds: LOOK_SECONDS, stepData: { suspects } }
}

/**
 * Heals a machine that serves and is not heard of: with a fresh bootstrap token and a reboot, for what was on its
 * tmpfs is gone and so is its credential; or, where the provider does not have it any more, with another machine.
 */
export async function visitHealing(
  deps: Parts,
  operation: Operation,
  lease: Lease,
): Promise<Outcome | 'settled'> {
  const { db, clock, machines, log } = deps
  const { machineId, seenAt, rebootedAt } = operation.stepData
  const machine = typeof machineId === 'string' ? await findMachine(db.jobs, machineId) : undefined
  if (machine?.state !== 'ready') return { state: 'done' }
  if ((machine.seenAt?.toISOString() ?? null) !== seenAt) return { state: 'done' }
  if (typeof rebootedAt === 'string' && clock.now() < secondsAfter(new Date(rebootedAt), PATIENCE_SECONDS)) {
    return { state: 'again', afterSeconds: PATIENCE_SECONDS }
  }
  log.warn('A machine is silent', { machineId: machine.id, agentId: machine.agentId })
  const found = machine.providerId === null ? undefined : await machines.find(machine.providerId)
  if (!found) return replace(deps, operation, lease, machine)
  const token = newToken('b')
  await lease.write(async (tx) => {
    if (!(await lockAgent(tx, machine.agentId))) return
    await setAgentHealth(tx, machine.agentId, 'failing')
    // Whoever has the credential from before the reboot has no business with it any more.
    await revokeMachine(tx, machine.id)
    await setBootstrap(tx, machine.id, tokenHash(token.reveal()))
  })
  const script = await scriptFor(deps.config, token.reveal())
  if (!(await machines.rebootWith(found.id, script))) return replace(deps, operation, lease, machine)
  const stepData = { ...operation.stepData, rebootedAt: clock.now().toISOString() }
  return { state: 'again', afterSeconds: PATIENCE_SECONDS, stepData }
}

/** The provider does not have it any more, and what was on its disk is lost: the live release runs on another one. */
async function replace(
  { db, clock, log }: Parts,
  operation: Operation,
  lease: Lease,
  machine: MachineRow,
): Promise<'settled'> {
  log.error('A machine is gone at the provider', { machineId: machine.id, agentId: machine.agentId })
  const now = clock.now()
  return lease.write<'settled'>(async (tx) => {
    await lease.settle(tx, { state: 'done' })
    const agent = await lockAgent(tx, operation.subject)
    await setMachineDeleted(tx, machine.id, now)
    const live = agent?.releaseId ? await findRelease(db.jobs, agent.releaseId) : undefined
    if (!agent || !live || (await listMachines(tx, agent.id)).length > 0) return 'settled'
    await setAgentHealth(tx, agent.id, 'failing')
    await tellFilesLost(tx, agent, { next: 'comes back', now })
    await beginRelease(tx, agent, { config: live.config, content: { repeating: live }, now })
    return 'settled'
  })
}

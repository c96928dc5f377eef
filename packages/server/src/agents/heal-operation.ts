import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import { type Lease, type Operation, type Outcome, startOperation } from '../platform/operations.ts'
import { newToken, tokenHash } from '../platform/tokens.ts'
import { lockAgent, setAgentHealth } from './lifecycle-store.ts'
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
/**
 * Looked at again after this, by the time of the database: business time can jump, and then every machine seems to
 * have been silent for long. One that has polled meanwhile is well.
 */
const CONFIRM_SECONDS = 60
/** How long a reboot and the way back take; then it is tried anew. */
const PATIENCE_SECONDS = 300
const SICK_AT_ONCE = 20
const LOOK_SECONDS = 30

type Parts = Pick<Deps, 'db' | 'clock' | 'config' | 'keyring' | 'machines' | 'log'>

/** Records that silent machines are to be looked at again; each once, however often it is noticed. */
export async function visitSilence(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  lease: Lease,
): Promise<Outcome> {
  const now = clock.now()
  const silent = await listSilent(db.jobs, secondsAfter(now, -SILENT_SECONDS), SICK_AT_ONCE)
  for (const { id, agentId, namespaceId, seenAt } of silent) {
    await lease.write((tx) =>
      startOperation(tx, {
        kind: HEAL_KIND,
        subject: agentId,
        namespaceId,
        stepData: { machineId: id, seenAt: seenAt?.toISOString() ?? null },
        afterSeconds: CONFIRM_SECONDS,
        now,
      }),
    )
  }
  return { state: 'again', afterSeconds: LOOK_SECONDS }
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
    await beginRelease(tx, agent, { config: live.config, content: { repeating: live }, now })
    return 'settled'
  })
}

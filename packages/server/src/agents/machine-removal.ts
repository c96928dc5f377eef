import type { Deps } from '../deps.ts'
import type { Sql } from '../platform/db.ts'
import { type Lease, type Operation, type Outcome, startOperation } from '../platform/operations.ts'
import { findMachine, type MachineRow, setMachineDeleted, setMachineState } from './machine-store.ts'

/** Takes machines out of service and records that they are to be deleted, in the caller's transaction. */
export async function retireMachines(
  tx: Sql,
  machines: readonly MachineRow[],
  { afterSeconds, now }: { afterSeconds: number; now: Date },
): Promise<void> {
  for (const machine of machines) {
    await setMachineState(tx, machine.id, 'deleting')
    await startOperation(tx, {
      kind: 'remove-machine',
      subject: machine.id,
      namespaceId: machine.namespaceId,
      afterSeconds,
      now,
    })
  }
}

/** Deletes one machine that is out of service. */
export async function visitRemoval(
  deps: Pick<Deps, 'db' | 'clock' | 'machines'>,
  operation: Operation,
  lease: Lease,
): Promise<Outcome> {
  const machine = await findMachine(deps.db.jobs, operation.subject)
  if (machine && machine.state !== 'deleted') await removeMachine(deps, machine, lease)
  return { state: 'done' }
}

/**
 * Deletes at the provider what carries the label of this row: also what was ordered without an answer that reached
 * us. What is created after this look is found by the sweeper.
 */
export async function removeMachine(
  deps: Pick<Deps, 'machines' | 'clock'>,
  machine: MachineRow,
  lease: Lease,
): Promise<void> {
  await deleteLabelled(deps, machine)
  await lease.write((tx) => setMachineDeleted(tx, machine.id, deps.clock.now()))
}

export async function deleteLabelled(
  { machines }: Pick<Deps, 'machines'>,
  machine: Pick<MachineRow, 'label' | 'providerId'>,
): Promise<void> {
  const found = await machines.listByLabel(machine.label)
  const ids = new Set([
    ...found.map(({ id }) => id),
    ...(machine.providerId === null ? [] : [machine.providerId]),
  ])
  for (const id of ids) await machines.delete(id)
}

import type { Deps } from '../deps.ts'
import type { Lease, Operation, Outcome } from '../platform/operations.ts'
import { unneededBlobs } from './blob-store.ts'
import { forgetDomainsOf } from './domain-store.ts'
import { removeMachine } from './machine-removal.ts'
import { listMachines, setMachineState } from './machine-store.ts'
import { removeSnapshot } from './snapshot-removal.ts'
import { listSnapshots } from './snapshot-store.ts'

const DOMAINS_SECONDS = 1

/**
 * Removes what an agent had: its machines and domains at their providers first, then its data. The row stays, because
 * of its label.
 */
export async function visitDeletion(
  deps: Pick<Deps, 'db' | 'clock' | 'machines' | 'blobs'>,
  operation: Operation,
  lease: Lease,
): Promise<Outcome> {
  const agentId = operation.subject
  for (const machine of await listMachines(deps.db.jobs, agentId)) {
    if (machine.state !== 'deleting') {
      await lease.write((tx) => setMachineState(tx, machine.id, 'deleting'))
    }
    await removeMachine(deps, machine, lease)
  }
  for (const snapshot of await listSnapshots(deps.db.jobs, agentId))
    await removeSnapshot(deps, snapshot, lease)
  // Their own operations take them away; what they need of the agent stays until then.
  if (!(await lease.write((tx) => forgetDomainsOf(tx, agentId)))) {
    return { state: 'again', afterSeconds: DOMAINS_SECONDS }
  }
  await lease.write(async (tx) => {
    const [owner] = await tx<{ accountId: string }[]>`
      select n.owner_account_id as "accountId" from agents a join namespaces n on n.id = a.namespace_id
      where a.id = ${agentId}`
    const contents = await tx<{ sha256: Buffer }[]>`
      select distinct f.sha256 from release_files f join releases r on r.id = f.release_id where r.agent_id = ${agentId}`
    await tx`delete from secrets where agent_id = ${agentId}`
    await tx`delete from agent_logs where agent_id = ${agentId}`
    await tx`delete from releases where agent_id = ${agentId}`
    if (owner) {
      const candidates = contents.map(({ sha256 }) => sha256)
      for (const sha256 of await unneededBlobs(tx, owner.accountId, candidates)) {
        await deps.blobs.delete(owner.accountId, sha256)
      }
    }
  })
  return { state: 'done' }
}

import { SWEEP_EVERY_SECONDS, sweep } from '../agents/sweep.ts'
import type { Deps } from '../deps.ts'
import type { Lease, Outcome } from '../platform/operations.ts'
import { listHeld } from './lifecycle-store.ts'

/**
 * Deletes hostnames at the provider that no row holds: those of a worker that slept past its lease in the middle of an
 * order. Whoever had such a name attached to an account of their own would find it taken.
 */
export async function visitHostnameSweep(
  deps: Pick<Deps, 'clock' | 'hostnames' | 'log'>,
  lease: Lease,
): Promise<Outcome> {
  const { hostnames } = deps
  if (hostnames) {
    const present = await hostnames.listOurs()
    await sweep(deps, lease, {
      kind: 'hostname',
      present: present.map(({ id, hostname }) => ({ id, label: hostname })),
      listOwned: listHeld,
      remove: hostnames.delete,
    })
  }
  return { state: 'again', afterSeconds: SWEEP_EVERY_SECONDS }
}

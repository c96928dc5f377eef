import type { Deps } from '../deps.ts'
import type { Lease, Operation, Outcome } from '../platform/operations.ts'

/** What gives a machine that lost its credential another one. */
export const HEAL_KIND = 'heal-agent'

export async function visitHealing(
  _deps: Pick<Deps, 'db' | 'clock' | 'config' | 'keyring' | 'machines' | 'log'>,
  _operation: Operation,
  _lease: Lease,
): Promise<Outcome> {
  return { state: 'done' }
}

import type { Deps } from '../deps.ts'
import type { Lease, Outcome } from '../platform/operations.ts'
import * as store from './store.ts'

export const AUDIT_KIND = 'audit-ledger'
export const auditSubject = 'ledger-audit'

const EVERY_SECONDS = 600

/** Policy 1d: adds up what was posted since the last visit, and leaves what it found for whoever asks for evidence. */
export async function visitAudit({ clock }: Pick<Deps, 'clock'>, lease: Lease): Promise<Outcome> {
  const at = clock.now().toISOString()
  const found = await lease.write((tx) => store.auditLedger(tx))
  return { state: 'again', afterSeconds: EVERY_SECONDS, stepData: { at, ...found } }
}

import type { Deps } from '../deps.ts'
import { startOperation, type Work } from '../platform/operations.ts'
import { visitExpiry } from './expiry.ts'

/** The durable work of this room, by kind. */
export function identityWork(deps: Pick<Deps, 'db' | 'clock'>): Record<string, Work> {
  return { 'expire-identity': () => visitExpiry(deps) }
}

/** Rows that repeat for ever; one of each, however many servers start. */
export async function scheduleIdentityWork({ db, clock }: Pick<Deps, 'db' | 'clock'>): Promise<void> {
  await startOperation(db.jobs, {
    kind: 'expire-identity',
    subject: 'expiry:identity',
    namespaceId: null,
    now: clock.now(),
  })
}

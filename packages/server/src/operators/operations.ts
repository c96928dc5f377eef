import type { Deps } from '../deps.ts'
import { startOperation, type Work } from '../platform/operations.ts'
import { visitActs } from './acts.ts'

/** The durable work of this room, by kind. */
export function operatorWork(deps: Pick<Deps, 'db' | 'clock'>): Record<string, Work> {
  return { 'expire-acts': () => visitActs(deps) }
}

/** Rows that repeat for ever; one of each, however many servers start. */
export async function scheduleOperatorWork({ db, clock }: Pick<Deps, 'db' | 'clock'>): Promise<void> {
  const subject = 'expiry:operator-acts'
  await startOperation(db.jobs, { kind: 'expire-acts', subject, namespaceId: null, now: clock.now() })
}

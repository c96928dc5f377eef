import type { Deps } from '../deps.ts'
import type { Lease, Operation, Outcome } from '../platform/operations.ts'
import { chargeMeters } from './meters.ts'
import * as store from './store.ts'

export const meterSubject = 'meters'

/** How often everything is charged; in between, only when somebody's credits end. */
const CHARGE_SECONDS = 600
/** Business time can jump, and the database that wakes operations does not see it. */
const LOOK_SECONDS = 2

/** Charges what burns, regularly and at the second at which the first account has nothing left. */
export async function visitMeters(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  operation: Pick<Operation, 'stepData'>,
  lease: Lease,
): Promise<Outcome> {
  const now = clock.now()
  const state = await store.findMeterState(db.jobs)
  const { newest, zeroAt } = operation.stepData
  // Deposits only put the moment off; only another meter can bring it nearer.
  const isKnown = newest === state.newest && (zeroAt === null || typeof zeroAt === 'string')
  const zero = isKnown ? zeroAt : await store.findFirstZero(db.jobs)
  const sinceSeconds = (now.getTime() - state.upto.getTime()) / 1000
  if (sinceSeconds < CHARGE_SECONDS && (zero === null || now.toISOString() < zero)) {
    return { state: 'again', afterSeconds: LOOK_SECONDS, stepData: { newest: state.newest, zeroAt: zero } }
  }
  await lease.write((tx) => chargeMeters(tx, now))
  return { state: 'again', afterSeconds: LOOK_SECONDS, stepData: {} }
}

import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Lease, Operation, Outcome } from '../platform/operations.ts'
import { chargeMeters } from './meters.ts'
import * as store from './store.ts'

export const meterSubject = 'meters'

/** How often everything is charged; in between, only when somebody's credits end. */
const CHARGE_SECONDS = 600
/** Runs that have to be caught up with are at least so far apart, or each of many ends would take one of its own. */
const CATCH_UP_SECONDS = 60
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
  const upto = nextRun(state.upto, zero, now)
  await lease.write((tx) => chargeMeters(tx, upto))
  return { state: 'again', afterSeconds: upto < now ? 0 : LOOK_SECONDS, stepData: {} }
}

/** Where credits ended while nobody was there to charge, a run ends as well, so that the moment is known. */
function nextRun(since: Date, zero: string | null, now: Date): Date {
  if (zero === null) return now
  const soonest = secondsAfter(since, CATCH_UP_SECONDS)
  const end = new Date(zero)
  const next = end > soonest ? end : soonest
  return next < now ? next : now
}

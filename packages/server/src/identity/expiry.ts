import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import { expireIdempotencyKeys } from '../platform/idempotency.ts'
import { expireOperations, type Outcome } from '../platform/operations.ts'
import { SESSION_LIFETIME } from './access.ts'
import { deleteInvitations } from './invitation-store.ts'
import { deleteExpiredLimits } from './limit-store.ts'
import { deleteNoticesBefore } from './notice-store.ts'
import { deletePhoneChallenges } from './phone-challenge-store.ts'
import { deleteEndedSessions } from './session-store.ts'
import { deleteExpiredSignups } from './signup-store.ts'
import { deleteCounts } from './sms-count-store.ts'
import { deleteExpiredWalletChallenges } from './wallet-challenge-store.ts'

type ExpiryDeps = Pick<Deps, 'db' | 'clock'>

const DAY_SECONDS = 86_400
const EVERY_SECONDS = 600

/**
 * One visit of the durable work that comes back for ever. It writes outside its lease: what has expired stays so, and
 * whoever else deletes at the same time only leaves less to do.
 */
export async function visitExpiry(deps: ExpiryDeps): Promise<Outcome> {
  await expireIdentityRows(deps)
  return { state: 'again', afterSeconds: EVERY_SECONDS }
}

/** Deletes what this room and the platform may not keep any longer, as the comments of the columns have it. Returns how many rows went. */
export async function expireIdentityRows({ db, clock }: ExpiryDeps): Promise<number> {
  const now = clock.now()
  const daysAgo = (days: number): Date => secondsAfter(now, -days * DAY_SECONDS)
  const idleSince = secondsAfter(now, -SESSION_LIFETIME.idleSeconds)
  const { jobs } = db
  // One after the other, each on its own: nobody who logs in waits for more than one of them.
  return (
    (await deletePhoneChallenges(jobs, daysAgo(1))) +
    (await deleteExpiredWalletChallenges(jobs, now)) +
    (await deleteExpiredSignups(jobs, now)) +
    (await deleteEndedSessions(jobs, { now, idleSince })) +
    (await deleteInvitations(jobs, daysAgo(30))) +
    (await deleteExpiredLimits(jobs, now)) +
    (await deleteCounts(jobs, daysAgo(2))) +
    (await deleteNoticesBefore(jobs, daysAgo(365))) +
    (await expireIdempotencyKeys(jobs, now)) +
    (await expireOperations(jobs, daysAgo(90)))
  )
}

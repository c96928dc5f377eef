import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import { REQUEST_KEY_SECONDS } from '../platform/idempotency.ts'
import type { Outcome } from '../platform/operations.ts'
import { deleteCardEventsBefore, forgetRequestKeysBefore } from './checkout-store.ts'

/** The processor itself tells nothing again after 30 days. */
const CARD_EVENT_SECONDS = 90 * 86_400
const EVERY_SECONDS = 600

/** Deletes what this room may not keep any longer, as the comments of the columns have it, also where no cards are taken any more. */
export async function visitBillingExpiry({ db, clock }: Pick<Deps, 'db' | 'clock'>): Promise<Outcome> {
  const now = clock.now()
  await deleteCardEventsBefore(db.jobs, secondsAfter(now, -CARD_EVENT_SECONDS))
  await forgetRequestKeysBefore(db.jobs, secondsAfter(now, -REQUEST_KEY_SECONDS))
  return { state: 'again', afterSeconds: EVERY_SECONDS }
}

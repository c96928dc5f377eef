import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Outcome } from '../platform/operations.ts'
import { notePurge, purge } from '../platform/purges.ts'
import { DAY_SECONDS, type Period, periodNames, REQUEST_DAYS_DROP, retention } from '../platform/retention.ts'
import { dropDays, prepareDays } from './request-log-store.ts'

const EVERY_SECONDS = 600
const AT_ONCE = 5000
/** Days of the request log that are there before they begin. */
const DAYS_AHEAD = 3

/**
 * One visit of the durable work that comes back for ever. It writes outside its lease: what has had its time stays so,
 * and whoever else deletes at the same time only leaves less to do.
 */
export async function visitPurge(deps: Pick<Deps, 'db' | 'clock'>): Promise<Outcome> {
  // First: it is what has the least time to spare.
  await keepRequestDays(deps)
  await purgeAll(deps)
  return { state: 'again', afterSeconds: EVERY_SECONDS }
}

/** Deletes what may not be kept any longer. One after the other, each on its own: nobody waits for more than one. */
export async function purgeAll({ db, clock }: Pick<Deps, 'db' | 'clock'>): Promise<void> {
  const now = clock.now()
  for (const name of periodNames) {
    const { ownWork }: Period = retention[name]
    if (ownWork) continue
    while ((await purge(db.jobs, name, now, AT_ONCE)) === AT_ONCE);
  }
}

/** Policy 6e: makes the days that come, and drops those that have had their time. */
async function keepRequestDays({ db, clock }: Pick<Deps, 'db' | 'clock'>): Promise<void> {
  const now = clock.now()
  await prepareDays(db.jobs, now, secondsAfter(now, DAYS_AHEAD * DAY_SECONDS))
  const days = await dropDays(db.jobs, secondsAfter(now, -REQUEST_DAYS_DROP * DAY_SECONDS))
  await notePurge(db.jobs, 'requestLog', days, now)
}

import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import { SESSION_LIFETIME } from './access.ts'

const DAY_SECONDS = 86_400

/** Deletes what this room may not keep any longer, as the comments of the columns have it. Returns how many rows went. */
export async function expireIdentityRows({ db, clock }: Pick<Deps, 'db' | 'clock'>): Promise<number> {
  const now = clock.now()
  const dayAgo = secondsAfter(now, -DAY_SECONDS)
  const { jobs } = db
  const results = await Promise.all([
    jobs`delete from phone_challenges where created_at <= ${dayAgo}`,
    jobs`delete from wallet_challenges where expires_at <= ${now}`,
    jobs`delete from signups where expires_at <= ${now}`,
    jobs`
      delete from sessions
      where expires_at <= ${now} or last_used_at <= ${secondsAfter(now, -SESSION_LIFETIME.idleSeconds)}`,
    jobs`delete from invitations where created_at <= ${secondsAfter(now, -30 * DAY_SECONDS)}`,
    jobs`delete from login_limits where expires_at <= ${now}`,
    jobs`delete from sms_counts where at <= ${secondsAfter(now, -2 * DAY_SECONDS)}`,
    jobs`delete from idempotency_keys where created_at <= ${dayAgo}`,
  ])
  return results.reduce((sum, { count }) => sum + count, 0)
}

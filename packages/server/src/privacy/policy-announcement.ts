import { announce } from '../identity/notices.ts'
import type { Sql } from '../platform/db.ts'
import { policiesAt, publication, startOf } from './policy-versions.ts'

const KIND = 'policy_change'

/**
 * Tells every account that has seen an earlier text of the newest one, once: ahead of its day, and also where this
 * service learned of it only after that. Told again, it changes nothing but the words, on the day.
 */
export async function announcePolicy(tx: Sql, now: Date, published = publication): Promise<void> {
  const { current, announced } = policiesAt(now, published)
  const { lastUpdated: day, hash } = announced ?? current
  await announce(
    tx,
    KIND,
    published.versions.length === 1
      ? undefined
      : {
          id: `ann_policy_${day}_${hash.slice(0, 8)}`,
          ...(announced
            ? {
                message: `The privacy policy changes on ${day}. Going on using the service from then on accepts it; what changes can be read now.`,
                next: 'agentctl policy show --next',
              }
            : {
                message: `The privacy policy has changed on ${day}. Going on using the service accepts it.`,
                next: 'agentctl policy show',
              }),
          announcedAt: now,
          effectiveAt: startOf(day),
          policyDay: day,
        },
    now,
  )
}

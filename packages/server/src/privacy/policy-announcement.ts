import { announce } from '../identity/notices.ts'
import type { Sql } from '../platform/db.ts'
import { policiesAt, publication, startOf } from './policy-versions.ts'

const KIND = 'policy_change'

/** Tells every account of the text that comes next, once, with its day; told again, it changes nothing. */
export async function announcePolicy(tx: Sql, now: Date, published = publication): Promise<void> {
  const { announced } = policiesAt(now, published)
  const { lastUpdated, hash } = announced ?? {}
  await announce(
    tx,
    KIND,
    lastUpdated === undefined
      ? undefined
      : {
          id: `ann_policy_${lastUpdated}_${hash?.slice(0, 8)}`,
          message: `The privacy policy changes on ${lastUpdated}. Going on using the service from then on accepts it; what changes can be read now.`,
          next: 'agentctl policy show --next',
          announcedAt: now,
          effectiveAt: startOf(lastUpdated),
        },
    now,
  )
}

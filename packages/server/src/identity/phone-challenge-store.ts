import type { Sql } from '../platform/db.ts'
import type { HashedPhone } from './proof.ts'

export interface PhoneChallengeRow {
  hmac: Buffer
  pepperVersion: number
  olderHmacs: Buffer[]
  country: string
  providerId: string | null
  attempts: number
  createdAt: Date
}

/**
 * Begins the phone's challenge; the one before it ends. Where no code is sent, the code that is under way, and the
 * tries that it has had, pass on to the new challenge.
 */
export async function beginPhoneChallenge(
  tx: Sql,
  challenge: {
    id: string
    phone: HashedPhone
    country: string
    accountId: string | null
    sends: boolean
    now: Date
    expiresAt: Date
  },
): Promise<void> {
  const { phone } = challenge
  await tx`
    insert into phone_challenges as c (id, phone_hmac, pepper_version, older_hmacs, country, account_id, created_at, expires_at)
    values (${challenge.id}, ${phone.hmac}, ${phone.pepperVersion}, ${tx.array(phone.olderHmacs)}, ${challenge.country},
            ${challenge.accountId}, ${challenge.now}, ${challenge.expiresAt})
    on conflict (phone_hmac) do update set
      id = excluded.id, pepper_version = excluded.pepper_version, older_hmacs = excluded.older_hmacs,
      account_id = excluded.account_id, created_at = excluded.created_at, expires_at = excluded.expires_at,
      provider_id = case when ${!challenge.sends} and c.consumed_at is null and c.expires_at > ${challenge.now}
        then c.provider_id end,
      attempts = case when ${!challenge.sends} and c.consumed_at is null and c.expires_at > ${challenge.now}
        then c.attempts else 0 end,
      consumed_at = null`
}

/** By phone, not by id: a request for another code may have taken the challenge over while this one was being sent. */
export async function noteProviderId(tx: Sql, phone: HashedPhone, providerId: string | null): Promise<void> {
  await tx`
    update phone_challenges set provider_id = coalesce(${providerId}, provider_id)
    where phone_hmac = ${phone.hmac} and consumed_at is null`
}

/** Counts a try at a live challenge of this account (null: of nobody yet), and only then shows it. */
export async function tryPhoneChallenge(
  tx: Sql,
  attempt: { id: string; accountId: string | null; attemptsMax: number; now: Date },
): Promise<PhoneChallengeRow | undefined> {
  const [row] = await tx<PhoneChallengeRow[]>`
    update phone_challenges set attempts = attempts + 1
    where id = ${attempt.id} and account_id is not distinct from ${attempt.accountId}
      and consumed_at is null and expires_at > ${attempt.now} and attempts < ${attempt.attemptsMax}
    returning phone_hmac as hmac, pepper_version as "pepperVersion", older_hmacs as "olderHmacs", country,
      provider_id as "providerId", attempts, created_at as "createdAt"`
  return row
}

export async function consumePhoneChallenge(tx: Sql, id: string, now: Date): Promise<boolean> {
  const rows = await tx`
    update phone_challenges set consumed_at = ${now} where id = ${id} and consumed_at is null returning id`
  return rows.length > 0
}

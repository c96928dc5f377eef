import type { Deps } from '../deps.ts'
import { clientNetwork } from '../platform/client-network.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import { type Phone, parsePhone } from '../providers/sms/phone.ts'
import { giveTurnBack, isUsedUp, type Limit, limits, nextTurnAt, takeTurn } from './limits.ts'
import type { Pace } from './pace.ts'
import {
  beginPhoneChallenge,
  consumePhoneChallenge,
  noteProviderId,
  type PhoneChallengeRow,
  tryPhoneChallenge,
} from './phone-challenge-store.ts'
import { formsOf, type HashedPhone, type Proof } from './proof.ts'
import { countConversion, countSend, isPumped, uncountSend } from './sms-counts.ts'

type PhoneDeps = Pick<Deps, 'config' | 'db' | 'clock' | 'pepper' | 'sms'>

const CHALLENGE_SECONDS = 300
const ATTEMPTS_MAX = 5

/**
 * Has a code sent, where the limits allow it. What is wrong with the number itself, and what concerns the asker's
 * network or the whole service, is said at once; beyond that every number gets the same answer, sent to or not.
 */
export async function startPhoneChallenge(
  deps: PhoneDeps,
  asked: { phone: string; clientAddress: string; accountId: string | null },
  pace: Pace,
): Promise<{ challengeId: string; expiresAt: Date; resendAt: Date }> {
  const { config, db, clock, sms } = deps
  const phone = parsePhone(asked.phone, config.phoneCountries)
  const now = clock.now()
  const hashed = hashPhone(deps, phone)
  const subject = phoneSubject(hashed)
  await takeAddressTurns(
    deps,
    asked.clientAddress,
    [limits.sendsPerAddress, limits.sendsPerAddressDaily],
    now,
  )
  await refuseWherePumped(deps, phone.country, now)
  const { byPhone, sends } = await db.as({ account: null }, async (tx) => {
    const byPhone = await takeTurn(tx, limits.sendsPerPhone, subject, now)
    const locked = await isUsedUp(tx, limits.failuresPerPhone, subject, now)
    const byRange = byPhone.allowed && !locked && (await takeRangeTurn(deps, tx, phone, now))
    return { byPhone, sends: byRange }
  })
  if (sends) await takeFromBudget(deps, phone.country, now)

  const challengeId = newId('chl')
  const expiresAt = secondsAfter(now, CHALLENGE_SECONDS)
  const presented = { account: null, presented: hashed.hmac.toString('hex') }
  await db.as(presented, (tx) =>
    beginPhoneChallenge(tx, {
      id: challengeId,
      phone: hashed,
      country: phone.country,
      accountId: asked.accountId,
      sends,
      now,
      expiresAt,
    }),
  )
  const outcome = sends ? await pace.keep(() => sms.sendCode(phone)) : await pace.imitate()
  const providerId = outcome?.status === 'sent' ? outcome.providerId : null
  await db.as(presented, (tx) => noteProviderId(tx, hashed, providerId))
  if (outcome?.status === 'refused') {
    await db.as({ account: null }, (tx) => uncountSend(tx, phone.country, now))
  }
  return { challengeId, expiresAt, resendAt: nextTurnAt(limits.sendsPerPhone, byPhone.times, now) }
}

/** Whose phone it is, if the code is right. Wrong, expired, unknown, used and locked have one answer. */
export async function verifyPhone(
  deps: PhoneDeps,
  shown: { challengeId: string; code: string; clientAddress: string; accountId: string | null },
  pace: Pace,
): Promise<Proof> {
  const { db, clock, sms } = deps
  const now = clock.now()
  await takeAddressTurns(deps, shown.clientAddress, [limits.checksPerAddress], now)
  const challenge = await db.as({ account: null, presented: shown.challengeId }, (tx) =>
    tryPhoneChallenge(tx, {
      id: shown.challengeId,
      accountId: shown.accountId,
      attemptsMax: ATTEMPTS_MAX,
      now,
    }),
  )
  // A turn is taken for an unknown challenge too: the same work, whatever was shown.
  const subject = challenge ? phoneSubject(challenge) : `unknown:${networkSubject(deps, shown.clientAddress)}`
  const turn = await db.as({ account: null }, (tx) => takeTurn(tx, limits.failuresPerPhone, subject, now))
  const providerId = turn.allowed ? (challenge?.providerId ?? null) : null
  if (!challenge || providerId === null) {
    await pace.imitate()
    throw new Problem('login_failed')
  }
  const outcome = await pace.keep(() => sms.checkCode(providerId, shown.code))
  if (outcome === 'approved') return approve(deps, shown.challengeId, challenge, now)
  if (outcome === 'unavailable') {
    await db.as({ account: null }, (tx) => giveTurnBack(tx, limits.failuresPerPhone, subject))
    throw new Problem('provider_unavailable', 'The code cannot be checked right now.')
  }
  // Not waited for: the last refusal must not take longer than those before.
  if (challenge.attempts >= ATTEMPTS_MAX) void sms.cancel(providerId)
  throw new Problem('login_failed')
}

async function approve(
  { db }: PhoneDeps,
  challengeId: string,
  challenge: PhoneChallengeRow,
  now: Date,
): Promise<Proof> {
  const consumed = await db.as({ account: null, presented: challengeId }, async (tx) => {
    await giveTurnBack(tx, limits.failuresPerPhone, phoneSubject(challenge))
    await countConversion(tx, challenge.country, challenge.createdAt)
    return consumePhoneChallenge(tx, challengeId, now)
  })
  if (!consumed) throw new Problem('login_failed')
  const { hmac, pepperVersion, olderHmacs } = challenge
  return { method: 'phone', phone: { hmac, pepperVersion, olderHmacs } }
}

/** Policy 1a: what is kept of a phone. */
export function hashPhone({ pepper }: Pick<Deps, 'pepper'>, phone: Phone): HashedPhone {
  const older = pepper.versions.filter((version) => version !== pepper.version).reverse()
  return {
    hmac: pepper.hmac(phone.reveal()),
    pepperVersion: pepper.version,
    olderHmacs: older.map((version) => pepper.hmac(phone.reveal(), version)),
  }
}

/** Counted under the oldest pepper, so that a new one does not start every count anew. */
function phoneSubject(phone: Pick<HashedPhone, 'hmac' | 'olderHmacs'>): string {
  return (formsOf({ ...phone, pepperVersion: 0 }).at(-1) ?? phone.hmac).toString('hex')
}

function networkSubject({ pepper }: PhoneDeps, clientAddress: string): string {
  return pepper.hmac(clientNetwork(clientAddress), pepper.versions[0]).toString('hex')
}

async function takeAddressTurns(
  deps: PhoneDeps,
  clientAddress: string,
  taken: readonly Limit[],
  now: Date,
): Promise<void> {
  const subject = networkSubject(deps, clientAddress)
  await deps.db.as({ account: null }, async (tx) => {
    for (const limit of taken) {
      const turn = await takeTurn(tx, limit, subject, now)
      if (turn.allowed) continue
      throw new Problem('rate_limited', 'Too many codes were asked for or tried from your network.', {
        retryAfterSeconds: (nextTurnAt(limit, turn.times, now).getTime() - now.getTime()) / 1000,
      })
    }
  })
}

async function takeRangeTurn({ pepper }: PhoneDeps, tx: Sql, phone: Phone, now: Date): Promise<boolean> {
  const subject = pepper.hmac(phone.range(), pepper.versions[0]).toString('hex')
  return (await takeTurn(tx, limits.sendsPerRange, subject, now)).allowed
}

async function refuseWherePumped({ db }: PhoneDeps, country: string, now: Date): Promise<void> {
  if (await db.as({ account: null }, (tx) => isPumped(tx, country, now))) throw noCodesNow()
}

async function takeFromBudget({ db, config }: PhoneDeps, country: string, now: Date): Promise<void> {
  const counted = await db.as({ account: null }, (tx) => countSend(tx, country, now))
  if (counted <= config.smsDailyBudget) return
  await db.as({ account: null }, (tx) => uncountSend(tx, country, now))
  throw noCodesNow()
}

function noCodesNow(): Problem {
  return new Problem('unavailable', 'No codes are sent at the moment.', {
    fix: 'Log in with a wallet: agentctl login --wallet',
  })
}

import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { secondsAfter } from '../platform/clock.ts'
import { openPool } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import type { CardSession, TakenBack } from '../providers/cards/stripe.ts'
import { type CardPaymentView, settleCheckout } from './card-payments.ts'
import * as store from './checkout-store.ts'
import { ledgerAccountOf } from './ledger.ts'
import { findBalance } from './store.ts'

const { db, url } = await testDatabase()
const owner = openPool(url, { connectionsMax: 1 })
afterAll(() => owner.end({ timeout: 5 }))
const now = new Date(1_800_000_000_000)

async function openCheckout(): Promise<{ id: string; ledgerAccount: string; session: CardSession }> {
  const accountId = newId('acc')
  const id = newId('chk')
  const unique = id.slice(4)
  await owner`insert into accounts (id, created_at, terms_accepted_at) values (${accountId}, ${now}, ${now})`
  const ledgerAccount = await db.work(async (tx) => {
    const ledgerAccount = await ledgerAccountOf(tx, accountId, now)
    await store.makeCheckout(tx, {
      id,
      ledgerAccount,
      requestKey: id,
      amountMicros: 25_000_000n,
      now,
      expiresAt: new Date(now.getTime() + 3_600_000),
    })
    await store.openCheckout(tx, id, { sessionId: `cs_${unique}`, url: 'https://pay.example.com' })
    return ledgerAccount
  })
  const session: CardSession = {
    id: `cs_${unique}`,
    reference: id,
    status: 'open',
    isPaid: false,
    isLive: false,
    amountCents: 2500,
    currency: 'usd',
    payment: null,
  }
  return { id, ledgerAccount, session }
}

/** Everything that can be seen of a payment in the course of its life, oldest first, and what it is worth then. */
function lifeOf(session: CardSession): { view: CardPaymentView; dollars: number; status: string }[] {
  const unique = session.id.slice(3)
  const payment = { id: `pi_${unique}`, receivedCents: 0 }
  const bank: CardSession = {
    ...session,
    status: 'complete',
    payment: { ...payment, status: 'processing' },
  }
  const paid: CardSession = {
    ...bank,
    isPaid: true,
    payment: { ...payment, status: 'received', receivedCents: 2500 },
  }
  const refund: TakenBack = { id: `re_${unique}`, kind: 'refund', amountCents: 1000, isUndone: false }
  const returned = { ...refund, isUndone: true }
  const dispute: TakenBack = { id: `du_${unique}`, kind: 'dispute', amountCents: 2500, isUndone: false }
  const won = { ...dispute, isUndone: true }
  return [
    { view: { session, takenBack: [] }, dollars: 0, status: 'open' },
    { view: { session: bank, takenBack: [] }, dollars: 0, status: 'processing' },
    { view: { session: paid, takenBack: [] }, dollars: 25, status: 'paid' },
    { view: { session: paid, takenBack: [refund] }, dollars: 15, status: 'paid' },
    { view: { session: paid, takenBack: [returned] }, dollars: 25, status: 'paid' },
    { view: { session: paid, takenBack: [returned, dispute] }, dollars: 0, status: 'paid' },
    { view: { session: paid, takenBack: [returned, won] }, dollars: 25, status: 'paid' },
  ]
}

test('looks that come late, twice, in any order or at the same time end where the newest look is', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat({ max: 6 }), { minLength: 1, maxLength: 12 }),
      fc.boolean(),
      async (order, isParallel) => {
        const { id, ledgerAccount, session } = await openCheckout()
        const life = lifeOf(session)
        let looks = 0
        const look = async (index: number): Promise<void> => {
          const view = life[index]?.view
          if (!view) throw new RangeError()
          looks += 1
          const at = { isLive: false, now: secondsAfter(now, looks) }
          expect(await db.work((tx) => settleCheckout(tx, view, at))).toBe('settled')
        }
        if (isParallel) await Promise.all(order.map(look))
        else for (const index of order) await look(index)
        const newest = life[Math.max(...order)]
        const balance = await findBalance(db.jobs, ledgerAccount)
        expect(balance?.balanceMicros).toBe(BigInt(newest?.dollars ?? -1) * 1_000_000n)
        expect((await store.findCheckout(db.jobs, id))?.status).toBe(newest?.status)
      },
    ),
    { numRuns: 60 },
  )
})

test.each<[string, (session: CardSession) => Partial<CardSession>]>([
  ['another amount', () => ({ amountCents: 2501 })],
  ['another currency', () => ({ currency: 'krw' })],
  ['money of the test mode where it is real, or the other way round', () => ({ isLive: true })],
  ['another session than the one that was opened', () => ({ id: 'cs_other' })],
  [
    'a payment that received less',
    ({ payment }) => ({ payment: payment && { ...payment, receivedCents: 1 } }),
  ],
  [
    'a session that says paid, whose payment is still on its way',
    ({ payment }) => ({ payment: payment && { ...payment, status: 'processing' } }),
  ],
  ['a session that says paid, without a payment', () => ({ payment: null })],
])('%s is a mismatch and credits nothing', async (_, change) => {
  const { ledgerAccount, session } = await openCheckout()
  const paid = lifeOf(session)[2]?.view.session
  if (!paid) throw new RangeError()
  const view = { session: { ...paid, ...change(paid) }, takenBack: [] }
  expect(await db.work((tx) => settleCheckout(tx, view, { isLive: false, now }))).toBe('mismatch')
  expect((await findBalance(db.jobs, ledgerAccount))?.balanceMicros).toBe(0n)
})

test.each(['expired', 'failed'] as const)(
  'what was %s and is paid after all is paid, and stays so',
  async (before) => {
    const { id, ledgerAccount, session } = await openCheckout()
    const paid = lifeOf(session)[2]?.view
    if (!paid?.session.payment) throw new RangeError()
    const over: CardSession =
      before === 'expired'
        ? { ...session, status: 'expired' }
        : { ...session, status: 'complete', payment: { ...paid.session.payment, status: 'failed' } }
    const look = async (view: CardPaymentView): Promise<string | undefined> => {
      await db.work((tx) => settleCheckout(tx, view, { isLive: false, now }))
      return (await store.findCheckout(db.jobs, id))?.status
    }
    expect(await look({ session: over, takenBack: [] })).toBe(before)
    expect(await look(paid)).toBe('paid')
    expect(await look({ session: over, takenBack: [] })).toBe('paid')
    expect((await findBalance(db.jobs, ledgerAccount))?.balanceMicros).toBe(25_000_000n)
  },
)

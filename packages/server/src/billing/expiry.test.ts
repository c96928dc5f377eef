import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { secondsAfter } from '../platform/clock.ts'
import { openPool } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import { insertCardEvent, makeCheckout } from './checkout-store.ts'
import { visitBillingExpiry } from './expiry.ts'
import { ledgerAccountOf } from './ledger.ts'

const { db, url } = await testDatabase()
const owner = openPool(url, { connectionsMax: 1 })
afterAll(() => owner.end())
const begin = new Date('2027-03-01T00:00:00Z')
let now = begin
const deps = { db, clock: { now: () => now } }

test('what the card processor told is forgotten after 90 days, and not before', async () => {
  const paymentId = 'pi_1'
  await insertCardEvent(db.jobs, { id: 'evt_1', sessionId: null, paymentId, now })
  await insertCardEvent(db.jobs, { id: 'evt_2', sessionId: null, paymentId, now: secondsAfter(now, 10) })
  const left = async () => (await db.jobs`select id from card_events order by id`).map((row) => row.id)
  now = secondsAfter(begin, 90 * 86_400 - 1)
  expect((await visitBillingExpiry(deps)).state).toBe('again')
  expect(await left()).toEqual(['evt_1', 'evt_2'])
  now = secondsAfter(begin, 90 * 86_400)
  await visitBillingExpiry(deps)
  expect(await left()).toEqual(['evt_2'])
})

test('the key of a request to pay by card is forgotten after a day, the payment is not', async () => {
  const account = newId('acc')
  await owner`insert into accounts values (${account}, ${begin}, ${begin})`
  const make = async (at: Date) => {
    const ledgerAccount = await db.work((tx) => ledgerAccountOf(tx, account, at))
    const wanted = { id: newId('chk'), ledgerAccount, requestKey: 'key', amountMicros: 10_000_000n }
    return makeCheckout(db.jobs, { ...wanted, now: at, expiresAt: secondsAfter(at, 3600) })
  }
  const { checkout: first } = await make(begin)
  now = secondsAfter(begin, 86_400 - 1)
  await visitBillingExpiry(deps)
  expect(await make(now)).toEqual({ checkout: first, made: false })
  now = secondsAfter(begin, 86_400)
  await visitBillingExpiry(deps)
  const second = await make(now)
  expect(second.made).toBe(true)
  expect(await db.jobs`select id, request_key as key from checkouts order by created_at`).toEqual([
    { id: first.id, key: null },
    { id: second.checkout.id, key: 'key' },
  ])
})

import { expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { secondsAfter } from '../platform/clock.ts'
import { insertCardEvent } from './checkout-store.ts'
import { visitBillingExpiry } from './expiry.ts'

const { db } = await testDatabase()
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

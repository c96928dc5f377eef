import { randomInt } from 'node:crypto'
import { beforeEach, expect, test } from 'vitest'
import { newAddress, testIdentity } from './test-identity.ts'

const identity = await testIdentity({ env: { SMS_DAILY_BUDGET: '60' } })
const { call, clock } = identity

beforeEach(() => identity.db.as({ account: null }, (tx) => tx`delete from sms_counts`))

let numbers = 0
const newPhone = () => {
  numbers += 1
  return `+8210${String(3000 + numbers)}${String(randomInt(10_000)).padStart(4, '0')}`
}

const start = (phone: string) => call('POST /v1/logins/phone', { body: { phone }, from: newAddress() })

/** Has codes sent; the phones of `convert` of them type theirs in. */
async function send(count: number, convert: number): Promise<number[]> {
  const statuses: number[] = []
  for (let sent = 0; sent < count; sent++) {
    const phone = newPhone()
    const { status, json } = await start(phone)
    statuses.push(status)
    if (sent >= convert) continue
    const [code = ''] = await identity.codes(phone)
    const body = { challengeId: json.challengeId, code }
    expect((await call('POST /v1/logins/phone/verify', { body, from: newAddress() })).status).toBe(200)
  }
  return statuses
}

test('the budget of a day is not overspent, also by those who come at once, and comes back', async () => {
  const before = (await identity.sentToProvider()).length
  const replies = await Promise.all(Array.from({ length: 65 }, () => start(newPhone())))
  const accepted = replies.filter(({ status }) => status === 202).length
  expect(accepted).toBeGreaterThan(50)
  expect(accepted).toBeLessThanOrEqual(60)
  expect((await identity.sentToProvider()).length - before).toBe(accepted)
  const refused = replies.find(({ status }) => status === 503)
  expect(refused?.json).toMatchObject({ code: 'unavailable', fix: expect.stringContaining('--wallet') })
  clock.advance(86_400 + 300)
  expect((await start(newPhone())).status).toBe(202)
})

test('where fewer than a fifth of fifty codes come back, no more are sent for a while', async () => {
  await send(50, 9)
  // They may still be typing.
  expect((await start(newPhone())).status).toBe(202)
  clock.advance(900)
  expect((await start(newPhone())).json.code).toBe('unavailable')
  clock.advance(6 * 3600)
  expect((await start(newPhone())).status).toBe(202)
})

test('fewer than fifty codes prove nothing, whatever becomes of them', async () => {
  await send(49, 0)
  clock.advance(900)
  expect((await start(newPhone())).status).toBe(202)
})

test('where a fifth come back, codes go on', async () => {
  await send(50, 10)
  clock.advance(900)
  expect((await start(newPhone())).status).toBe(202)
})

test('a number that the provider refuses costs nothing of the budget', async () => {
  await identity.fault({ kind: 'status', path: '/v2/', times: 60, status: 403, body: { code: 60605 } })
  const statuses = await send(61, 0)
  expect(new Set(statuses)).toEqual(new Set([202]))
})

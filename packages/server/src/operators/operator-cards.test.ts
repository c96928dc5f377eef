import { expect, test } from 'vitest'
import { cardShop, eventually } from '../billing/testing/card-shop.ts'
import { testOperators } from './test-operators.ts'

const shop = await cardShop()
const { alice, bob } = testOperators({
  ...shop.deps,
  transfers: [],
  pepper: { version: 1, versions: [1], hmac: () => Buffer.alloc(32) },
})
await shop.work()
const reason = 'The payer asked for it.'

/** Somebody who paid $25 on a page for something else, as far as we know. */
async function mismatched(askedMicros = 26_000_000) {
  const person = await shop.person()
  const checkout = await person.checkout(25)
  await shop.sql`update checkouts set amount_micros = ${askedMicros} where id = ${checkout.id}`
  await checkout.pay()
  await shop.quiet()
  const payment = await checkout.payment()
  return { person, checkout, payment, path: `/v1/operator/card-payments/${payment}` }
}

async function paid(dollars: number) {
  const person = await shop.person()
  const checkout = await person.checkout(dollars)
  await checkout.pay()
  await eventually(async () => (await person.dollars()) === dollars)
  const payment = await checkout.payment()
  return { person, checkout, payment, path: `/v1/operator/card-payments/${payment}` }
}

const listed = async (query = ''): Promise<{ id: string; refund: { state: string } | null }[]> =>
  (await alice('GET', `/v1/operator/card-payments${query}`)).body.payments
const refundsAt = async (payment: string): Promise<{ amount: number }[]> => {
  const answer = await fetch(`${shop.stripe.url}/v1/refunds?payment_intent=${payment}`, {
    headers: { authorization: `Bearer ${shop.stripe.secretKey}` },
  })
  return ((await answer.json()) as { data: { amount: number }[] }).data
}

test('a payment that is not what was asked for waits for an operator, who credits what came', async () => {
  const { person, checkout, payment, path } = await mismatched()
  expect(await listed()).toEqual([
    {
      id: payment,
      checkout: checkout.id,
      account: person.account,
      state: 'mismatched',
      askedMicros: '26000000',
      received: { amount: '2500', currency: 'usd' },
      refund: null,
      paidAt: expect.any(String),
    },
  ])
  const both = await Promise.all([alice('POST', `${path}/credit`), bob('POST', `${path}/credit`)])
  for (const answer of both) expect(answer).toMatchObject({ status: 200, body: { state: 'credited' } })
  await eventually(async () => (await person.dollars()) === 25)
  expect((await checkout.show()).status).toBe('paid')
  expect(await listed()).toEqual([])
  // From now on it is a payment like any other: a dispute takes the credits.
  await shop.control('POST', '/disputes', { paymentIntent: payment })
  await eventually(async () => (await person.dollars()) === 0)
  expect(await person.entries()).toEqual(['deposit 25', 'reversal -25'])
})

test('what was paid twice on one checkout, or in other money, is not credited: it can only go back', async () => {
  const { path, payment, person } = await mismatched()
  await shop.sql`update card_mismatches set currency = 'krw' where payment_id = ${payment}`
  expect(await alice('POST', `${path}/credit`)).toMatchObject({
    status: 409,
    body: { code: 'conflict', fix: `Give it back: agentctl operator refund ${payment}` },
  })
  expect((await alice('POST', `${path}/refund`, { reason, amountMicros: '1000000' })).status).toBe(400)
  expect(await alice('POST', `${path}/refund`, { reason })).toMatchObject({ status: 200 })
  await eventually(async () => (await listed()).length === 0)
  expect(await refundsAt(payment)).toMatchObject([{ amount: 2500 }])
  expect(
    (
      await shop.sql`select status from checkouts where payment_id = ${payment} or id = (
    select checkout_id from card_mismatches where payment_id = ${payment})`
    ).map((row) => row.status),
  ).toEqual(['failed'])
  // It was never credited, so nothing is taken.
  await shop.quiet()
  expect(await person.entries()).toEqual([])
  expect((await alice('POST', `${path}/credit`)).status).toBe(409)
})

test('operators who refund the same payment at once, and again, refund it once', async () => {
  const { person, payment, path } = await paid(25)
  const answers = await Promise.all([
    alice('POST', `${path}/refund`, { reason }),
    bob('POST', `${path}/refund`, { reason }),
    bob('POST', `${path}/refund`, { reason, amountMicros: '25000000' }),
  ])
  for (const { status } of answers) expect(status).toBe(200)
  await eventually(async () => (await person.dollars()) === 0)
  expect((await alice('POST', `${path}/refund`, { reason })).body.refund).toEqual({
    state: 'made',
    amountMicros: null,
  })
  expect((await alice('POST', `${path}/refund`, { reason, amountMicros: '1000000' })).status).toBe(409)
  await shop.quiet()
  expect(await person.entries()).toEqual(['deposit 25', 'refund -25'])
  expect(await refundsAt(payment)).toHaveLength(1)
})

test('a part is given back as told, and not more than is left of the credits', async () => {
  const { person, payment, path } = await paid(10)
  await shop.sql`
    select ledger_post(${`spent:${payment}`}, 'charge', '', ledger_account_id, 'sys_revenue', -4000000, ${new Date()})
    from billing_accounts where account_id = ${person.account}`
  expect(await alice('POST', `${path}/refund`, { reason })).toMatchObject({
    status: 402,
    body: { code: 'insufficient_credits' },
  })
  for (const amountMicros of ['10010000', '5000001']) {
    expect((await alice('POST', `${path}/refund`, { reason, amountMicros })).status).toBe(400)
  }
  expect((await alice('POST', `${path}/refund`, { reason, amountMicros: '6000000' })).status).toBe(200)
  await eventually(async () => (await person.dollars()) === 0)
  expect(await listed(`?account=${person.account}`)).toMatchObject([
    { id: payment, state: 'credited', refund: { state: 'made', amountMicros: '6000000' } },
  ])
})

test.each(['drop-after-effect', 'error-after-effect', 'html-503', 'drop-before'])(
  'the processor answers a refund with %s: it is made once all the same',
  async (kind) => {
    const { person, payment, path } = await paid(5)
    await shop.fault({ kind, method: 'POST', path: '/v1/refunds' })
    expect((await alice('POST', `${path}/refund`, { reason })).status).toBe(200)
    await eventually(async () => (await person.dollars()) === 0)
    await shop.quiet()
    expect(await refundsAt(payment)).toHaveLength(1)
    expect(await person.entries()).toEqual(['deposit 5', 'refund -5'])
  },
)

test('a refund that the processor refuses is listed, and may be decided on again', async () => {
  const { person, payment, path } = await paid(8)
  const body = { error: { type: 'invalid_request_error', message: 'This charge is disputed.' } }
  await shop.fault({ kind: 'status', status: 400, body, method: 'POST', path: '/v1/refunds' })
  expect((await alice('POST', `${path}/refund`, { reason })).status).toBe(200)
  await eventually(async () => {
    const one = (await listed()).find(({ id }) => id === payment)
    return one?.refund?.state === 'refused'
  })
  expect(await person.dollars()).toBe(8)
  expect((await alice('POST', `${path}/refund`, { reason, amountMicros: '3000000' })).status).toBe(200)
  await eventually(async () => (await person.dollars()) === 5)
})

test('a refusal can be decided on again from the moment that it is shown, however long its visit takes', async () => {
  const { person, payment, path } = await paid(9)
  const refused = { error: { type: 'invalid_request_error', message: 'This charge is disputed.' } }
  await shop.fault({ kind: 'status', status: 400, body: refused, method: 'POST', path: '/v1/refunds' })
  await shop.fault({ kind: 'delay', delayMs: 1500, method: 'GET', path: '/v1/checkout/sessions' })
  expect((await alice('POST', `${path}/refund`, { reason })).status).toBe(200)
  await eventually(async () => (await listed()).some((one) => one.refund?.state === 'refused'))
  expect((await alice('POST', `${path}/refund`, { reason })).status).toBe(200)
  await eventually(async () => (await person.dollars()) === 0)
  expect(await refundsAt(payment)).toHaveLength(1)
})

test('a payment that there is not is not found', async () => {
  for (const what of ['credit', 'refund']) {
    const answer = await alice(
      'POST',
      `/v1/operator/card-payments/pi_unknown/${what}`,
      what === 'refund' ? { reason } : undefined,
    )
    expect(answer).toMatchObject({ status: 404, body: { code: 'not_found' } })
  }
})

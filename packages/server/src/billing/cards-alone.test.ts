import { expect, test } from 'vitest'
import { readConfig } from '../platform/config.ts'
import { ConfigError } from '../platform/config-error.ts'
import { scheduleCardWork } from './card-operations.ts'
import { cardShop, eventually } from './testing/card-shop.ts'

test("without the processor's keys there are no cards, and that is said", async () => {
  const shop = await cardShop({ env: { STRIPE_SECRET_KEY: '', STRIPE_WEBHOOK_SECRET: '' } })
  const alice = await shop.person()
  expect(await alice.topUp(25)).toMatchObject({ status: 503, body: { code: 'cards_unavailable' } })
  expect(await shop.tell('{}', 't=1,v1=00')).toMatchObject({
    status: 503,
    body: { code: 'cards_unavailable' },
  })
  expect(() => readConfig({ ...process.env, STRIPE_SECRET_KEY: 'sk_test_1' })).toThrow(ConfigError)
})

test('what no webhook told is found by looking, at the latest the next day', async () => {
  const shop = await cardShop()
  await shop.work()
  await scheduleCardWork(shop.deps)
  const reconciled = async (): Promise<string | undefined> => {
    const [row] = await shop.sql<{ upto: string | null }[]>`
      select step_data->>'upto' as upto from operations where kind = 'reconcile-cards'`
    return row?.upto ?? undefined
  }
  await eventually(async () => (await reconciled()) !== undefined)
  const alice = await shop.person()
  shop.stripe.setWebhook(null)
  const [watched, refunded] = [await alice.checkout(10), await alice.checkout(20)]
  await watched.pay()
  await refunded.pay()
  // The page itself is looked at after a minute.
  await shop.sql`update operations set run_at = clock_timestamp() where kind = 'watch-checkout'`
  await eventually(async () => (await alice.dollars()) === 30)
  await shop.control('POST', '/refunds', { paymentIntent: await refunded.payment() })
  const first = await reconciled()
  shop.advance(86_400)
  await shop.sql`update operations set run_at = clock_timestamp() where kind = 'reconcile-cards'`
  await eventually(async () => (await alice.dollars()) === 10)
  await eventually(async () => (await reconciled()) !== first)
  await shop.quiet()
  expect((await alice.entries()).toSorted()).toEqual(['deposit 10', 'deposit 20', 'refund -20'])
})

test('a page that nobody pays on expires, and so does one whose address was lost', async () => {
  const shop = await cardShop()
  await shop.work()
  const alice = await shop.person()
  const checkout = await alice.checkout(10)
  await shop.fault({ kind: 'drop-before', method: 'POST', path: '/v1/checkout/sessions', times: 2 })
  expect((await alice.topUp(10, 'lost')).status).toBe(503)
  shop.advance(3700)
  await eventually(async () => (await checkout.show()).status === 'expired')
  expect(await alice.topUp(10, 'lost')).toMatchObject({ status: 409, body: { code: 'conflict' } })
  await shop.sql`update operations set run_at = clock_timestamp() where kind = 'watch-checkout'`
  await eventually(async () => {
    const rows = await shop.sql<{ status: string }[]>`select status from checkouts`
    return rows.every(({ status }) => status === 'expired')
  })
})

test('an account has at most ten pages open', async () => {
  const shop = await cardShop()
  const alice = await shop.person()
  for (let i = 0; i < 10; i++) expect((await alice.topUp(5)).status).toBe(201)
  expect(await alice.topUp(5)).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
})

test('a processor that never answers is not waited for', async () => {
  const shop = await cardShop()
  const alice = await shop.person()
  await shop.fault({ kind: 'hang', method: 'POST', path: '/v1/checkout/sessions' })
  const startedAt = performance.now()
  expect((await alice.topUp(25)).status).toBe(201)
  expect(performance.now() - startedAt).toBeLessThan(12_000)
})

import { createHmac } from 'node:crypto'
import { expect, test } from 'vitest'
import { cardWork } from './card-operations.ts'
import { cardShop, eventually } from './testing/card-shop.ts'

const shop = await cardShop()
await shop.work()

function sign(body: string, secondsOff = 0, secret = shop.stripe.webhookSecret): string {
  const at = Math.floor(shop.deps.clock.now().getTime() / 1000) + secondsOff
  return `t=${at},v1=${createHmac('sha256', secret).update(`${at}.${body}`).digest('hex')}`
}

/** What the processor would tell about a session, whether true or not. */
function telling(session: string, id = `evt_${session.slice(-12)}`): string {
  const object = { id: session, object: 'checkout.session', payment_intent: null }
  return JSON.stringify({
    id,
    object: 'event',
    type: 'checkout.session.completed',
    livemode: false,
    created: 1,
    data: { object },
  })
}

const countEvents = async (): Promise<number> => {
  const [row] = await shop.sql<{ count: number }[]>`select count(*)::int as count from card_events`
  return row?.count ?? 0
}

test('a payment on the page becomes credits, and a waiting client hears of it', async () => {
  const alice = await shop.person()
  const checkout = await alice.checkout(25)
  expect(await checkout.show()).toMatchObject({
    status: 'open',
    amountMicros: '25000000',
    creditsMicros: null,
  })
  const waiting = alice.call('GET', `/v1/billing/checkouts/${checkout.id}?waitSeconds=20&status=open`)
  await checkout.pay()
  expect((await waiting).body).toMatchObject({ id: checkout.id, status: 'paid', creditsMicros: '25000000' })
  expect(await alice.entries()).toEqual(['deposit 25'])
  const [system] = await shop.sql<{ micros: string }[]>`
    select sum(amount_micros)::text as micros from ledger_entries where ledger_account_id = 'sys_cards'`
  expect(system?.micros).toBe('-25000000')
})

test('the pages that a payer comes back to credit nothing and say nothing about anybody', async () => {
  const alice = await shop.person()
  await alice.checkout(25)
  for (const path of ['/checkout/done?session_id=cs_test_1', '/checkout/canceled']) {
    const page = await fetch(`${shop.url}${path}`)
    expect(page.status).toBe(200)
    expect(page.headers.get('content-security-policy')).toContain("default-src 'self'")
    expect(await page.text()).not.toMatch(/cs_test|<script|acc_/)
  }
  await shop.quiet()
  expect(await alice.dollars()).toBe(0)
})

test('a declined card can be followed by one that is taken', async () => {
  const alice = await shop.person()
  const checkout = await alice.checkout(5)
  await checkout.pay('declined card')
  expect((await checkout.show()).status).toBe('open')
  await checkout.pay()
  await eventually(async () => (await alice.dollars()) === 5)
})

test('a bank that answers later is credited when it has paid, and not when it has not', async () => {
  const alice = await shop.person()
  const [good, bad] = [await alice.checkout(10), await alice.checkout(20)]
  for (const checkout of [good, bad]) {
    await checkout.pay('bank')
    await eventually(async () => (await checkout.show()).status === 'processing')
  }
  expect(await alice.dollars()).toBe(0)
  await good.settle('succeeded')
  await bad.settle('failed')
  await eventually(async () => (await good.show()).status === 'paid')
  await eventually(async () => (await bad.show()).status === 'failed')
  expect(await alice.entries()).toEqual(['deposit 10'])
})

test('a webhook that is tampered with, unsigned, too old or from the future is refused and leaves nothing', async () => {
  const alice = await shop.person()
  const checkout = await alice.checkout(25)
  const before = await countEvents()
  const body = telling(checkout.session)
  const signature = sign(body)
  for (const [sent, header] of [
    [body.replace('completed', 'completed '), signature],
    [body, ''],
    [body, signature.replace(/v1=./, 'v1=')],
    [body, sign(body, 0, 'whsec_other')],
    [body, sign(body, -301)],
    [body, sign(body, 310)],
    [body, sign(body, 3600)],
    [body, `t=${Math.floor(Date.now() / 1000)},${sign(body, 3600)}`],
  ] as const) {
    expect(await shop.tell(sent, header)).toMatchObject({ status: 400, body: { code: 'invalid_request' } })
  }
  const huge = JSON.stringify({ x: 'x'.repeat(300_000) })
  expect((await shop.tell(huge, sign(huge))).status).toBe(413)
  expect((await shop.tell('no json', sign('no json'))).status).toBe(400)
  expect(await countEvents()).toBe(before)
  expect(await shop.tell(body, sign(body, -290))).toMatchObject({ status: 200, body: { received: true } })
})

test('a true signature under a payment that nobody made credits nothing: the processor itself is asked', async () => {
  const alice = await shop.person()
  const checkout = await alice.checkout(25)
  const body = telling(checkout.session, 'evt_liar')
  expect((await shop.tell(body, sign(body))).status).toBe(200)
  await shop.quiet()
  expect([await alice.dollars(), (await checkout.show()).status]).toEqual([0, 'open'])
})

test('a webhook that is replayed, and an event told ten times at once, credit once', async () => {
  const alice = await shop.person()
  await shop.control('POST', '/events/hold')
  const checkout = await alice.checkout(25)
  await checkout.pay()
  await shop.control('POST', '/events/release', { copies: 10 })
  await shop.quiet()
  expect(await alice.entries()).toEqual(['deposit 25'])
  const { body: events } = await shop.control('GET', '/events')
  const completed = events.findLast((one: { type: string }) => one.type === 'checkout.session.completed')
  const { body } = await shop.control('POST', `/events/${completed.id}/resend`, { copies: 10 })
  expect(body.statuses).toEqual(Array(10).fill(200))
  // Other events about the same payment, told at the same time, lead to looks at the same time.
  await Promise.all(
    Array.from({ length: 10 }, (_, i) => {
      const told = telling(checkout.session, `evt_again${i}`)
      return shop.tell(told, sign(told))
    }),
  )
  await shop.quiet()
  expect(await alice.entries()).toEqual(['deposit 25'])
  const looks = await shop.sql`
    select subject from operations where kind = 'card-event' group by subject having count(*) > 1`
  expect(looks).toEqual([])
})

test('an event of the other mode, with real money or without, is not even written down', async () => {
  const alice = await shop.person()
  const checkout = await alice.checkout(25)
  const before = await countEvents()
  const body = telling(checkout.session).replace('"livemode":false', '"livemode":true')
  expect(await shop.tell(body, sign(body))).toMatchObject({ status: 200, body: { received: true } })
  expect(await countEvents()).toBe(before)
})

test('events in the wrong order end in the same balance, also a refund before its payment', async () => {
  const alice = await shop.person()
  await shop.control('POST', '/events/hold')
  const checkout = await alice.checkout(25)
  await checkout.pay()
  await shop.control('POST', '/refunds', { paymentIntent: await checkout.payment(), amount: 1000 })
  await shop.control('POST', '/events/release', { order: 'newest-first', copies: 3 })
  await shop.quiet()
  expect((await alice.entries()).toSorted()).toEqual(['deposit 25', 'refund -10'])
  expect(await alice.dollars()).toBe(15)
})

test('refunds are taken off once each, a failed one comes back, and spent credits become a debt', async () => {
  const alice = await shop.person()
  const checkout = await alice.checkout(25)
  await checkout.pay()
  await eventually(async () => (await alice.dollars()) === 25)
  const paymentIntent = await checkout.payment()
  const part = await shop.control('POST', '/refunds', { paymentIntent, amount: 1000 })
  await eventually(async () => (await alice.dollars()) === 15)
  await shop.control('POST', `/refunds/${part.body.id}/fail`)
  await eventually(async () => (await alice.dollars()) === 25)
  await shop.sql`
    select ledger_post('spent:1', 'charge', '', ledger_account_id, 'sys_revenue', -20000000, ${new Date()})
    from billing_accounts where account_id = ${alice.account}`
  await shop.control('POST', '/refunds', { paymentIntent })
  await eventually(async () => (await alice.dollars()) === -20)
  await shop.quiet()
  expect(await alice.entries()).toEqual([
    'deposit 25',
    'refund -10',
    'reversal 10',
    'charge -20',
    'refund -25',
  ])
})

test('a dispute takes the credits, a won one gives them back, a lost one keeps them, an inquiry does neither', async () => {
  const alice = await shop.person()
  for (const [status, dollars] of [
    ['won', 25],
    ['lost', 25],
  ] as const) {
    const checkout = await alice.checkout(25)
    const before = await alice.dollars()
    await checkout.pay()
    await eventually(async () => (await alice.dollars()) === before + 25)
    const { body } = await shop.control('POST', '/disputes', { paymentIntent: await checkout.payment() })
    await eventually(async () => (await alice.dollars()) === before)
    await shop.control('POST', `/disputes/${body.id}`, { status })
    await shop.quiet()
    expect(await alice.dollars()).toBe(dollars)
  }
  const asked = await alice.checkout(5)
  await asked.pay()
  await eventually(async () => (await alice.dollars()) === 30)
  const inquiry = await shop.control('POST', '/disputes', {
    paymentIntent: await asked.payment(),
    isInquiry: true,
  })
  await shop.quiet()
  expect(await alice.dollars()).toBe(30)
  await shop.control('POST', `/disputes/${inquiry.body.id}`, { status: 'needs_response' })
  await eventually(async () => (await alice.dollars()) === 25)
})

test('a payment that is not what was asked for is not credited, and an operator is told', async () => {
  const alice = await shop.person()
  const checkout = await alice.checkout(25)
  await shop.sql`update checkouts set amount_micros = 26000000 where id = ${checkout.id}`
  await checkout.pay()
  await shop.quiet()
  expect(await alice.dollars()).toBe(0)
  expect(shop.logged()).toContain('A payment by card is not what was asked for')
  // A payment of another system on the same account of the processor is none of our business.
  const stranger = await fetch(`${shop.stripe.url}/v1/checkout/sessions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${shop.stripe.secretKey}` },
    body: new URLSearchParams({
      mode: 'payment',
      client_reference_id: 'order-77',
      success_url: 'https://shop.example.com',
      'line_items[0][quantity]': '1',
      'line_items[0][price_data][currency]': 'usd',
      'line_items[0][price_data][unit_amount]': '2500',
      'line_items[0][price_data][product_data][name]': 'Socks',
    }),
  })
  const { id } = (await stranger.json()) as { id: string }
  await shop.control('POST', `/sessions/${id}/pay`, {})
  await shop.quiet()
})

test('a crash between the receipt of an event and the work loses nothing', async () => {
  const other = await cardShop()
  const alice = await other.person()
  const checkout = await alice.checkout(25)
  await checkout.pay()
  // No worker yet: everything was told and answered, and nothing was done.
  await eventually(async () => {
    const [row] = await other.sql<{ count: number }[]>`select count(*)::int as count from card_events`
    return row?.count === 1
  })
  expect(await alice.dollars()).toBe(0)
  let crashes = 0
  const work = cardWork(other.deps)
  const crashing = await other.work({
    ...work,
    'card-event': async (operation, lease) => {
      crashes += 1
      // Dies after the work and before anybody could note that it was done.
      await work['card-event']?.(operation, {
        write: (run) => lease.write((tx) => run(tx).then(() => Promise.reject(new Error('crash')))),
        settle: lease.settle,
      })
      return { state: 'done' }
    },
  })
  await eventually(async () => crashes > 0)
  await crashing.stop()
  expect(await alice.dollars()).toBe(0)
  await other.work()
  await eventually(async () => (await alice.dollars()) === 25)
  expect(await alice.entries()).toEqual(['deposit 25'])
})

test('the same request again is the same page, another amount under its key is refused', async () => {
  const alice = await shop.person()
  const first = await alice.topUp(25, 'key-1')
  expect(first.status).toBe(201)
  expect((await alice.topUp(25, 'key-1')).body).toEqual(first.body)
  expect(await alice.topUp(26, 'key-1')).toMatchObject({
    status: 422,
    body: { code: 'idempotency_mismatch' },
  })
  const bob = await shop.person()
  expect((await bob.topUp(25, 'key-1')).body.id).not.toBe(first.body.id)
  expect(await bob.call('GET', `/v1/billing/checkouts/${first.body.id}`)).toMatchObject({
    status: 404,
    body: { code: 'not_found' },
  })
  const many = await Promise.all(Array.from({ length: 5 }, () => bob.topUp(30, 'key-2')))
  const answers = new Set(many.map(({ status, body }) => (status === 201 ? body.id : body.code)))
  answers.delete('idempotency_in_flight')
  expect(answers.size).toBe(1)
})

test.each([
  ['a fraction of a cent', '1000001', /whole cents/],
  ['less than a dollar', '990000', /from \$1 to \$2,000/],
  ['too much', '2000010000', /from \$1 to \$2,000/],
  ['nothing', '0', /positive/],
  ['less than nothing', '-25000000', /positive/],
  ['another notation', '25e6', /positive/],
  ['a decimal', '25.00', /positive/],
])('%s is no amount for a card', async (_, amountMicros, said) => {
  const alice = await shop.person()
  const { status, body } = await alice.call('POST', '/v1/billing/checkouts', { amountMicros }, 'key')
  expect([status, body.code]).toEqual([400, 'invalid_request'])
  expect(body.detail).toMatch(said)
})

test.each(['drop-after-effect', 'error-after-effect', 'html-503', 'drop-before'])(
  'the processor answers with %s: the page is opened all the same, once',
  async (kind) => {
    const alice = await shop.person()
    const countSessions = async () => (await shop.control('GET', '/sessions')).body.length
    const before = await countSessions()
    await shop.fault({ kind, method: 'POST', path: '/v1/checkout/sessions' })
    expect((await alice.topUp(25)).status).toBe(201)
    expect(await countSessions()).toBe(before + 1)
  },
)

test('while the processor is down nothing is opened, and the same request later finds what it had done', async () => {
  const alice = await shop.person()
  await shop.fault({ kind: 'drop-after-effect', method: 'POST', path: '/v1/checkout/sessions', times: 2 })
  expect(await alice.topUp(25, 'key')).toMatchObject({ status: 503, body: { code: 'provider_unavailable' } })
  const opened = (await shop.control('GET', '/sessions')).body.length
  const again = await alice.topUp(25, 'key')
  expect(again.status).toBe(201)
  expect((await shop.control('GET', '/sessions')).body).toHaveLength(opened)
})

test('faults of the processor during the work delay the credit and neither lose nor double it', async () => {
  const alice = await shop.person()
  const checkout = await alice.checkout(25)
  await shop.fault({ kind: 'html-503', method: 'GET', path: '/v1/checkout/sessions/' })
  await shop.fault({ kind: 'drop-before', method: 'GET', path: '/v1/refunds', skip: 1 })
  await shop.fault({ kind: 'status', status: 429, method: 'GET', path: '/v1/disputes' })
  await checkout.pay()
  await shop.control('POST', '/refunds', { paymentIntent: await checkout.payment(), amount: 500 })
  await shop.quiet()
  expect(await alice.dollars()).toBe(20)
  expect((await alice.entries()).toSorted()).toEqual(['deposit 25', 'refund -5'])
})

test('neither the database nor the log holds anything of a card or of who pays', async () => {
  const alice = await shop.person()
  const checkout = await alice.checkout(25)
  await checkout.pay()
  await eventually(async () => (await alice.dollars()) === 25)
  const tables = await shop.sql<{ name: string }[]>`
    select table_name as name from information_schema.tables
    where table_schema = 'public' and table_type = 'BASE TABLE'`
  let everything = shop.logged()
  for (const { name } of tables) {
    everything += JSON.stringify(await shop.sql`select to_jsonb(t)::text as row from ${shop.sql(name)} t`)
  }
  expect(everything).toContain(checkout.session)
  // As words: ids and hashes are random, and hold any four characters sooner or later.
  expect(everything).not.toMatch(
    /payer@example\.com|Test Payer|4242424242424242|\b4242\b|\bvisa\b|exp_month|sk_test_|whsec_/,
  )
  const columns = await shop.sql<{ name: string }[]>`
    select column_name as name from information_schema.columns where table_name in ('checkouts', 'card_events')`
  for (const { name } of columns) expect(name).not.toMatch(/card|number|cvc|email|name|address|last4/)
  // And the processor learns nothing about the account.
  const asked = await shop.asked('/v1/checkout/sessions')
  for (const { body } of asked) expect(body).not.toContain(alice.account)
})

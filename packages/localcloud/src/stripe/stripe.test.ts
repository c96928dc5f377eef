import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import Stripe from 'stripe'
import { afterEach, expect, onTestFinished, test } from 'vitest'
import { collectViolations, SpecCheck } from '../spec-check.ts'
import { temporaryDataDir } from '../temporary-data-dir.ts'
import { waitUntil } from '../wait-until.ts'
import { startStripe } from './stripe.ts'
import { stripeSpecCheck } from './stripe-spec.ts'

const found = stripeSpecCheck()
const checked = collectViolations(found)

// Every request of every test, and every answer, is held against Stripe's document.
afterEach(() => {
  expect(checked.violations.splice(0)).toEqual([])
})

interface Received {
  event: Stripe.Event
  body: string
  signature: string
}

async function start(dataDir = temporaryDataDir()) {
  const standIn = await startStripe({
    dataDir,
    log: () => undefined,
    onExchange: (exchange) => {
      if (exchange.path.startsWith('/v1/')) checked.onExchange(exchange)
    },
  })
  onTestFinished(() => standIn.stop())
  const { hostname, port } = new URL(standIn.url)
  const client = new Stripe(standIn.secretKey, {
    host: hostname,
    port,
    protocol: 'http',
    maxNetworkRetries: 0,
    telemetry: false,
  })
  const control = async (method: string, path: string, body?: unknown) => {
    const answer = await fetch(`${standIn.url}/_local${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) }
  }
  return {
    standIn,
    client,
    control,
    later: (minutes: number) => writeFileSync(join(dataDir, 'clock'), String(minutes * 60_000)),
    open: (change: Partial<Stripe.Checkout.SessionCreateParams> = {}, idempotencyKey?: string) =>
      client.checkout.sessions.create(
        {
          mode: 'payment',
          success_url: 'https://api.example.com/done?session={CHECKOUT_SESSION_ID}',
          cancel_url: 'https://api.example.com/canceled',
          client_reference_id: 'chk_1',
          metadata: { checkout: 'chk_1' },
          payment_intent_data: { metadata: { checkout: 'chk_1' } },
          line_items: [
            {
              quantity: 1,
              price_data: { currency: 'usd', unit_amount: 2500, product_data: { name: 'Credits' } },
            },
          ],
          ...change,
        },
        idempotencyKey === undefined ? {} : { idempotencyKey },
      ),
    pay: (session: string, how = 'card') => control('POST', `/sessions/${session}/pay`, { how }),
  }
}

/** An endpoint that records what it is told, and refuses as often as it is told to. */
async function endpoint(secret: string) {
  const received: Received[] = []
  const trouble = { times: 0 }
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      const signature = String(request.headers['stripe-signature'])
      trouble.times -= 1
      response.statusCode = trouble.times >= 0 ? 500 : 200
      response.end()
      if (response.statusCode === 500) return
      // Far in the past or not: the clock of the local cloud may have been moved.
      const event = Stripe.webhooks.constructEvent(body, signature, secret, 10 ** 9)
      received.push({ event, body, signature })
      if (found instanceof SpecCheck) {
        const object = event.data.object as { object: string }
        checked.violations.push(...found.checkValue('event', JSON.parse(body)))
        checked.violations.push(...found.checkValue(object.object, JSON.parse(body).data.object))
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const types = () => received.map(({ event }) => event.type)
  return {
    url: `http://127.0.0.1:${port}/hook`,
    received,
    trouble,
    types,
    async saw(type: string, times = 1) {
      const isThere = () => types().filter((one) => one === type).length >= times
      if (!(await waitUntil(isThere, { withinMs: 10_000 })))
        throw new Error(`${type} did not come: ${types()}`)
    },
  }
}

test('the documents are there, or their absence is said', ({ skip }) => {
  skip(checked.missing !== undefined, checked.missing)
})

test("Stripe's own client opens a session and sees it paid on its page", async () => {
  const { standIn, client, open } = await start()
  const hook = await endpoint(standIn.webhookSecret)
  standIn.setWebhook(hook.url)
  const session = await open()
  expect(session).toMatchObject({
    status: 'open',
    payment_status: 'unpaid',
    payment_intent: null,
    amount_total: 2500,
  })
  expect(session.success_url).toBe(`https://api.example.com/done?session=${session.id}`)

  const page = await fetch(String(session.url))
  expect(page.headers.get('content-security-policy')).toContain("form-action 'self' https://api.example.com")
  const text = await page.text()
  expect(text).toContain('Pay $25.00')
  expect(text).not.toContain('<input')
  const press = (choice: string) =>
    fetch(String(session.url), { method: 'POST', body: new URLSearchParams({ choice }), redirect: 'manual' })

  const declined = await press('decline')
  expect([declined.status, await declined.text()]).toEqual([
    200,
    expect.stringContaining('The card was declined'),
  ])
  const paid = await press('pay')
  expect([paid.status, paid.headers.get('location')]).toEqual([303, session.success_url])

  const after = await client.checkout.sessions.retrieve(session.id, { expand: ['payment_intent'] })
  expect(after).toMatchObject({
    status: 'complete',
    payment_status: 'paid',
    url: null,
    payment_intent: {
      object: 'payment_intent',
      status: 'succeeded',
      amount_received: 2500,
      metadata: { checkout: 'chk_1' },
    },
  })
  await hook.saw('checkout.session.completed')
  expect(hook.types()).toEqual([
    'payment_intent.payment_failed',
    'charge.succeeded',
    'payment_intent.succeeded',
    'checkout.session.completed',
  ])
  expect((await press('pay')).status).toBe(200)
  await expect(fetch(`${standIn.url}/c/pay/cs_test_0`)).resolves.toMatchObject({ status: 404 })
})

test('a bank that answers later pays or does not', async () => {
  const { standIn, client, open, pay, control } = await start()
  const hook = await endpoint(standIn.webhookSecret)
  standIn.setWebhook(hook.url)
  for (const outcome of ['succeeded', 'failed']) {
    const session = await open()
    await pay(session.id, 'bank')
    expect(await client.checkout.sessions.retrieve(session.id)).toMatchObject({
      status: 'complete',
      payment_status: 'unpaid',
    })
    await control('POST', `/sessions/${session.id}/settle`, { outcome })
    await hook.saw(`checkout.session.async_payment_${outcome}`)
    const after = await client.checkout.sessions.retrieve(session.id, { expand: ['payment_intent'] })
    expect(after.payment_status).toBe(outcome === 'succeeded' ? 'paid' : 'unpaid')
    expect(after.payment_intent).toMatchObject({
      status: outcome === 'succeeded' ? 'succeeded' : 'requires_payment_method',
    })
  }
})

test('the same idempotency key gets the same session for a day, and another request with it is refused', async () => {
  const { client, open, later } = await start()
  const expires_at = Math.floor(Date.now() / 1000) + 3600
  const [first, second] = [await open({ expires_at }, 'topup:1'), await open({ expires_at }, 'topup:1')]
  expect(second.id).toBe(first.id)
  expect(second.lastResponse.headers['idempotent-replayed']).toBe('true')
  await expect(open({ expires_at, client_reference_id: 'other' }, 'topup:1')).rejects.toMatchObject({
    type: 'StripeIdempotencyError',
  })
  later(24 * 60 + 1)
  const third = await open({}, 'topup:1')
  expect(third.id).not.toBe(first.id)
  expect((await client.checkout.sessions.list()).data.map(({ id }) => id)).toEqual([third.id, first.id])
})

test('what Stripe would not accept is refused in its shape of an error', async () => {
  const { standIn, client, open } = await start()
  await expect(open({ expires_at: Math.floor(Date.now() / 1000) + 60 })).rejects.toMatchObject({
    type: 'StripeInvalidRequestError',
    param: 'expires_at',
  })
  const tiny = { currency: 'usd', unit_amount: 49, product_data: { name: 'Credits' } }
  await expect(open({ line_items: [{ quantity: 1, price_data: tiny }] })).rejects.toMatchObject({
    code: 'amount_too_small',
  })
  await expect(open({ cancel_ur: 'https://x.example' } as never)).rejects.toMatchObject({
    code: 'parameter_unknown',
    param: 'cancel_ur',
  })
  await expect(open({ success_url: 'nowhere' })).rejects.toMatchObject({ code: 'url_invalid' })
  await expect(client.checkout.sessions.retrieve('cs_test_none')).rejects.toMatchObject({
    statusCode: 404,
    code: 'resource_missing',
  })
  const { hostname, port } = new URL(standIn.url)
  const stranger = new Stripe('sk_test_wrong', {
    host: hostname,
    port,
    protocol: 'http',
    maxNetworkRetries: 0,
  })
  await expect(stranger.paymentIntents.retrieve('pi_1')).rejects.toMatchObject({
    type: 'StripeAuthenticationError',
  })
  const json = await fetch(`${standIn.url}/v1/refunds`, {
    method: 'POST',
    headers: { authorization: `Bearer ${standIn.secretKey}`, 'content-type': 'application/json' },
    body: '{}',
  })
  expect(json.status).toBe(400)
})

test('a session expires by the clock or when it is told to, once', async () => {
  const { standIn, client, open, later, pay } = await start()
  const hook = await endpoint(standIn.webhookSecret)
  standIn.setWebhook(hook.url)
  const first = await open()
  expect((await client.checkout.sessions.expire(first.id)).status).toBe('expired')
  await expect(client.checkout.sessions.expire(first.id)).rejects.toMatchObject({ statusCode: 400 })
  const second = await open()
  later(24 * 60 + 1)
  await hook.saw('checkout.session.expired', 2)
  expect((await client.checkout.sessions.retrieve(second.id)).url).toBeNull()
  expect((await pay(second.id)).status).toBe(400)
})

test('refunds and disputes tell what becomes of the money', async () => {
  const { standIn, client, open, pay, control } = await start()
  const hook = await endpoint(standIn.webhookSecret)
  standIn.setWebhook(hook.url)
  const session = await open()
  await pay(session.id)
  const intent = String((await client.checkout.sessions.retrieve(session.id)).payment_intent)

  const part = await client.refunds.create({ payment_intent: intent, amount: 1000 })
  await expect(client.refunds.create({ payment_intent: intent, amount: 1501 })).rejects.toMatchObject({
    param: 'amount',
  })
  await control('POST', '/refunds', { paymentIntent: intent })
  await expect(client.refunds.create({ payment_intent: intent })).rejects.toMatchObject({
    code: 'charge_already_refunded',
  })
  await control('POST', `/refunds/${part.id}/fail`)
  await hook.saw('refund.failed')
  const refunds = await client.refunds.list({ payment_intent: intent })
  expect(refunds.data.map(({ amount, status }) => [amount, status])).toEqual([
    [1500, 'succeeded'],
    [1000, 'failed'],
  ])

  const dispute = (await control('POST', '/disputes', { paymentIntent: intent })).body
  expect((await client.disputes.retrieve(dispute.id)).status).toBe('needs_response')
  await control('POST', `/disputes/${dispute.id}`, { status: 'won' })
  await hook.saw('charge.dispute.closed')
  expect((await control('POST', `/disputes/${dispute.id}`, { status: 'lost' })).status).toBe(400)
  expect((await client.disputes.list({ payment_intent: intent })).data).toHaveLength(1)
})

test('an endpoint that fails is told again; each time is signed anew', async () => {
  const { standIn, open, pay, later, control } = await start()
  const hook = await endpoint(standIn.webhookSecret)
  standIn.setWebhook(hook.url)
  hook.trouble.times = 9
  const session = await open()
  await pay(session.id)
  const failed = async () => {
    const { body } = await control('GET', '/events')
    return body.every((one: { lastStatus: number }) => one.lastStatus === 500)
  }
  expect(await waitUntil(failed, { withinMs: 10_000 })).toBe(true)
  hook.trouble.times = 0
  later(60)
  await hook.saw('checkout.session.completed')
  const { event, signature } = hook.received.at(-1) ?? { event: { created: 0 }, signature: '' }
  const signedAt = Number(/^t=(\d+)/.exec(signature)?.[1])
  expect(signedAt).toBeGreaterThanOrEqual(event.created + 3500)
})

test('events can be held, sent in the wrong order, and many times', async () => {
  const { standIn, open, pay, control, client } = await start()
  const hook = await endpoint(standIn.webhookSecret)
  standIn.setWebhook(hook.url)
  await control('POST', '/events/hold')
  const session = await open()
  await pay(session.id)
  expect(hook.received).toEqual([])
  await control('POST', '/events/release', { order: 'newest-first', copies: 2 })
  expect(hook.types()).toEqual([
    'checkout.session.completed',
    'checkout.session.completed',
    'payment_intent.succeeded',
    'payment_intent.succeeded',
    'charge.succeeded',
    'charge.succeeded',
  ])
  const { data } = await client.events.list({ types: ['checkout.session.completed'], limit: 1 })
  expect(await control('POST', `/events/${data[0]?.id}/resend`, { copies: 10 })).toMatchObject({
    body: { statuses: Array(10).fill(200) },
  })
})

test('events are listed by type and time, page by page, and survive a restart with everything else', async () => {
  const dataDir = temporaryDataDir()
  const first = await start(dataDir)
  const session = await first.open()
  await first.pay(session.id)
  await first.standIn.stop()
  const { client, later } = await start(dataDir)
  expect((await client.checkout.sessions.retrieve(session.id)).payment_status).toBe('paid')
  const seen: string[] = []
  for await (const event of client.events.list({ limit: 1, created: { gte: session.created } })) {
    seen.push(event.type)
  }
  expect(seen).toEqual(['checkout.session.completed', 'payment_intent.succeeded', 'charge.succeeded'])
  expect((await client.events.list({ type: 'charge.*' })).data).toHaveLength(1)
  expect((await client.events.list({ created: { gt: session.created + 600 } })).data).toHaveLength(0)
  later(31 * 24 * 60)
  expect((await client.events.list()).data).toHaveLength(0)
})

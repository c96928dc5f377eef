import { createHash, timingSafeEqual } from 'node:crypto'
import { Hono } from 'hono'
import type { Clock } from '../clock.ts'
import { intentOf } from './find-payment.ts'
import { idempotency } from './idempotency.ts'
import { listPage, PAGE_FIELDS } from './paging.ts'
import type { Payments } from './payments.ts'
import { RequestForm } from './request-form.ts'
import { sessionRoutes } from './sessions.ts'
import { noSuch, Refused, stripeError } from './stripe-error.ts'
import { stripeId } from './stripe-id.ts'
import type { StripeEvent } from './stripe-state.ts'
import type { Webhooks } from './webhooks.ts'
import { API_VERSION, wireDispute, wireEvent, wirePaymentIntent, wireRefund } from './wire.ts'

const EVENTS_KEPT_SECONDS = 30 * 86_400

/** The part of Stripe's API that takes payments by hosted Checkout. */
export function stripeApi(parts: {
  secretKey: string
  payments: Payments
  webhooks: Webhooks
  clock: Clock
}): Hono {
  const { payments, webhooks, clock } = parts
  const { state } = payments
  const app = new Hono()

  app.use('/v1/*', async (c, next) => {
    payments.expireDue()
    await next()
    c.res.headers.set('request-id', stripeId('req'))
    c.res.headers.set('stripe-version', c.req.header('stripe-version') ?? API_VERSION)
    const key = c.req.header('idempotency-key')
    if (key !== undefined) c.res.headers.set('idempotency-key', key)
  })
  app.use('/v1/*', async (c, next) => {
    const given = keyOf(c.req.header('authorization') ?? '')
    if (!sameSecret(given, parts.secretKey)) {
      const message = given === '' ? 'You did not provide an API key.' : 'Invalid API Key provided.'
      return stripeError(401, { type: 'invalid_request_error', message })
    }
    const version = c.req.header('stripe-version') ?? API_VERSION
    if (!/^\d{4}-\d{2}-\d{2}(\.\w+)?$/.test(version)) {
      return stripeError(400, {
        type: 'invalid_request_error',
        message: `Invalid Stripe API version: ${version}`,
      })
    }
    return next()
  })
  app.use('/v1/*', idempotency(state, clock))
  app.route('/v1/checkout/sessions', sessionRoutes(payments))

  app.get('/v1/payment_intents/:id', (c) => {
    RequestForm.ofQuery(c, [])
    return c.json(wirePaymentIntent(intentOf(payments, c.req.param('id'))))
  })

  app.post('/v1/refunds', async (c) => {
    const form = await RequestForm.ofBody(c, ['payment_intent', 'charge', 'amount', 'reason', 'metadata[*]'])
    const byCharge = form.text('charge')
    const intent =
      byCharge === null
        ? intentOf(payments, form.required('payment_intent'), 'payment_intent')
        : state.value.paymentIntents.find((one) => one.chargeId === byCharge)
    if (!intent) throw noSuch('charge', byCharge ?? '', 'charge')
    const wanted = {
      amount: form.integer('amount'),
      reason: form.text('reason'),
      metadata: form.record('metadata'),
    }
    return c.json(wireRefund(payments.refund(intent, wanted, c.req.header('idempotency-key') ?? null)))
  })
  app.get('/v1/refunds', (c) => {
    const form = RequestForm.ofQuery(c, [...PAGE_FIELDS, 'payment_intent', 'charge'])
    const rows = state.value.refunds.filter(isOf(form))
    return listPage(c, form, rows, wireRefund)
  })
  app.get('/v1/refunds/:id', (c) => {
    const id = c.req.param('id')
    const refund = state.value.refunds.find((one) => one.id === id)
    if (!refund) throw noSuch('refund', id, 'refund')
    return c.json(wireRefund(refund))
  })

  app.get('/v1/disputes', (c) => {
    const form = RequestForm.ofQuery(c, [...PAGE_FIELDS, 'payment_intent', 'charge'])
    return listPage(c, form, state.value.disputes.filter(isOf(form)), wireDispute)
  })
  app.get('/v1/disputes/:id', (c) => {
    const id = c.req.param('id')
    const dispute = state.value.disputes.find((one) => one.id === id)
    if (!dispute) throw noSuch('dispute', id, 'dispute')
    return c.json(wireDispute(dispute))
  })

  const wire = (event: StripeEvent) => wireEvent(event, webhooks.pendingOf(event.id))
  const known = () => {
    const since = payments.nowSeconds() - EVENTS_KEPT_SECONDS
    return state.value.events.filter((event) => event.createdAt >= since)
  }
  app.get('/v1/events', (c) => {
    const form = RequestForm.ofQuery(c, [...PAGE_FIELDS, 'type', 'types[*]', 'created', 'created[*]'])
    const types = form.list('types')
    const type = form.text('type')
    if (type !== null) types.push(type)
    const isWanted = ({ createdAt, ...event }: StripeEvent) =>
      (types.length === 0 || types.some((one) => matchesType(one, event.type))) &&
      createdAt >= (form.integer('created[gte]') ?? 0) &&
      createdAt > (form.integer('created[gt]') ?? -1) &&
      createdAt <= (form.integer('created[lte]') ?? Number.MAX_SAFE_INTEGER) &&
      createdAt < (form.integer('created[lt]') ?? Number.MAX_SAFE_INTEGER)
    return listPage(c, form, known().filter(isWanted), wire)
  })
  app.get('/v1/events/:id', (c) => {
    const id = c.req.param('id')
    const event = known().find((one) => one.id === id)
    if (!event) throw noSuch('event', id, 'id')
    return c.json(wire(event))
  })

  app.all('/v1/*', (c) =>
    stripeError(404, {
      type: 'invalid_request_error',
      message: `Unrecognized request URL (${c.req.method}: ${c.req.path}).`,
    }),
  )
  app.onError((error) => {
    if (error instanceof Refused) return stripeError(error.status, error.problem)
    throw error
  })
  return app
}

function isOf(form: RequestForm): (row: { paymentIntentId: string; chargeId: string }) => boolean {
  const intent = form.text('payment_intent')
  const charge = form.text('charge')
  return (row) =>
    (intent === null || row.paymentIntentId === intent) && (charge === null || row.chargeId === charge)
}

/** `charge.*` stands for everything about charges. */
function matchesType(wanted: string, type: string): boolean {
  return wanted.endsWith('*') ? type.startsWith(wanted.slice(0, -1)) : wanted === type
}

/** Stripe takes the key as a bearer token, or as the user name of basic authentication. */
function keyOf(authorization: string): string {
  const [kind = '', value = ''] = authorization.split(' ')
  if (kind.toLowerCase() === 'bearer') return value
  if (kind.toLowerCase() !== 'basic') return ''
  return Buffer.from(value, 'base64').toString().split(':')[0] ?? ''
}

function sameSecret(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}

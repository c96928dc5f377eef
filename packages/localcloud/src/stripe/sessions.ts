import { type Context, Hono } from 'hono'
import { sessionOf } from './find-payment.ts'
import { listPage, PAGE_FIELDS } from './paging.ts'
import type { Payments } from './payments.ts'
import { RequestForm } from './request-form.ts'
import { Refused } from './stripe-error.ts'
import { stripeId } from './stripe-id.ts'
import type { Session } from './stripe-state.ts'
import { wireSession } from './wire.ts'

const FIELDS = [
  ...['mode', 'success_url', 'cancel_url', 'client_reference_id', 'expires_at', 'expand[*]'],
  ...['metadata[*]', 'payment_intent_data[metadata][*]', 'payment_intent_data[description]'],
  ...['line_items[*][quantity]', 'line_items[*][price_data][currency]'],
  ...['line_items[*][price_data][unit_amount]', 'line_items[*][price_data][product_data][name]'],
  ...['line_items[*][price_data][product_data][description]', 'payment_method_types[*]'],
]
const AMOUNT_MIN = 50
const AMOUNT_MAX = 99_999_999
const LIFE_SECONDS_MIN = 30 * 60
const LIFE_SECONDS_MAX = 24 * 60 * 60
/** Requests take a moment, and Stripe does not refuse one for a second. */
const LIFE_SLACK_SECONDS = 10

/** `/v1/checkout/sessions` for payments of one price that is made up on the spot. */
export function sessionRoutes(payments: Payments): Hono {
  const app = new Hono()
  const { sessions } = payments.state.value
  const show = (c: Context, session: Session, form: RequestForm) => {
    const expanded = form.list('expand')
    const unknown = expanded.find((name) => name !== 'payment_intent')
    if (unknown !== undefined) throw new Refused(400, `This property cannot be expanded (${unknown}).`)
    return wireSession(session, {
      origin: new URL(c.req.url).origin,
      paymentIntent: payments.findIntent(session.paymentIntentId),
      expandsPaymentIntent: expanded.length > 0,
    })
  }

  app.post('/', async (c) => {
    const form = await RequestForm.ofBody(c, FIELDS)
    const session = readSession(form, payments.nowSeconds())
    sessions.push(session)
    payments.state.save()
    return c.json(show(c, session, form))
  })

  app.get('/', (c) => {
    const form = RequestForm.ofQuery(c, [...PAGE_FIELDS, 'payment_intent'])
    const intent = form.text('payment_intent')
    const rows = sessions.filter((one) => intent === null || one.paymentIntentId === intent)
    return listPage(c, form, rows, (one) => show(c, one, form))
  })

  app.get('/:id', (c) => {
    const form = RequestForm.ofQuery(c, ['expand[*]'])
    return c.json(show(c, sessionOf(payments, c.req.param('id')), form))
  })

  app.post('/:id/expire', async (c) => {
    const form = await RequestForm.ofBody(c, ['expand[*]'])
    const session = sessionOf(payments, c.req.param('id'))
    if (session.status !== 'open') {
      throw new Refused(
        400,
        `Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of \`${session.status}\`.`,
      )
    }
    payments.expire(session)
    return c.json(show(c, session, form))
  })
  return app
}

function readSession(form: RequestForm, now: number): Session {
  const mode = form.required('mode')
  if (mode !== 'payment') {
    throw new Refused(400, 'Invalid mode: this stand-in takes payments only.', { param: 'mode' })
  }
  const successUrl = form.url('success_url')
  if (successUrl === null) form.required('success_url')
  const item = 'line_items[0]'
  const price = `${item}[price_data]`
  const currency = form.required(`${price}[currency]`)
  const title = form.required(`${price}[product_data][name]`)
  form.required(`${price}[unit_amount]`)
  const amountTotal = (form.integer(`${price}[unit_amount]`) ?? 0) * (form.integer(`${item}[quantity]`) ?? 1)
  if (form.has('line_items[1][quantity]')) throw new Refused(400, 'This stand-in takes one line item.')
  if (currency !== 'usd')
    throw new Refused(400, `Invalid currency: ${currency}`, { param: `${price}[currency]` })
  if (amountTotal < AMOUNT_MIN) {
    throw new Refused(400, "The Checkout Session's total amount due must add up to at least $0.50 usd", {
      code: 'amount_too_small',
    })
  }
  if (amountTotal > AMOUNT_MAX) {
    throw new Refused(400, 'The total amount must be no more than $999,999.99', { code: 'amount_too_large' })
  }
  const expiresAt = form.integer('expires_at') ?? now + LIFE_SECONDS_MAX
  const life = expiresAt - now
  if (life < LIFE_SECONDS_MIN - LIFE_SLACK_SECONDS || life > LIFE_SECONDS_MAX + LIFE_SLACK_SECONDS) {
    const bound = life > LIFE_SECONDS_MAX ? 'less than 24 hours' : 'at least 30 minutes'
    throw new Refused(400, `The \`expires_at\` timestamp must be ${bound} from Checkout Session creation.`, {
      param: 'expires_at',
    })
  }
  const id = stripeId('cs_test')
  return {
    id,
    status: 'open',
    paymentStatus: 'unpaid',
    amountTotal,
    currency,
    title,
    clientReferenceId: form.text('client_reference_id'),
    metadata: form.record('metadata'),
    paymentIntentMetadata: form.record('payment_intent_data[metadata]'),
    paymentIntentId: null,
    successUrl: (successUrl ?? '').replaceAll('{CHECKOUT_SESSION_ID}', id),
    cancelUrl: form.url('cancel_url'),
    createdAt: now,
    expiresAt,
  }
}

import { type Context, Hono } from 'hono'
import { intentOf, sessionOf } from './find-payment.ts'
import type { Payments, PaymentTry } from './payments.ts'
import { noSuch, Refused } from './stripe-error.ts'
import type { DisputeStatus } from './stripe-state.ts'
import type { Webhooks } from './webhooks.ts'
import { wireDispute, wireRefund } from './wire.ts'

type Fields = Record<string, unknown>

const TRIES: readonly PaymentTry[] = ['card', 'declined card', 'bank']
const SETTLEMENTS = ['succeeded', 'failed'] as const
const DISPUTE_MOVES: readonly DisputeStatus[] = [
  'needs_response',
  'under_review',
  'won',
  'lost',
  'warning_closed',
]
const ORDERS = ['oldest-first', 'newest-first'] as const
const COPIES_MAX = 100

/** What people, their banks and the network do, at will. */
export function stripeControls(payments: Payments, webhooks: Webhooks): Hono {
  const app = new Hono()
  const { state } = payments

  app.get('/webhook', (c) => c.json({ url: state.value.webhookUrl }))
  app.put('/webhook', async (c) => {
    const { url } = await fieldsOf(c)
    if (url !== null && (typeof url !== 'string' || !/^https?:\/\//.test(url))) {
      throw new Refused(400, 'url is an address, or null for none.')
    }
    state.value.webhookUrl = url
    state.save()
    return c.json({ url })
  })

  app.get('/sessions', (c) =>
    c.json(
      state.value.sessions.map(
        ({ id, status, paymentStatus, amountTotal, paymentIntentId, clientReferenceId }) => ({
          id,
          status,
          paymentStatus,
          amountTotal,
          paymentIntent: paymentIntentId,
          clientReferenceId,
        }),
      ),
    ),
  )
  app.post('/sessions/:id/pay', async (c) => {
    const { how = 'card' } = await fieldsOf(c)
    payments.pay(sessionOf(payments, c.req.param('id')), oneOf(TRIES, how, 'how'))
    return c.json({ ok: true })
  })
  app.post('/sessions/:id/settle', async (c) => {
    const { outcome } = await fieldsOf(c)
    payments.settle(sessionOf(payments, c.req.param('id')), oneOf(SETTLEMENTS, outcome, 'outcome'))
    return c.json({ ok: true })
  })

  app.post('/refunds', async (c) => {
    const { paymentIntent, amount } = await fieldsOf(c)
    const refund = payments.refund(intentOf(payments, String(paymentIntent)), { amount: cents(amount) })
    return c.json(wireRefund(refund), 201)
  })
  app.post('/refunds/:id/fail', (c) => {
    const id = c.req.param('id')
    const refund = state.value.refunds.find((one) => one.id === id)
    if (!refund) throw noSuch('refund', id, 'refund')
    payments.failRefund(refund)
    return c.json(wireRefund(refund))
  })

  app.post('/disputes', async (c) => {
    const { paymentIntent, amount, isInquiry = false } = await fieldsOf(c)
    const intent = intentOf(payments, String(paymentIntent))
    return c.json(
      wireDispute(payments.dispute(intent, { amount: cents(amount), isInquiry: isInquiry === true })),
      201,
    )
  })
  app.post('/disputes/:id', async (c) => {
    const id = c.req.param('id')
    const { status } = await fieldsOf(c)
    const dispute = state.value.disputes.find((one) => one.id === id)
    if (!dispute) throw noSuch('dispute', id, 'dispute')
    payments.moveDispute(dispute, oneOf(DISPUTE_MOVES, status, 'status'))
    return c.json(wireDispute(dispute))
  })

  app.get('/events', (c) =>
    c.json(
      state.value.events.map(({ id, type, createdAt }) => {
        const delivery = state.value.deliveries.find((one) => one.eventId === id)
        return {
          id,
          type,
          createdAt,
          delivery: delivery?.state ?? null,
          attempts: delivery?.attempts ?? 0,
          lastStatus: delivery?.lastStatus ?? null,
        }
      }),
    ),
  )
  app.post('/events/hold', (c) => {
    state.value.holdsEvents = true
    state.save()
    return c.json({ ok: true })
  })
  app.post('/events/release', async (c) => {
    const { order = 'oldest-first', copies = 1 } = await fieldsOf(c)
    return c.json({ sent: await webhooks.release(oneOf(ORDERS, order, 'order'), copiesOf(copies)) })
  })
  app.post('/events/:id/resend', async (c) => {
    const { copies = 1 } = await fieldsOf(c)
    const id = c.req.param('id')
    const event = state.value.events.find((one) => one.id === id)
    if (!event) throw noSuch('event', id, 'id')
    return c.json({ statuses: await webhooks.resend(event, copiesOf(copies)) })
  })

  app.onError((error, c) => {
    if (error instanceof Refused) return c.json({ error: error.message }, error.status === 404 ? 404 : 400)
    throw error
  })
  return app
}

async function fieldsOf(c: Context): Promise<Fields> {
  const text = await c.req.text()
  if (text === '') return {}
  try {
    const fields: unknown = JSON.parse(text)
    if (typeof fields === 'object' && fields !== null) return fields as Fields
  } catch {}
  throw new Refused(400, 'Send a JSON object.')
}

function oneOf<T extends string>(known: readonly T[], value: unknown, name: string): T {
  const found = known.find((one) => one === value)
  if (found === undefined) throw new Refused(400, `${name} is one of ${known.join(', ')}.`)
  return found
}

function cents(value: unknown): number | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !Number.isInteger(value)) throw new Refused(400, 'amount is in cents.')
  return value
}

function copiesOf(value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > COPIES_MAX) {
    throw new Refused(400, `copies is from 1 to ${COPIES_MAX}.`)
  }
  return value
}

import type Stripe from 'stripe'
import type { Config } from '../../platform/config.ts'
import { faultOf } from '../../platform/fault.ts'
import type { Log } from '../../platform/log.ts'
import { fetchOver, type Transport } from '../transport.ts'
import { CARD_EVENT_TYPES, type CardEvent, readCardEvent } from './card-event.ts'

/** What the processor is told about an order: an amount and our name for it, and nothing about who pays. */
export interface CardOrder {
  id: string
  amountCents: number
  title: string
  expiresAt: Date
  successUrl: string
  cancelUrl: string
}

/**
 * - `open`: there is a page. The same order again has the same page.
 * - `busy`: the same order is being opened by somebody else at this moment.
 * - `refused`: it will not be opened.
 * - `unavailable`: nobody knows; the same order may be opened again.
 */
export type OpenOutcome =
  | { status: 'open'; sessionId: string; url: string }
  | { status: 'busy' | 'refused' | 'unavailable' }

export interface CardSession {
  id: string
  /** Our name for the order. */
  reference: string | null
  status: 'open' | 'complete' | 'expired'
  isPaid: boolean
  isLive: boolean
  amountCents: number | null
  currency: string | null
  payment: { id: string; status: 'processing' | 'received' | 'failed'; receivedCents: number } | null
}

/** Money that went back to the payer, or that the payer's bank has taken back. */
export interface TakenBack {
  id: string
  kind: 'refund' | 'dispute'
  amountCents: number
  /** It came back to us after all: the refund failed, or the dispute was won. */
  isUndone: boolean
}

export interface RefundOrder {
  paymentId: string
  /** Another one when it is decided anew: the processor repeats its refusal under the same key for a day. */
  key: string
  /** Null: all that is left. */
  amountCents: number | null
}

export type RefundOutcome = { status: 'made'; refundId: string } | { status: 'refused' }

/** Payments by card on the processor's own pages: numbers of cards never come here. */
export interface Cards {
  /** Whether real money moves. */
  isLive: boolean
  openCheckout(order: CardOrder): Promise<OpenOutcome>
  /** The session as it is now; undefined: there is none. */
  findSession(id: string): Promise<CardSession | undefined>
  /** The session that a payment belongs to; undefined: none, so it is not one of ours. */
  findSessionOfPayment(paymentId: string): Promise<CardSession | undefined>
  listTakenBack(paymentId: string): Promise<TakenBack[]>
  /** Gives a payment back, or a part of it; the same again finds what was done. Throws when nobody knows. */
  refund(order: RefundOrder): Promise<RefundOutcome>
  /** Everything that was told since, also what never reached us; the processor remembers 30 days. */
  listEvents(since: Date): Promise<CardEvent[]>
}

const TIMEOUT_MS = 8_000
const PAGE = 100

/** The SDK is loaded at the first use: many servers never take a card, and it would delay every start. */
export function openCards(deps: {
  stripe: NonNullable<Config['stripe']>
  transport: Transport
  log: Log
  timeoutMs?: number
}): Cards {
  const { secretKey, baseUrl } = deps.stripe
  const { timeoutMs = TIMEOUT_MS } = deps
  let loading: Promise<Stripe> | undefined
  const client = (): Promise<Stripe> => {
    loading ??= connect(deps)
    return loading
  }
  const isLive = !/^[a-z]+_test_/.test(secretKey.reveal())

  const tryToOpen = async (order: CardOrder): Promise<OpenOutcome> => {
    const stripe = await client()
    try {
      const { id, url } = await stripe.checkout.sessions.create(
        {
          mode: 'payment',
          client_reference_id: order.id,
          metadata: { checkout: order.id },
          // Refunds and disputes name the payment and not the session.
          payment_intent_data: { metadata: { checkout: order.id } },
          line_items: [
            {
              quantity: 1,
              price_data: {
                currency: 'usd',
                unit_amount: order.amountCents,
                product_data: { name: order.title },
              },
            },
          ],
          expires_at: Math.floor(order.expiresAt.getTime() / 1000),
          success_url: order.successUrl,
          cancel_url: order.cancelUrl,
        },
        { idempotencyKey: `topup:${order.id}` },
      )
      // Half an answer is none: the page may be there, and the same order finds it.
      if (typeof id !== 'string' || typeof url !== 'string') throw new TypeError('The page has no address.')
      return { status: 'open', sessionId: id, url }
    } catch (error) {
      const { type, status } = kindOf(error)
      const outcome =
        type === 'StripeIdempotencyError' && status === 409
          ? 'busy'
          : type === 'StripeInvalidRequestError' || type === 'StripeIdempotencyError'
            ? 'refused'
            : 'unavailable'
      deps.log.error('The card processor opened no page', {
        provider: 'stripe',
        step: outcome,
        // The processor's own text may quote what it was sent.
        fault: type ?? faultOf(error),
        ...(status === undefined ? {} : { status }),
      })
      return { status: outcome }
    }
  }

  const findSession = async (id: string): Promise<CardSession | undefined> => {
    const stripe = await client()
    try {
      return viewOf(await stripe.checkout.sessions.retrieve(id, { expand: ['payment_intent'] }))
    } catch (error) {
      if (kindOf(error).status === 404) return undefined
      throw error
    }
  }

  return {
    isLive,
    async openCheckout(order) {
      const first = await tryToOpen(order)
      // The order's key makes it safe: what the first call may have done is found, not done twice.
      return first.status === 'unavailable' ? tryToOpen(order) : first
    },
    findSession,
    async findSessionOfPayment(paymentId) {
      const stripe = await client()
      const { data } = await stripe.checkout.sessions.list({ payment_intent: paymentId, limit: 1 })
      return data[0] && findSession(data[0].id)
    },
    async listTakenBack(paymentId) {
      const stripe = await client()
      const taken: TakenBack[] = []
      const about = { payment_intent: paymentId, limit: PAGE }
      for await (const { id, amount, status } of stripe.refunds.list(about)) {
        const isUndone = status === 'failed' || status === 'canceled'
        taken.push({ id, kind: 'refund', amountCents: amount, isUndone })
      }
      for await (const { id, amount, status } of stripe.disputes.list(about)) {
        // An inquiry is a question only; no money has moved.
        if (status.startsWith('warning_')) continue
        taken.push({ id, kind: 'dispute', amountCents: amount, isUndone: status === 'won' })
      }
      return taken
    },
    async refund({ paymentId, key, amountCents }) {
      const stripe = await client()
      // The key is forgotten after a day; what was done under it is not.
      for await (const known of stripe.refunds.list({ payment_intent: paymentId, limit: PAGE })) {
        if (known.metadata?.decided_by === 'operator') return { status: 'made', refundId: known.id }
      }
      try {
        const { id } = await stripe.refunds.create(
          {
            payment_intent: paymentId,
            metadata: { decided_by: 'operator' },
            ...(amountCents === null ? {} : { amount: amountCents }),
          },
          { idempotencyKey: `refund:${key}` },
        )
        return { status: 'made', refundId: id }
      } catch (error) {
        if (kindOf(error).type !== 'StripeInvalidRequestError') throw error
        return { status: 'refused' }
      }
    },
    async listEvents(since) {
      const stripe = await client()
      const events: CardEvent[] = []
      const query = {
        types: [...CARD_EVENT_TYPES],
        created: { gte: Math.floor(since.getTime() / 1000) },
        limit: PAGE,
      }
      for await (const event of stripe.events.list(query)) {
        const read = readCardEvent(event)
        if (read) events.push(read)
      }
      return events
    },
  }

  async function connect({ transport }: { transport: Transport }): Promise<Stripe> {
    const { default: StripeClient } = await import('stripe')
    const { hostname, port, protocol } = new URL(baseUrl)
    const isPlain = protocol === 'http:'
    return new StripeClient(secretKey.reveal(), {
      apiVersion: '2026-10-28.endive',
      host: hostname,
      port: port || (isPlain ? '80' : '443'),
      protocol: isPlain ? 'http' : 'https',
      httpClient: StripeClient.createFetchHttpClient(fetchOver(transport, timeoutMs)),
      // A repetition is decided on where it is known to be safe.
      maxNetworkRetries: 0,
      timeout: timeoutMs,
      telemetry: false,
    })
  }
}

function viewOf(session: Stripe.Checkout.Session): CardSession {
  const intent = session.payment_intent
  if (typeof intent === 'string') throw new TypeError('The payment was not expanded.')
  return {
    id: session.id,
    reference: session.client_reference_id,
    status: session.status === 'complete' ? 'complete' : session.status === 'expired' ? 'expired' : 'open',
    isPaid: session.payment_status === 'paid',
    isLive: session.livemode,
    amountCents: session.amount_total,
    currency: session.currency,
    payment: intent && {
      id: intent.id,
      status:
        intent.status === 'succeeded'
          ? 'received'
          : intent.status === 'requires_payment_method' || intent.status === 'canceled'
            ? 'failed'
            : 'processing',
      receivedCents: intent.amount_received,
    },
  }
}

function kindOf(error: unknown): { type?: string; status?: number } {
  if (!(error instanceof Error)) return {}
  const type = 'type' in error && typeof error.type === 'string' ? error.type : undefined
  const status = 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : undefined
  return { ...(type === undefined ? {} : { type }), ...(status === undefined ? {} : { status }) }
}

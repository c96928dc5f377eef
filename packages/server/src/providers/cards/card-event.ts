/** Something that the payment processor tells about a payment. It says where to look, and nothing in it is believed. */
export interface CardEvent {
  id: string
  isLive: boolean
  /** The session that it is about, if it says so. */
  sessionId: string | null
  /** The payment that it is about, if it says so. */
  paymentId: string | null
}

/** Everything after which a look at a payment can find something new. */
export const CARD_EVENT_TYPES = [
  'checkout.session.completed',
  'checkout.session.async_payment_succeeded',
  'checkout.session.async_payment_failed',
  'checkout.session.expired',
  'charge.refunded',
  'charge.refund.updated',
  'refund.created',
  'refund.updated',
  'refund.failed',
  'charge.dispute.created',
  'charge.dispute.updated',
  'charge.dispute.closed',
  'charge.dispute.funds_withdrawn',
  'charge.dispute.funds_reinstated',
] as const

const known: ReadonlySet<unknown> = new Set(CARD_EVENT_TYPES)

/**
 * Undefined: of another kind, or no event at all. Only identifiers are taken over; names, addresses and parts of card
 * numbers, which it holds too, go nowhere.
 */
export function readCardEvent(value: unknown): CardEvent | undefined {
  const event = recordOf(value)
  const object = recordOf(recordOf(event.data).object)
  const id = idOf(event.id, 'evt_')
  if (id === null || !known.has(event.type) || typeof event.livemode !== 'boolean') return undefined
  const sessionId = object.object === 'checkout.session' ? idOf(object.id, 'cs_') : null
  const paymentId = idOf(object.payment_intent, 'pi_')
  if (sessionId === null && paymentId === null) return undefined
  return { id, isLive: event.livemode, sessionId, paymentId }
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function idOf(value: unknown, prefix: string): string | null {
  return typeof value === 'string' && value.startsWith(prefix) && /^\w{1,255}$/.test(value) ? value : null
}

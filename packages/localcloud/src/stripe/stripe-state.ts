/** Everything here is in Stripe's own units: seconds since 1970, and cents. */
export interface Session {
  id: string
  status: 'open' | 'complete' | 'expired'
  paymentStatus: 'unpaid' | 'paid'
  amountTotal: number
  currency: string
  title: string
  clientReferenceId: string | null
  metadata: Record<string, string>
  paymentIntentMetadata: Record<string, string>
  paymentIntentId: string | null
  successUrl: string
  cancelUrl: string | null
  createdAt: number
  expiresAt: number
}

export interface PaymentIntent {
  id: string
  status: 'requires_payment_method' | 'processing' | 'succeeded'
  method: 'card' | 'us_bank_account'
  amount: number
  amountReceived: number
  currency: string
  metadata: Record<string, string>
  createdAt: number
  /** The charge of the last try; none before the first. */
  chargeId: string | null
  lastError: 'card_declined' | 'payment_failed' | null
}

export interface Refund {
  id: string
  paymentIntentId: string
  chargeId: string
  amount: number
  currency: string
  status: 'pending' | 'succeeded' | 'failed'
  reason: string | null
  metadata: Record<string, string>
  createdAt: number
}

export type DisputeStatus =
  | 'warning_needs_response'
  | 'warning_closed'
  | 'needs_response'
  | 'under_review'
  | 'won'
  | 'lost'

export interface Dispute {
  id: string
  paymentIntentId: string
  chargeId: string
  amount: number
  currency: string
  status: DisputeStatus
  createdAt: number
}

export interface StripeEvent {
  id: string
  type: string
  createdAt: number
  /** What the thing looked like then. */
  object: unknown
  idempotencyKey: string | null
}

/** How far the webhook has got with an event. */
export interface Delivery {
  eventId: string
  state: 'waiting' | 'delivered' | 'given up'
  attempts: number
  /** Milliseconds, by the clock of the local cloud. */
  dueAt: number
  lastStatus: number | null
}

export interface IdempotentAnswer {
  key: string
  requestHash: string
  status: number
  body: string
  /** Milliseconds. */
  at: number
}

export interface StripeState {
  sessions: Session[]
  paymentIntents: PaymentIntent[]
  refunds: Refund[]
  disputes: Dispute[]
  events: StripeEvent[]
  deliveries: Delivery[]
  answers: IdempotentAnswer[]
  webhookUrl: string | null
  /** Events wait until they are released. */
  holdsEvents: boolean
}

export const INITIAL_STATE: StripeState = {
  sessions: [],
  paymentIntents: [],
  refunds: [],
  disputes: [],
  events: [],
  deliveries: [],
  answers: [],
  webhookUrl: null,
  holdsEvents: false,
}

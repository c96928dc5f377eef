import type { Clock } from '../clock.ts'
import type { KeptState } from '../kept-state.ts'
import { Refused } from './stripe-error.ts'
import { stripeId } from './stripe-id.ts'
import type { Dispute, DisputeStatus, PaymentIntent, Refund, Session, StripeState } from './stripe-state.ts'
import type { Webhooks } from './webhooks.ts'
import { wireCharge, wireDispute, wirePaymentIntent, wireRefund, wireSession } from './wire.ts'

/** How a person pays on the page: by a card that is taken, by one that is not, or by a bank that answers later. */
export type PaymentTry = 'card' | 'declined card' | 'bank'

/** What happens to sessions and money, whoever causes it: the API, the page, or the controls. Every change is an event. */
export class Payments {
  readonly state: KeptState<StripeState>
  private readonly clock: Clock
  private readonly webhooks: Webhooks

  constructor(state: KeptState<StripeState>, clock: Clock, webhooks: Webhooks) {
    this.state = state
    this.clock = clock
    this.webhooks = webhooks
  }

  nowSeconds(): number {
    return Math.floor(this.clock.now() / 1000)
  }

  findSession(id: string): Session | undefined {
    return this.state.value.sessions.find((one) => one.id === id)
  }

  findIntent(id: string | null): PaymentIntent | undefined {
    return this.state.value.paymentIntents.find((one) => one.id === id)
  }

  expireDue(): void {
    const now = this.nowSeconds()
    for (const session of this.state.value.sessions) {
      if (session.status === 'open' && session.expiresAt <= now) this.expire(session)
    }
  }

  expire(session: Session): void {
    session.status = 'expired'
    this.tell('checkout.session.expired', this.wire(session))
  }

  pay(session: Session, how: PaymentTry): void {
    this.expireDue()
    if (session.status !== 'open') throw new Refused(400, `This Checkout Session is ${session.status}.`)
    const intent = this.findIntent(session.paymentIntentId) ?? this.makeIntent(session)
    intent.method = how === 'bank' ? 'us_bank_account' : 'card'
    intent.chargeId = stripeId('ch')
    if (how === 'declined card') {
      // The page stays open for another try.
      intent.lastError = 'card_declined'
      this.tell('payment_intent.payment_failed', wirePaymentIntent(intent))
      return
    }
    intent.lastError = null
    session.status = 'complete'
    session.paymentIntentId = intent.id
    if (how === 'bank') {
      intent.status = 'processing'
      this.tell('checkout.session.completed', this.wire(session))
      return
    }
    this.receive(session, intent)
    this.tell('checkout.session.completed', this.wire(session))
  }

  /** The bank says at last whether it pays. */
  settle(session: Session, outcome: 'succeeded' | 'failed'): void {
    const intent = this.findIntent(session.paymentIntentId)
    if (intent?.status !== 'processing') throw new Refused(400, 'No bank is being waited for.')
    if (outcome === 'succeeded') {
      this.receive(session, intent)
      this.tell('checkout.session.async_payment_succeeded', this.wire(session))
      return
    }
    intent.status = 'requires_payment_method'
    intent.lastError = 'payment_failed'
    this.tell('payment_intent.payment_failed', wirePaymentIntent(intent))
    this.tell('checkout.session.async_payment_failed', this.wire(session))
  }

  refund(
    intent: PaymentIntent,
    wanted: { amount?: number | undefined; reason?: string | null; metadata?: Record<string, string> },
    idempotencyKey: string | null = null,
  ): Refund {
    const { chargeId } = intent
    if (intent.status !== 'succeeded' || chargeId === null) {
      throw new Refused(400, 'This PaymentIntent does not have a successful charge to refund.')
    }
    const left = intent.amount - this.refundedOf(intent)
    if (left <= 0) {
      throw new Refused(400, `Charge ${chargeId} has already been refunded.`, {
        code: 'charge_already_refunded',
      })
    }
    const amount = wanted.amount ?? left
    if (amount <= 0) {
      throw new Refused(400, 'Invalid positive integer', {
        code: 'parameter_invalid_integer',
        param: 'amount',
      })
    }
    if (amount > left) {
      throw new Refused(
        400,
        `Refund amount (${amount}) is greater than unrefunded amount on charge (${left})`,
        {
          param: 'amount',
        },
      )
    }
    const refund: Refund = {
      id: stripeId('re'),
      paymentIntentId: intent.id,
      chargeId,
      amount,
      currency: intent.currency,
      status: 'succeeded',
      reason: wanted.reason ?? null,
      metadata: wanted.metadata ?? {},
      createdAt: this.nowSeconds(),
    }
    this.state.value.refunds.push(refund)
    this.tell('charge.refunded', this.wireChargeOf(intent), idempotencyKey)
    this.tell('refund.created', wireRefund(refund), idempotencyKey)
    return refund
  }

  /** The payer's bank sends a refund back. */
  failRefund(refund: Refund): void {
    if (refund.status === 'failed') throw new Refused(400, 'This refund has failed already.')
    refund.status = 'failed'
    this.tell('refund.updated', wireRefund(refund))
    this.tell('refund.failed', wireRefund(refund))
  }

  /** The payer's bank takes the money back, or as an inquiry only asks about it. */
  dispute(intent: PaymentIntent, wanted: { amount?: number | undefined; isInquiry?: boolean }): Dispute {
    const { chargeId } = intent
    if (intent.status !== 'succeeded' || chargeId === null) throw new Refused(400, 'Nothing was paid.')
    const dispute: Dispute = {
      id: stripeId('du'),
      paymentIntentId: intent.id,
      chargeId,
      amount: wanted.amount ?? intent.amount - this.refundedOf(intent),
      currency: intent.currency,
      status: wanted.isInquiry ? 'warning_needs_response' : 'needs_response',
      createdAt: this.nowSeconds(),
    }
    this.state.value.disputes.push(dispute)
    this.tell('charge.dispute.created', wireDispute(dispute))
    if (!wanted.isInquiry) this.tell('charge.dispute.funds_withdrawn', wireDispute(dispute))
    return dispute
  }

  moveDispute(dispute: Dispute, status: DisputeStatus): void {
    if (['won', 'lost', 'warning_closed'].includes(dispute.status)) {
      throw new Refused(400, `This dispute is ${dispute.status}.`)
    }
    const wasInquiry = dispute.status === 'warning_needs_response'
    dispute.status = status
    if (status === 'won') this.tell('charge.dispute.funds_reinstated', wireDispute(dispute))
    if (wasInquiry && status === 'needs_response') {
      this.tell('charge.dispute.funds_withdrawn', wireDispute(dispute))
    }
    const isOver = status === 'won' || status === 'lost' || status === 'warning_closed'
    this.tell(isOver ? 'charge.dispute.closed' : 'charge.dispute.updated', wireDispute(dispute))
  }

  private makeIntent(session: Session): PaymentIntent {
    const intent: PaymentIntent = {
      id: stripeId('pi'),
      status: 'requires_payment_method',
      method: 'card',
      amount: session.amountTotal,
      amountReceived: 0,
      currency: session.currency,
      metadata: session.paymentIntentMetadata,
      createdAt: this.nowSeconds(),
      chargeId: null,
      lastError: null,
    }
    this.state.value.paymentIntents.push(intent)
    session.paymentIntentId = intent.id
    return intent
  }

  private receive(session: Session, intent: PaymentIntent): void {
    intent.status = 'succeeded'
    intent.amountReceived = intent.amount
    session.paymentStatus = 'paid'
    this.tell('charge.succeeded', this.wireChargeOf(intent))
    this.tell('payment_intent.succeeded', wirePaymentIntent(intent))
  }

  private refundedOf(intent: PaymentIntent): number {
    return this.state.value.refunds
      .filter((one) => one.paymentIntentId === intent.id && one.status !== 'failed')
      .reduce((sum, one) => sum + one.amount, 0)
  }

  private wireChargeOf(intent: PaymentIntent): Record<string, unknown> {
    const isDisputed = this.state.value.disputes.some((one) => one.paymentIntentId === intent.id)
    return wireCharge(intent, { amountRefunded: this.refundedOf(intent), isDisputed })
  }

  /** No event tells about an open session, and only an open one has a page. */
  private wire(session: Session): Record<string, unknown> {
    return wireSession(session, { origin: '' })
  }

  private tell(type: string, object: unknown, idempotencyKey: string | null = null): void {
    this.webhooks.record(type, object, idempotencyKey)
  }
}

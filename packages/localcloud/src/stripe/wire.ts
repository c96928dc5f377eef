import type { Dispute, PaymentIntent, Refund, Session, StripeEvent } from './stripe-state.ts'

/** The version that the account of this stand-in is pinned to. */
export const API_VERSION = '2026-10-28.endive'

/** Who pays in the local cloud. Made up: a card is never asked for. */
export const PAYER = { email: 'payer@example.com', name: 'Test Payer', last4: '4242' }

type Wire = Record<string, unknown>

const methodTypes = ['card', 'us_bank_account']

export function wireSession(
  session: Session,
  at: { origin: string; paymentIntent?: PaymentIntent | undefined; expandsPaymentIntent?: boolean },
): Wire {
  const isPaying = session.status === 'complete'
  return {
    after_expiration: null,
    allow_promotion_codes: null,
    amount_subtotal: session.amountTotal,
    amount_total: session.amountTotal,
    automatic_tax: { enabled: false, status: null },
    billing_address_collection: null,
    cancel_url: session.cancelUrl,
    client_reference_id: session.clientReferenceId,
    consent: null,
    consent_collection: null,
    created: session.createdAt,
    currency: session.currency,
    currency_conversion: null,
    custom_fields: [],
    custom_text: { shipping_address: null, submit: null },
    customer: null,
    customer_creation: 'if_required',
    customer_details: isPaying
      ? { address: null, email: PAYER.email, name: PAYER.name, phone: null, tax_exempt: 'none', tax_ids: [] }
      : null,
    customer_email: null,
    expires_at: session.expiresAt,
    id: session.id,
    invoice: null,
    invoice_creation: null,
    livemode: false,
    locale: null,
    metadata: session.metadata,
    mode: 'payment',
    object: 'checkout.session',
    payment_intent:
      at.expandsPaymentIntent && at.paymentIntent
        ? wirePaymentIntent(at.paymentIntent)
        : session.paymentIntentId,
    payment_link: null,
    payment_method_collection: 'if_required',
    payment_method_options: null,
    payment_method_types: methodTypes,
    payment_status: session.paymentStatus,
    phone_number_collection: { enabled: false },
    recovered_from: null,
    setup_intent: null,
    shipping_address_collection: null,
    shipping_cost: null,
    shipping_details: null,
    shipping_options: [],
    status: session.status,
    submit_type: null,
    subscription: null,
    success_url: session.successUrl,
    total_details: { amount_discount: 0, amount_shipping: 0, amount_tax: 0 },
    // The page exists only as long as it can be paid on.
    url: session.status === 'open' ? `${at.origin}/c/pay/${session.id}` : null,
  }
}

export function wirePaymentIntent(intent: PaymentIntent): Wire {
  return {
    amount: intent.amount,
    amount_capturable: 0,
    amount_details: { tip: {} },
    amount_received: intent.amountReceived,
    application: null,
    application_fee_amount: null,
    automatic_payment_methods: null,
    canceled_at: null,
    cancellation_reason: null,
    capture_method: 'automatic',
    client_secret: null,
    confirmation_method: 'automatic',
    created: intent.createdAt,
    currency: intent.currency,
    customer: null,
    description: null,
    id: intent.id,
    invoice: null,
    last_payment_error: intent.lastError
      ? {
          type: intent.lastError === 'card_declined' ? 'card_error' : 'invalid_request_error',
          code: intent.lastError,
          message: 'The payment was declined.',
        }
      : null,
    latest_charge: intent.chargeId,
    livemode: false,
    metadata: intent.metadata,
    next_action: null,
    object: 'payment_intent',
    on_behalf_of: null,
    payment_method: null,
    payment_method_options: null,
    payment_method_types: methodTypes,
    processing: null,
    receipt_email: null,
    review: null,
    setup_future_usage: null,
    shipping: null,
    statement_descriptor: null,
    statement_descriptor_suffix: null,
    status: intent.status,
    transfer_data: null,
    transfer_group: null,
  }
}

export function wireCharge(
  intent: PaymentIntent,
  { amountRefunded, isDisputed }: { amountRefunded: number; isDisputed: boolean },
): Wire {
  const status = intent.status === 'succeeded' ? 'succeeded' : intent.lastError ? 'failed' : 'pending'
  return {
    amount: intent.amount,
    amount_captured: intent.amountReceived,
    amount_refunded: amountRefunded,
    application: null,
    application_fee: null,
    application_fee_amount: null,
    balance_transaction: null,
    billing_details: { address: null, email: PAYER.email, name: PAYER.name, phone: null },
    calculated_statement_descriptor: null,
    captured: status === 'succeeded',
    created: intent.createdAt,
    currency: intent.currency,
    customer: null,
    description: null,
    disputed: isDisputed,
    failure_balance_transaction: null,
    failure_code: intent.lastError,
    failure_message: null,
    fraud_details: {},
    id: intent.chargeId,
    invoice: null,
    livemode: false,
    metadata: intent.metadata,
    object: 'charge',
    on_behalf_of: null,
    outcome: null,
    paid: status === 'succeeded',
    payment_intent: intent.id,
    payment_method: null,
    payment_method_details:
      intent.method === 'card'
        ? {
            type: 'card',
            card: {
              brand: 'visa',
              checks: null,
              country: 'KR',
              exp_month: 12,
              exp_year: 2034,
              fingerprint: null,
              funding: 'credit',
              installments: null,
              last4: PAYER.last4,
              mandate: null,
              network: 'visa',
              three_d_secure: null,
              wallet: null,
            },
          }
        : null,
    receipt_email: null,
    receipt_number: null,
    receipt_url: null,
    refunded: amountRefunded >= intent.amount,
    refunds: null,
    review: null,
    shipping: null,
    source_transfer: null,
    statement_descriptor: null,
    statement_descriptor_suffix: null,
    status,
    transfer_data: null,
    transfer_group: null,
  }
}

export function wireRefund(refund: Refund): Wire {
  return {
    amount: refund.amount,
    balance_transaction: null,
    charge: refund.chargeId,
    created: refund.createdAt,
    currency: refund.currency,
    ...(refund.status === 'failed' ? { failure_reason: 'expired_or_canceled_card' } : {}),
    id: refund.id,
    metadata: refund.metadata,
    object: 'refund',
    payment_intent: refund.paymentIntentId,
    reason: refund.reason,
    receipt_number: null,
    source_transfer_reversal: null,
    status: refund.status,
    transfer_reversal: null,
  }
}

const EVIDENCE = [
  ...['access_activity_log', 'billing_address', 'cancellation_policy', 'cancellation_policy_disclosure'],
  ...['cancellation_rebuttal', 'customer_communication', 'customer_email_address', 'customer_name'],
  ...['customer_purchase_ip', 'customer_signature', 'duplicate_charge_documentation'],
  ...['duplicate_charge_explanation', 'duplicate_charge_id', 'product_description', 'receipt'],
  ...['refund_policy', 'refund_policy_disclosure', 'refund_refusal_explanation', 'service_date'],
  ...['service_documentation', 'shipping_address', 'shipping_carrier', 'shipping_date'],
  ...['shipping_documentation', 'shipping_tracking_number', 'uncategorized_file', 'uncategorized_text'],
]

export function wireDispute(dispute: Dispute): Wire {
  return {
    amount: dispute.amount,
    balance_transactions: [],
    charge: dispute.chargeId,
    created: dispute.createdAt,
    currency: dispute.currency,
    evidence: Object.fromEntries(EVIDENCE.map((name) => [name, null])),
    evidence_details: {
      due_by: dispute.createdAt + 7 * 86_400,
      has_evidence: false,
      past_due: false,
      submission_count: 0,
    },
    id: dispute.id,
    is_charge_refundable: dispute.status.startsWith('warning'),
    livemode: false,
    metadata: {},
    object: 'dispute',
    payment_intent: dispute.paymentIntentId,
    reason: 'fraudulent',
    status: dispute.status,
  }
}

export function wireEvent(event: StripeEvent, pendingWebhooks: number): Wire {
  return {
    api_version: API_VERSION,
    created: event.createdAt,
    data: { object: event.object },
    id: event.id,
    livemode: false,
    object: 'event',
    pending_webhooks: pendingWebhooks,
    request: { id: null, idempotency_key: event.idempotencyKey },
    type: event.type,
  }
}

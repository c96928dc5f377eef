import type { Sql } from '../platform/db.ts'
import type { RefundOutcome } from '../providers/cards/stripe.ts'

export interface Mismatch {
  paymentId: string
  checkoutId: string
  sessionId: string
  sessionAmount: number | null
  receivedAmount: number
  currency: string
  isLive: boolean
  resolution: 'credited' | 'refunded' | null
}

/** Written once, however often it is seen. */
export async function noteMismatch(tx: Sql, m: Omit<Mismatch, 'resolution'> & { now: Date }): Promise<void> {
  await tx`
    insert into card_mismatches (payment_id, checkout_id, session_id, session_amount, received_amount, currency,
      is_live, seen_at)
    values (${m.paymentId}, ${m.checkoutId}, ${m.sessionId}, ${m.sessionAmount}, ${m.receivedAmount}, ${m.currency},
      ${m.isLive}, ${m.now})
    on conflict (payment_id) do nothing`
}

export async function lockMismatch(tx: Sql, paymentId: string): Promise<Mismatch | undefined> {
  const [row] = await tx<Mismatch[]>`
    select payment_id as "paymentId", checkout_id as "checkoutId", session_id as "sessionId",
      session_amount::float8 as "sessionAmount", received_amount::float8 as "receivedAmount", currency,
      is_live as "isLive", resolution
    from card_mismatches where payment_id = ${paymentId} for update`
  return row
}

export async function resolveMismatch(
  tx: Sql,
  paymentId: string,
  resolution: 'credited' | 'refunded',
  now: Date,
): Promise<void> {
  await tx`
    update card_mismatches set resolution = ${resolution}, resolved_at = ${now}
    where payment_id = ${paymentId} and resolution is null`
}

/** What came becomes what was asked for; the next look then credits it. */
export async function acceptMismatch(
  tx: Sql,
  checkoutId: string,
  came: { sessionId: string; amountMicros: bigint },
): Promise<void> {
  await tx`
    update checkouts set session_id = ${came.sessionId}, amount_micros = ${came.amountMicros} where id = ${checkoutId}`
}

export interface Refund {
  amountCents: number | null
  state: 'intended' | 'made' | 'refused'
  decidedAt: Date
}

/** False when there is one already. */
export async function insertRefund(
  tx: Sql,
  r: { paymentId: string; checkoutId: string; amountCents: number | null; now: Date },
): Promise<boolean> {
  const { count } = await tx`
    insert into card_refunds (payment_id, checkout_id, amount_cents, decided_at)
    values (${r.paymentId}, ${r.checkoutId}, ${r.amountCents}, ${r.now})
    on conflict (payment_id) do nothing`
  return count > 0
}

export async function findRefund(tx: Sql, paymentId: string): Promise<Refund | undefined> {
  const [row] = await tx<Refund[]>`
    select amount_cents::float8 as "amountCents", state, decided_at as "decidedAt" from card_refunds where payment_id = ${paymentId}`
  return row
}

/** Notes how it ended. One that was refused may be decided on again. */
export async function endRefund(
  tx: Sql,
  paymentId: string,
  outcome: RefundOutcome,
  now: Date,
): Promise<void> {
  const refundId = outcome.status === 'made' ? outcome.refundId : null
  await tx`
    update card_refunds set state = ${outcome.status}, refund_id = ${refundId} where payment_id = ${paymentId}`
  if (outcome.status !== 'made') return
  await resolveMismatch(tx, paymentId, 'refunded', now)
  // A page whose payment was not what it asked for, and went back, waits for nothing any more.
  await tx`
    update checkouts set status = 'failed' where status in ('starting', 'open', 'processing')
      and id = (select checkout_id from card_mismatches where payment_id = ${paymentId})`
}

/** After a refusal. */
export async function intendRefundAnew(
  tx: Sql,
  r: { paymentId: string; amountCents: number | null; now: Date },
): Promise<void> {
  await tx`
    update card_refunds set state = 'intended', amount_cents = ${r.amountCents}, decided_at = ${r.now}
    where payment_id = ${r.paymentId}`
}

export interface ReviewedPayment {
  id: string
  checkout: string
  ledgerAccount: string
  account: string | null
  /** And has not been accepted. */
  isMismatch: boolean
  askedMicros: bigint
  receivedAmount: bigint | null
  currency: string | null
  refundState: Refund['state'] | null
  refundCents: bigint | null
  paidAt: Date
}

/** One payment, those of an account, or those that wait for an operator. */
export function listReviewed(
  tx: Sql,
  wanted: { payment: string } | { ledgerAccount: string } | 'waiting',
  limit: number,
): Promise<ReviewedPayment[]> {
  const which =
    wanted === 'waiting'
      ? tx`(m.payment_id is not null and m.resolution is null) or r.state in ('intended', 'refused')`
      : 'payment' in wanted
        ? tx`paid.payment_id = ${wanted.payment}`
        : tx`c.ledger_account_id = ${wanted.ledgerAccount}`
  return tx<ReviewedPayment[]>`
    with paid as (
      select payment_id, checkout_id, seen_at as at from card_mismatches
      union all
      select payment_id, id, paid_at from checkouts
      where status = 'paid' and payment_id not in (select payment_id from card_mismatches)
    )
    select paid.payment_id as id, c.id as checkout, c.ledger_account_id as "ledgerAccount",
      b.account_id as account, m.payment_id is not null as "isMismatch",
      c.amount_micros as "askedMicros", m.received_amount as "receivedAmount", m.currency, r.state as "refundState",
      r.amount_cents as "refundCents", paid.at as "paidAt"
    from paid join checkouts c on c.id = paid.checkout_id
    left join billing_accounts b on b.ledger_account_id = c.ledger_account_id
    left join card_mismatches m on m.payment_id = paid.payment_id and m.resolution is distinct from 'credited'
    left join card_refunds r on r.payment_id = paid.payment_id
    where ${which}
    order by paid.at ${wanted === 'waiting' ? tx`asc` : tx`desc`}, paid.payment_id limit ${limit}`
}

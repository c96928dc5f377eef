import type { Sql } from '../platform/db.ts'
import type { CardSession, Cards, TakenBack } from '../providers/cards/stripe.ts'
import { noteMismatch } from './card-review-store.ts'
import * as store from './checkout-store.ts'
import { MICROS_PER_CENT } from './checkouts.ts'
import { post } from './ledger.ts'

/** A payment as the processor shows it at this moment. */
export interface CardPaymentView {
  session: CardSession
  takenBack: readonly TakenBack[]
}

/** Asks the processor itself: what an event says may be old, and a page that somebody reached proves nothing. */
export async function lookAtPayment(
  cards: Cards,
  at: { sessionId: string | null; paymentId: string | null },
): Promise<CardPaymentView | undefined> {
  const session =
    at.sessionId !== null
      ? await cards.findSession(at.sessionId)
      : at.paymentId !== null
        ? await cards.findSessionOfPayment(at.paymentId)
        : undefined
  if (!session) return undefined
  const takenBack = session.isPaid && session.payment ? await cards.listTakenBack(session.payment.id) : []
  return { session, takenBack }
}

/**
 * Brings credits in line with what the processor shows. Every fact has a key of its own in the ledger, and none is ever
 * unsaid, so that looks may come late, twice and in any order: an older look adds nothing, and takes nothing away.
 */
export async function settleCheckout(
  tx: Sql,
  { session, takenBack }: CardPaymentView,
  { isLive, now }: { isLive: boolean; now: Date },
): Promise<'settled' | 'not ours' | 'mismatch'> {
  const checkout = session.reference === null ? undefined : await store.lockCheckout(tx, session.reference)
  if (!checkout) return 'not ours'
  const { payment } = session
  if (isMismatch(checkout, session, isLive)) {
    // Not credited, and an operator has to look: we cannot tell whose mistake it is.
    if (session.isPaid && payment) {
      await noteMismatch(tx, {
        paymentId: payment.id,
        checkoutId: checkout.id,
        sessionId: session.id,
        sessionAmount: session.amountCents,
        receivedAmount: payment.receivedCents,
        currency: session.currency ?? '',
        isLive: session.isLive,
        now,
      })
    }
    return 'mismatch'
  }
  const isPaid = session.isPaid && payment !== null
  const status = isPaid ? 'paid' : statusOf(session)
  if (rank(status) > rank(checkout.status)) {
    await store.updateCheckout(tx, checkout.id, {
      status,
      sessionId: session.id,
      paymentId: payment?.id ?? null,
      paidAt: isPaid ? now : null,
    })
  }
  if (!isPaid) return 'settled'
  const { ledgerAccount } = checkout
  const about = { ledgerAccount, reference: checkout.id, against: 'sys_cards' as const, at: now }
  await post(tx, {
    ...about,
    key: `card:${payment.id}`,
    kind: 'deposit',
    amountMicros: checkout.amountMicros,
  })
  for (const taken of takenBack) {
    const amountMicros = BigInt(taken.amountCents) * MICROS_PER_CENT
    if (amountMicros <= 0n) continue
    await post(tx, {
      ...about,
      key: `card-${taken.kind}:${taken.id}`,
      kind: taken.kind === 'refund' ? 'refund' : 'reversal',
      amountMicros: -amountMicros,
      // The credits may be spent by now; then the account owes them.
      intoDebt: true,
    })
    if (!taken.isUndone) continue
    await post(tx, { ...about, key: `card-${taken.kind}-undone:${taken.id}`, kind: 'reversal', amountMicros })
  }
  return 'settled'
}

/** What was paid must be what was asked for, in the same money and the same world, on the page that was opened for it. */
function isMismatch(checkout: store.CheckoutRow, session: CardSession, isLive: boolean): boolean {
  const { payment } = session
  const amountCents = Number(checkout.amountMicros / MICROS_PER_CENT)
  return (
    session.isLive !== isLive ||
    session.currency !== 'usd' ||
    session.amountCents !== amountCents ||
    (checkout.sessionId !== null && checkout.sessionId !== session.id) ||
    (session.isPaid && (payment?.status !== 'received' || payment.receivedCents !== amountCents))
  )
}

function statusOf({ status, payment }: CardSession): store.CheckoutStatus {
  if (status === 'complete') return payment?.status === 'failed' ? 'failed' : 'processing'
  return status
}

/** A checkout only ever moves on: an older look, finished later, must not move it back. */
function rank(status: store.CheckoutStatus): number {
  return { starting: 0, open: 1, processing: 2, expired: 3, failed: 3, paid: 4 }[status]
}

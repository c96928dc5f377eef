import type { CardPayment } from '@agentctl/contract/operators.ts'
import type { Deps } from '../deps.ts'
import type { Sql } from '../platform/db.ts'
import { startOperation } from '../platform/operations.ts'
import { Problem } from '../platform/problem.ts'
import * as store from './card-review-store.ts'
import { lockCheckout } from './checkout-store.ts'
import { MICROS_PER_CENT } from './checkouts.ts'
import { findBalance, findLedgerAccount } from './store.ts'

const LISTED = 200

/** Payments by card that wait for an operator, or those of an account. */
export async function listCardPayments(tx: Sql, accountId: string | undefined): Promise<CardPayment[]> {
  if (accountId === undefined) return (await store.listReviewed(tx, 'waiting', LISTED)).map(shown)
  const ledgerAccount = await findLedgerAccount(tx, accountId)
  if (ledgerAccount === undefined) return []
  return (await store.listReviewed(tx, { ledgerAccount }, LISTED)).map(shown)
}

/** Accepts what came as what was asked for. Its look credits it, and follows what becomes of it, as with any other. */
export async function creditCardPayment(
  tx: Sql,
  { cards }: Pick<Deps, 'cards'>,
  wanted: { payment: string; now: Date },
): Promise<CardPayment> {
  if (!cards) throw new Problem('cards_unavailable')
  const mismatch = await store.lockMismatch(tx, wanted.payment)
  if (!mismatch) throw noSuchPayment()
  if (mismatch.resolution === 'credited') return show(tx, wanted.payment)
  if (mismatch.resolution !== null || (await store.findRefund(tx, wanted.payment))) {
    throw new Problem('conflict', 'This payment is given back.', { fix: WHERE })
  }
  const checkout = await lockCheckout(tx, mismatch.checkoutId)
  const isWhole = mismatch.sessionAmount === mismatch.receivedAmount && mismatch.receivedAmount > 0
  const isOurs = mismatch.currency === 'usd' && mismatch.isLive === cards.isLive
  if (!checkout || checkout.status === 'paid' || !isWhole || !isOurs) {
    const why =
      checkout?.status === 'paid' ? 'its checkout was paid before' : 'it is no whole payment in dollars'
    throw new Problem('conflict', `This payment cannot be credited: ${why}.`, {
      fix: `Give it back: agentctl operator refund ${wanted.payment}`,
    })
  }
  await store.acceptMismatch(tx, checkout.id, {
    sessionId: mismatch.sessionId,
    amountMicros: BigInt(mismatch.receivedAmount) * MICROS_PER_CENT,
  })
  await store.resolveMismatch(tx, wanted.payment, 'credited', wanted.now)
  await startOperation(tx, {
    kind: 'look-at-card',
    subject: `card-payment:${wanted.payment}`,
    namespaceId: null,
    stepData: { payment: wanted.payment },
    now: wanted.now,
  })
  return show(tx, wanted.payment)
}

/** Decides that a payment is given back; the operation that begins here does it, and takes the credits. */
export async function refundCardPayment(
  tx: Sql,
  { cards }: Pick<Deps, 'cards'>,
  wanted: { payment: string; amountMicros: string | undefined; now: Date },
): Promise<CardPayment> {
  if (!cards) throw new Problem('cards_unavailable')
  const [payment] = await store.listReviewed(tx, { payment: wanted.payment }, 1)
  if (!payment) throw noSuchPayment()
  const amountCents = centsOf(payment, wanted.amountMicros)
  const isNew = await store.insertRefund(tx, {
    paymentId: payment.id,
    checkoutId: payment.checkout,
    amountCents,
    now: wanted.now,
  })
  if (!isNew) {
    const known = await store.findRefund(tx, payment.id)
    if (known?.state !== 'refused') {
      if (known?.amountCents === amountCents) return show(tx, payment.id)
      throw new Problem('conflict', 'Operators give a payment back once, and this one is.', { fix: WHERE })
    }
    await store.intendRefundAnew(tx, { paymentId: payment.id, amountCents, now: wanted.now })
  }
  const mismatch = await store.lockMismatch(tx, payment.id)
  if (payment.isMismatch && mismatch?.resolution === 'credited') {
    throw new Problem('conflict', 'This payment has just been credited.', { fix: WHERE })
  }
  if (!payment.isMismatch) await requireCredits(tx, payment, amountCents)
  await startOperation(tx, {
    kind: 'refund-card',
    subject: `card-refund:${payment.id}`,
    namespaceId: null,
    stepData: { payment: payment.id },
    now: wanted.now,
  })
  return show(tx, payment.id)
}

/** What was not asked for is given back whole: nobody can say what a part of it would be for. */
function centsOf(payment: store.ReviewedPayment, amountMicros: string | undefined): number | null {
  if (amountMicros === undefined) return null
  const micros = BigInt(amountMicros)
  if (payment.isMismatch) {
    throw new Problem('invalid_request', 'A payment that was not credited is given back whole.', {
      fix: 'Leave out the amount.',
    })
  }
  if (micros % MICROS_PER_CENT !== 0n || micros > payment.askedMicros) {
    throw new Problem('invalid_request', 'body.amountMicros: whole cents, and no more than was paid.')
  }
  return micros === payment.askedMicros ? null : Number(micros / MICROS_PER_CENT)
}

/** Credits that are spent are not given back as money. */
async function requireCredits(
  tx: Sql,
  payment: store.ReviewedPayment,
  amountCents: number | null,
): Promise<void> {
  const balance = await findBalance(tx, payment.ledgerAccount)
  const free = (balance?.balanceMicros ?? 0n) - (balance?.heldMicros ?? 0n)
  const wanted = amountCents === null ? payment.askedMicros : BigInt(amountCents) * MICROS_PER_CENT
  if (free >= wanted) return
  throw new Problem('insufficient_credits', 'The account has spent more of it than that would leave.', {
    fix: 'Give back a smaller part: --amount',
  })
}

const WHERE = 'See what became of it: agentctl operator cards'

const noSuchPayment = (): Problem =>
  new Problem('not_found', 'There is no such payment by card.', { fix: WHERE })

async function show(tx: Sql, payment: string): Promise<CardPayment> {
  const [row] = await store.listReviewed(tx, { payment }, 1)
  if (!row) throw noSuchPayment()
  return shown(row)
}

function shown(row: store.ReviewedPayment): CardPayment {
  const { refundState, refundCents } = row
  return {
    id: row.id,
    checkout: row.checkout,
    account: row.account,
    state: row.isMismatch ? 'mismatched' : 'credited',
    askedMicros: String(row.askedMicros),
    received:
      row.isMismatch && row.receivedAmount !== null && row.currency !== null
        ? { amount: String(row.receivedAmount), currency: row.currency }
        : null,
    refund: refundState && {
      state: refundState,
      amountMicros: refundCents === null ? null : String(refundCents * MICROS_PER_CENT),
    },
    paidAt: row.paidAt.toISOString(),
  }
}

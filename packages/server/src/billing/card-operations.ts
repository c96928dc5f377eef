import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import {
  type Lease,
  type Operation,
  type Outcome,
  startOperation,
  type Work,
} from '../platform/operations.ts'
import type { CardEvent } from '../providers/cards/card-event.ts'
import type { Cards } from '../providers/cards/stripe.ts'
import { type CardPaymentView, lookAtPayment, settleCheckout } from './card-payments.ts'
import { endRefund, findRefund } from './card-review-store.ts'
import * as store from './checkout-store.ts'

type Parts = Pick<Deps, 'db' | 'clock' | 'cards' | 'log'>

const WATCH_SECONDS = 60
/** A bank may take days; then it tells us, or the reconciliation finds out. */
const WATCH_PROCESSING_SECONDS = 3600
const WATCH_UNKNOWN_SECONDS = 86_400
const RECONCILE_SECONDS = 86_400
/** Business time can jump, and the database that wakes operations does not see it. */
const RECONCILE_LOOK_SECONDS = 60
/** Events are listed by when they happened; some are listed a little later. */
const RECONCILE_OVERLAP_SECONDS = 3600
/** Further back the processor does not remember. */
const RECONCILE_SECONDS_MAX = 29 * 86_400

/** The durable work of payments by card, by kind; nothing where no cards are taken. */
export function cardWork(deps: Parts): Record<string, Work> {
  const { cards } = deps
  if (!cards) return {}
  return {
    'card-event': async (operation, lease) =>
      visitPayment(deps, cards, { operation, lease }, await toldIn(deps, operation)),
    'look-at-card': (operation, lease) =>
      visitPayment(deps, cards, { operation, lease }, decidedOn(operation)),
    'refund-card': (operation, lease) => visitRefund(deps, cards, operation, lease),
    'watch-checkout': (operation, lease) => visitCheckout(deps, cards, operation, lease),
    'reconcile-cards': (operation, lease) => visitReconciliation(deps, cards, operation, lease),
  }
}

export async function scheduleCardWork({ db, clock, cards }: Parts): Promise<void> {
  if (!cards) return
  const now = clock.now()
  await startOperation(db.jobs, { kind: 'reconcile-cards', subject: 'cards', namespaceId: null, now })
}

/** Notes that something was told, once, together with the work that it makes. False when it was noted before. */
export async function receiveCardEvent(tx: Sql, event: CardEvent, now: Date): Promise<boolean> {
  if (!(await store.insertCardEvent(tx, { ...event, now }))) return false
  await startOperation(tx, {
    kind: 'card-event',
    // Of its own, and not of the payment: two that come together then both lead to a look.
    subject: `card-event:${event.id}`,
    namespaceId: null,
    stepData: { event: event.id },
    now,
  })
  return true
}

/** A look at a payment about which something was told, or decided; the last thing that its operation does. */
async function visitPayment(
  deps: Parts,
  cards: Cards,
  visit: { operation: Operation; lease: Lease },
  at: store.CardEventRow | undefined,
): Promise<Outcome | 'settled'> {
  const view = at && (await lookAtPayment(cards, at))
  if (!view) return { state: 'done' }
  await settleAndEnd(deps, cards, { ...visit, view, outcome: () => ({ state: 'done' }) })
  return 'settled'
}

const toldIn = ({ db }: Parts, { stepData }: Operation): Promise<store.CardEventRow | undefined> =>
  store.findCardEvent(db.jobs, String(stepData.event))

const decidedOn = ({ stepData }: Operation): store.CardEventRow => ({
  sessionId: null,
  paymentId: String(stepData.payment),
})

/** Gives money back that an operator has decided to; then its look takes the credits, as after every refund. */
async function visitRefund(
  deps: Parts,
  cards: Cards,
  operation: Operation,
  lease: Lease,
): Promise<Outcome | 'settled'> {
  const paymentId = String(operation.stepData.payment)
  const refund = await findRefund(deps.db.jobs, paymentId)
  if (refund?.state === 'intended') {
    const { amountCents, decidedAt } = refund
    const key = `${paymentId}:${decidedAt.getTime()}`
    const outcome = await cards.refund({ paymentId, key, amountCents })
    const isRefused = outcome.status === 'refused'
    await lease.write(async (tx) => {
      await endRefund(tx, paymentId, outcome, deps.clock.now())
      // Together: whoever sees the refusal may decide again at once, which begins an operation only where none is.
      if (isRefused) await lease.settle(tx, { state: 'done' })
    })
    if (isRefused) return 'settled'
  }
  return visitPayment(deps, cards, { operation, lease }, decidedOn(operation))
}

/** Looks after a page although nothing is told: webhooks can be lost, and so can the answer that had the page. */
async function visitCheckout(
  deps: Parts,
  cards: Cards,
  operation: Operation,
  lease: Lease,
): Promise<Outcome | 'settled'> {
  const id = String(operation.stepData.checkout)
  const checkout = await store.findCheckout(deps.db.jobs, id)
  if (!checkout) return { state: 'done' }
  const next = (status: store.CheckoutStatus): Outcome => {
    if (status === 'starting' || status === 'open') return { state: 'again', afterSeconds: WATCH_SECONDS }
    if (status === 'processing') return { state: 'again', afterSeconds: WATCH_PROCESSING_SECONDS }
    return { state: 'done' }
  }
  if (checkout.status === 'starting' && checkout.expiresAt <= deps.clock.now()) {
    await lease.write(async (tx) => {
      const locked = await store.lockCheckout(tx, id)
      // Whatever page there may be: nobody was given its address, and now it has expired.
      if (locked?.status === 'starting') {
        await store.updateCheckout(tx, id, { ...locked, status: 'expired', paidAt: null })
      }
      await lease.settle(tx, { state: 'done' })
    })
    return 'settled'
  }
  const { status } = checkout
  const isWaiting = status === 'open' || status === 'processing'
  const view = isWaiting ? await lookAtPayment(cards, checkout) : undefined
  // The processor has no such session: it was opened under other keys, and there is nothing to wait for.
  const isForgotten = secondsAfter(checkout.expiresAt, WATCH_UNKNOWN_SECONDS) < deps.clock.now()
  if (!view) return isForgotten ? { state: 'done' } : next(status)
  await settleAndEnd(deps, cards, { view, operation, lease, outcome: next })
  return 'settled'
}

async function settleAndEnd(
  { clock, log }: Parts,
  cards: Cards,
  visit: {
    view: CardPaymentView
    operation: Operation
    lease: Lease
    outcome: (status: store.CheckoutStatus) => Outcome
  },
): Promise<void> {
  const { view, operation, lease } = visit
  const result = await lease.write(async (tx) => {
    const settled = await settleCheckout(tx, view, { isLive: cards.isLive, now: clock.now() })
    const { reference } = view.session
    const checkout = reference === null ? undefined : await store.findCheckout(tx, reference)
    const isOver = settled !== 'settled' || !checkout
    await lease.settle(tx, isOver ? { state: 'done' } : visit.outcome(checkout.status))
    return settled
  })
  if (result === 'mismatch') {
    log.error('A payment by card is not what was asked for', {
      provider: 'stripe',
      operationId: operation.id,
      providerId: view.session.id,
    })
  }
}

/** Once a day, everything that was told since: what never reached us is worked on now. */
async function visitReconciliation(
  { clock, log }: Parts,
  cards: Cards,
  operation: Operation,
  lease: Lease,
): Promise<Outcome> {
  const now = clock.now()
  const { upto } = operation.stepData
  const again = { state: 'again', afterSeconds: RECONCILE_LOOK_SECONDS } as const
  const sinceSeconds =
    typeof upto === 'string' ? (now.getTime() - Date.parse(upto)) / 1000 : RECONCILE_SECONDS_MAX
  if (sinceSeconds < RECONCILE_SECONDS) return again
  const backSeconds = Math.min(sinceSeconds + RECONCILE_OVERLAP_SECONDS, RECONCILE_SECONDS_MAX)
  const events = await cards.listEvents(secondsAfter(now, -backSeconds))
  const ours = events.filter((event) => event.isLive === cards.isLive)
  let missed = 0
  for (const event of ours) {
    if (await lease.write((tx) => receiveCardEvent(tx, event, now))) missed += 1
  }
  if (missed > 0) log.warn('Events of the card processor had not reached us', { count: missed })
  return { ...again, stepData: { upto: now.toISOString() } }
}

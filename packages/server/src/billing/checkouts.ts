import type { ResponseOf } from '@agentctl/contract/api.ts'
import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import { newId } from '../platform/ids.ts'
import { startOperation } from '../platform/operations.ts'
import { Problem } from '../platform/problem.ts'
import type { Wakes } from '../platform/wakes.ts'
import * as store from './checkout-store.ts'
import { ledgerAccountOf } from './ledger.ts'

export type Checkout = ResponseOf<'POST /v1/billing/checkouts'>

export const MICROS_PER_CENT = 10_000n
export const CHECKOUT_MIN_MICROS = 1_000_000n
export const CHECKOUT_MAX_MICROS = 2_000_000_000n
/** How long a page can be paid on. */
const LIFE_SECONDS = 3600
/** The processor opens no page that would end sooner. */
const LIFE_SECONDS_LEFT_MIN = 31 * 60
/** Thieves try out stolen cards by the dozen. */
const OPEN_MAX = 10
/** When a page is looked at although nothing was told about it. */
const FIRST_LOOK_SECONDS = 60

type Parts = Pick<Deps, 'db' | 'clock' | 'config' | 'cards' | 'log'>

/**
 * Opens a page of the card processor. Written down before the processor is called, and its name goes along as the
 * processor's idempotency key: whatever is lost on the way, the same request again finds the same page.
 */
export async function startCheckout(
  { db, clock, config, cards }: Parts,
  accountId: string,
  wanted: { amountMicros: string; requestKey: string },
): Promise<Checkout> {
  if (!cards) throw new Problem('cards_unavailable')
  const amountMicros = chargeable(wanted.amountMicros)
  const now = clock.now()
  const checkout = await db.work(async (tx) => {
    const ledgerAccount = await ledgerAccountOf(tx, accountId, now)
    const openCount = await store.countOpenCheckouts(tx, ledgerAccount)
    const { checkout, made } = await store.makeCheckout(tx, {
      id: newId('chk'),
      ledgerAccount,
      requestKey: wanted.requestKey,
      amountMicros,
      now,
      // The processor counts in seconds, and the same order must say the same time.
      expiresAt: new Date(Math.floor(secondsAfter(now, LIFE_SECONDS).getTime() / 1000) * 1000),
    })
    if (checkout.amountMicros !== amountMicros) throw new Problem('idempotency_mismatch')
    if (made && openCount >= OPEN_MAX) {
      throw new Problem('rate_limited', `${OPEN_MAX} payments by card are open already.`, {
        fix: 'Pay on one of their pages, or wait until they have expired.',
        retryAfterSeconds: LIFE_SECONDS,
      })
    }
    if (made) {
      await startOperation(tx, {
        kind: 'watch-checkout',
        subject: `checkout:${checkout.id}`,
        namespaceId: null,
        stepData: { checkout: checkout.id },
        afterSeconds: FIRST_LOOK_SECONDS,
        now,
      })
    }
    return checkout
  })
  if (checkout.url !== null) return shown(checkout)
  const isLate = secondsAfter(now, LIFE_SECONDS_LEFT_MIN) > checkout.expiresAt
  if (isLate || checkout.status !== 'starting') {
    throw new Problem('conflict', 'This payment was not opened in time.', { fix: 'Start a new one.' })
  }
  const outcome = await cards.openCheckout({
    id: checkout.id,
    amountCents: Number(amountMicros / MICROS_PER_CENT),
    title: 'agentctl credits',
    expiresAt: checkout.expiresAt,
    successUrl: new URL('/checkout/done', config.apiUrl).href,
    cancelUrl: new URL('/checkout/canceled', config.apiUrl).href,
  })
  if (outcome.status === 'busy') throw new Problem('idempotency_in_flight')
  if (outcome.status !== 'open') {
    throw new Problem('provider_unavailable', 'The card processor opened no page. Nothing was charged.')
  }
  const opened = await db.work((tx) => store.openCheckout(tx, checkout.id, outcome))
  if (!opened) throw new Error('A checkout has gone while it was opened.')
  return shown(opened)
}

/** One checkout of the account; waits until its status is another than the one that is known. */
export async function awaitCheckout(
  { db }: Pick<Deps, 'db'>,
  accountId: string,
  wanted: { id: string; knownStatus: Checkout['status'] | undefined; waitSeconds: number },
  wakes: Wakes,
  signal: AbortSignal,
): Promise<Checkout> {
  const wake = wakes.of(wanted.id)
  try {
    const deadline = performance.now() + wanted.waitSeconds * 1000
    let { knownStatus } = wanted
    for (;;) {
      const row = await db.as({ account: accountId }, (tx) => store.findCheckout(tx, wanted.id))
      if (!row || row.url === null) throw new Problem('not_found', 'You have no such payment by card.')
      const checkout = shown(row)
      knownStatus ??= checkout.status
      const leftMs = deadline - performance.now()
      if (checkout.status !== knownStatus || leftMs <= 0 || signal.aborted) return checkout
      await wake.next(leftMs, signal)
    }
  } finally {
    wake.close()
  }
}

function chargeable(text: string): bigint {
  const amountMicros = BigInt(text)
  if (amountMicros % MICROS_PER_CENT !== 0n) {
    throw new Problem('invalid_request', 'Cards are charged whole cents.', {
      fix: 'Use at most two decimals.',
    })
  }
  if (amountMicros < CHECKOUT_MIN_MICROS || amountMicros > CHECKOUT_MAX_MICROS) {
    const dollars = (micros: bigint) => `$${Number(micros / 1_000_000n).toLocaleString('en-US')}`
    throw new Problem(
      'invalid_request',
      `Cards pay from ${dollars(CHECKOUT_MIN_MICROS)} to ${dollars(CHECKOUT_MAX_MICROS)} at once.`,
      { fix: 'Choose another amount, or pay on chain: agentctl billing deposit --address' },
    )
  }
  return amountMicros
}

function shown(row: store.CheckoutRow): Checkout {
  return {
    id: row.id,
    status: row.status === 'starting' ? 'open' : row.status,
    url: row.url ?? '',
    amountMicros: String(row.amountMicros),
    creditsMicros: row.status === 'paid' ? String(row.amountMicros) : null,
    createdAt: row.createdAt.toISOString(),
    expiresAt: row.expiresAt.toISOString(),
  }
}

import type { Deps } from '../deps.ts'
import type { Api } from '../platform/http.ts'
import { Problem } from '../platform/problem.ts'
import { lazyWakes } from '../platform/wakes.ts'
import { readCardEvent } from '../providers/cards/card-event.ts'
import { isSignedWebhook } from '../providers/cards/webhook-signature.ts'
import { receiveCardEvent } from './card-operations.ts'
import { canceledPage, donePage } from './checkout-pages.ts'
import { awaitCheckout, startCheckout } from './checkouts.ts'

/** The processor's largest events have some tens of kilobytes. */
const WEBHOOK_BYTES_MAX = 256 * 1024

/** `stopping` ends long polls, so that the server can stop. */
export function cardRoutes(
  api: Api,
  deps: Pick<Deps, 'db' | 'clock' | 'config' | 'cards' | 'log'>,
  stopping: AbortSignal = new AbortController().signal,
): void {
  const { db, clock, config, cards, log } = deps
  const checkoutWakes = lazyWakes(db, 'checkouts')

  api.on('POST /v1/billing/checkouts', ({ caller, body, idempotencyKey = '' }) =>
    startCheckout(deps, caller.accountId, { ...body, requestKey: idempotencyKey }),
  )
  api.on('GET /v1/billing/checkouts/:checkout', async ({ caller, params, query, signal }) => {
    const { waitSeconds = 0, status } = query
    const wanted = { id: params.checkout, knownStatus: status, waitSeconds }
    const until = AbortSignal.any([signal, stopping])
    return awaitCheckout(deps, caller.accountId, wanted, await checkoutWakes(), until)
  })
  api.on('GET /checkout/done', async () => donePage())
  api.on('GET /checkout/canceled', async () => canceledPage())

  // Answered as soon as the event is written down: the work is done by an operation, which survives a crash.
  api.on('POST /v1/webhooks/stripe', async ({ raw }) => {
    if (!config.stripe || !cards) throw new Problem('cards_unavailable')
    const body = await readBody(raw)
    const header = raw.headers.get('stripe-signature') ?? ''
    const now = clock.now()
    if (!isSignedWebhook(body, header, config.stripe.webhookSecret, now)) {
      throw new Problem('invalid_request', 'The signature of this webhook is not valid now.', { fix: '' })
    }
    const event = readCardEvent(jsonOf(body))
    if (event && event.isLive !== cards.isLive) {
      log.warn('A webhook of another mode was ignored', { provider: 'stripe', providerId: event.id })
    } else if (event) {
      await db.work((tx) => receiveCardEvent(tx, event, now))
    }
    return { received: true as const }
  })
}

/** The bytes as they were signed: read again from JSON, they would be others. */
async function readBody(raw: Request): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of raw.body ?? []) {
    length += chunk.length
    if (length > WEBHOOK_BYTES_MAX) throw new Problem('payload_too_large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function jsonOf(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'))
  } catch {
    throw new Problem('invalid_request', 'The body is not valid JSON.')
  }
}

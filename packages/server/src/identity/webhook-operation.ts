import { createHmac } from 'node:crypto'
import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import { type Lease, type Outcome, startOperation, type Work } from '../platform/operations.ts'
import { openWebhooks, type Webhooks } from '../providers/webhooks/webhooks.ts'
import { notify } from './notices.ts'
import * as store from './webhook-store.ts'
import { webhookBoundTo } from './webhooks.ts'

const LOOK_SECONDS = 3
const ADDRESSES_AT_ONCE = 20
const MESSAGES_AT_ONCE = 5
const RETRY_SECONDS = 30
const RETRY_SECONDS_MAX = 6 * 3600
/** An address that takes nothing for so long is given up. */
const GIVEN_UP_DAYS = 3

type Parts = Pick<Deps, 'db' | 'clock' | 'keyring'>

export function webhookWork(deps: Parts & Pick<Deps, 'config'>): Record<string, Work> {
  const webhooks = openWebhooks({ allowLoopback: deps.config.webhookLoopback })
  return { 'deliver-notices': (_, lease) => visitDeliveries(deps, webhooks, lease) }
}

/** One row that repeats for ever, however many servers start. */
export async function scheduleWebhookWork({ db, clock }: Pick<Deps, 'db' | 'clock'>): Promise<void> {
  const subject = 'deliver:notices'
  await startOperation(db.jobs, { kind: 'deliver-notices', subject, namespaceId: null, now: clock.now() })
}

/** Sends what is new to those who want it; each on its own, so that one that is slow or away holds up no other. */
export async function visitDeliveries(deps: Parts, webhooks: Webhooks, lease: Lease): Promise<Outcome> {
  const due = await store.listDueWebhooks(deps.db.jobs, deps.clock.now(), ADDRESSES_AT_ONCE)
  await Promise.all(due.map((webhook) => deliver(deps, webhooks, lease, webhook)))
  return { state: 'again', afterSeconds: due.length === ADDRESSES_AT_ONCE ? 0.1 : LOOK_SECONDS }
}

async function deliver(
  { db, clock, keyring }: Parts,
  webhooks: Webhooks,
  lease: Lease,
  webhook: store.WebhookRow,
): Promise<void> {
  const { accountId, url } = webhook
  const secret = keyring.open(webhook, webhookBoundTo(accountId)).toString()
  for (const { id, kind, message, next, createdAt } of await store.listUnsent(
    db.jobs,
    webhook,
    MESSAGES_AT_ONCE,
  )) {
    const now = clock.now()
    const body = JSON.stringify({ id, kind, message, next, createdAt: createdAt.toISOString() })
    const sent = await webhooks.send(url, body, signedHeaders(secret, body, now))
    if (sent.accepted) {
      // Not at all or twice, never lost: who receives tells messages apart by their ids.
      await lease.write((tx) => store.noteDelivered(tx, accountId, id, now))
      continue
    }
    const givenUp =
      webhook.failingSince !== null && secondsAfter(webhook.failingSince, GIVEN_UP_DAYS * 86_400) <= now
    await lease.write(async (tx) => {
      if (!givenUp) {
        const pause = Math.min(RETRY_SECONDS * 2 ** webhook.failures, RETRY_SECONDS_MAX)
        return store.noteFailure(tx, accountId, { why: sent.why, now, nextAt: secondsAfter(now, pause) })
      }
      await store.deleteWebhook(tx, accountId)
      return notify(tx, {
        accountId,
        kind: 'webhook_given_up',
        message: `Your webhook took no message for ${GIVEN_UP_DAYS} days and is removed. ${sent.why} Messages are here as before.`,
        next: 'agentctl account webhook set URL',
        now,
      })
    })
    return
  }
}

/** HMAC-SHA256 over the time in seconds, a dot and the body, in hexadecimal. */
export function signedHeaders(secret: string, body: string, now: Date): Record<string, string> {
  const timestamp = String(Math.floor(now.getTime() / 1000))
  const signature = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')
  return {
    'content-type': 'application/json',
    'user-agent': 'agentctl',
    'agentctl-timestamp': timestamp,
    'agentctl-signature': `v1=${signature}`,
  }
}

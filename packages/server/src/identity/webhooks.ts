import { randomBytes } from 'node:crypto'
import type { NoticeWebhook } from '@agentctl/contract/identity.ts'
import type { Deps } from '../deps.ts'
import type { Sql } from '../platform/db.ts'
import type { Caller } from '../platform/http.ts'
import type { Keyring } from '../platform/keyring.ts'
import { Problem } from '../platform/problem.ts'
import { openWebhooks } from '../providers/webhooks/webhooks.ts'
import { requireRecentLogin } from './access.ts'
import { notify } from './notices.ts'
import * as store from './webhook-store.ts'

type Parts = Pick<Deps, 'db' | 'clock' | 'config'>

/** What signs is bound to its account. */
export const webhookBoundTo = (accountId: string): string => `webhook:${accountId}`

/** Has service messages from now on sent to an address. What signs them is shown here and never again. */
export async function setWebhook(
  { db, clock, config, keyring }: Parts & Pick<Deps, 'keyring'>,
  caller: Caller,
  url: string,
): Promise<NoticeWebhook & { secret: string }> {
  const now = clock.now()
  requireRecentLogin(caller, now)
  const fault = openWebhooks({ allowLoopback: config.webhookLoopback }).faultOf(url)
  if (fault !== undefined) throw new Problem('invalid_request', `body.url: ${fault}.`)
  const { accountId } = caller
  const secret = `whs_${randomBytes(32).toString('hex')}`
  const sealed = keyring.seal(Buffer.from(secret), webhookBoundTo(accountId))
  const row = await db.as({ account: accountId }, async (tx) => {
    await store.putWebhook(tx, { accountId, url, sealed, now })
    return store.findWebhook(tx, accountId)
  })
  if (!row) throw noWebhook()
  return { ...shown(row), secret }
}

export async function showWebhook(
  { db }: Pick<Deps, 'db'>,
  { accountId }: Caller,
): Promise<{ webhook: NoticeWebhook | null }> {
  const row = await db.as({ account: accountId }, (tx) => store.findWebhook(tx, accountId))
  return { webhook: row ? shown(row) : null }
}

/** Leaves a message like any other, which is sent like any other. */
export async function testWebhook(deps: Parts, caller: Caller): Promise<NoticeWebhook> {
  const { webhook } = await showWebhook(deps, caller)
  if (!webhook) throw noWebhook()
  await deps.db.work((tx) =>
    notify(tx, {
      accountId: caller.accountId,
      kind: 'webhook_test',
      message: 'This message was asked for to try the webhook.',
      next: 'agentctl account webhook show',
      now: deps.clock.now(),
    }),
  )
  return webhook
}

export async function removeWebhook({ db }: Pick<Deps, 'db'>, { accountId }: Caller): Promise<void> {
  await db.as({ account: accountId }, (tx) => store.deleteWebhook(tx, accountId))
}

/** Seals what other keys have sealed with the newest one, some at once; returns how many. */
export async function resealWebhooks(tx: Sql, keyring: Keyring, atOnce: number): Promise<number> {
  const rows = await store.lockWebhooksOfOtherKeys(tx, keyring.ids.at(-1) ?? '', atOnce)
  for (const row of rows) {
    const bound = webhookBoundTo(row.accountId)
    await store.resealWebhook(tx, row.accountId, keyring.seal(keyring.open(row, bound), bound))
  }
  return rows.length
}

const noWebhook = (): Problem =>
  new Problem('conflict', 'Your account has no webhook.', {
    fix: 'Set one: agentctl account webhook set URL',
  })

function shown({ url, createdAt, deliveredAt, failingSince, lastError }: store.WebhookRow): NoticeWebhook {
  return {
    url,
    createdAt: createdAt.toISOString(),
    deliveredAt: deliveredAt?.toISOString() ?? null,
    failingSince: failingSince?.toISOString() ?? null,
    lastError,
  }
}

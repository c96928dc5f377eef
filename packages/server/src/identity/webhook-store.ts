import type { Sql } from '../platform/db.ts'
import type { Sealed } from '../platform/keyring.ts'
import type { NoticeRow } from './notice-store.ts'

export interface WebhookRow extends Sealed {
  accountId: string
  url: string
  createdAt: Date
  failures: number
  failingSince: Date | null
  lastError: string | null
  deliveredAt: Date | null
}

const columns = (tx: Sql) => tx`
  account_id as "accountId", url, key_id as "keyId", nonce, ciphertext, created_at as "createdAt", failures,
  failing_since as "failingSince", last_error as "lastError", delivered_at as "deliveredAt"`

export async function putWebhook(
  tx: Sql,
  { accountId, url, sealed, now }: { accountId: string; url: string; sealed: Sealed; now: Date },
): Promise<void> {
  await tx`
    insert into notice_webhooks (account_id, url, key_id, nonce, ciphertext, created_at, next_at)
    values (${accountId}, ${url}, ${sealed.keyId}, ${sealed.nonce}, ${sealed.ciphertext}, ${now}, ${now})
    on conflict (account_id) do update set url = excluded.url, key_id = excluded.key_id, nonce = excluded.nonce,
      ciphertext = excluded.ciphertext, created_at = excluded.created_at, next_at = excluded.next_at,
      failures = 0, failing_since = null, last_error = null, delivered_at = null`
}

export async function findWebhook(tx: Sql, accountId: string): Promise<WebhookRow | undefined> {
  const [row] = await tx<WebhookRow[]>`
    select ${columns(tx)} from notice_webhooks where account_id = ${accountId}`
  return row
}

export async function deleteWebhook(tx: Sql, accountId: string): Promise<void> {
  await tx`delete from notice_webhooks where account_id = ${accountId}`
}

/** Those whose next try is due and who have a message that was not sent. */
export function listDueWebhooks(tx: Sql, now: Date, limit: number): Promise<WebhookRow[]> {
  return tx<WebhookRow[]>`
    select ${columns(tx)} from notice_webhooks w
    where next_at <= ${now} and (
      exists (
        select from notices n where n.account_id = w.account_id and n.created_at >= w.created_at
          and not exists (select from notice_deliveries d where d.account_id = w.account_id and d.notice_id = n.id))
      or exists (
        select from announcements a join accounts on accounts.id = w.account_id
        where is_news(a.policy_day, a.effective_at, accounts.created_at, accounts.policy_seen)
          and a.announced_at >= w.created_at
          and not exists (select from notice_deliveries d where d.account_id = w.account_id and d.notice_id = a.id)))
    order by next_at limit ${limit}`
}

/** Messages since the address was given that were not sent yet, the oldest first. */
export function listUnsent(
  tx: Sql,
  { accountId, createdAt }: WebhookRow,
  limit: number,
): Promise<NoticeRow[]> {
  return tx<NoticeRow[]>`
    select * from (
      select id, kind, message, next, created_at as "createdAt", read_at as "readAt" from notices
      where account_id = ${accountId} and created_at >= ${createdAt}
      union all
      select a.id, a.kind, a.message, a.next, a.announced_at, null from announcements a
      join accounts on accounts.id = ${accountId}
      where is_news(a.policy_day, a.effective_at, accounts.created_at, accounts.policy_seen)
        and a.announced_at >= ${createdAt}
    ) as told
    where not exists (select from notice_deliveries d where d.account_id = ${accountId} and d.notice_id = told.id)
    order by "createdAt", id limit ${limit}`
}

export async function noteDelivered(tx: Sql, accountId: string, noticeId: string, now: Date): Promise<void> {
  await tx`
    insert into notice_deliveries (account_id, notice_id, delivered_at)
    select account_id, ${noticeId}, ${now} from notice_webhooks where account_id = ${accountId}
    on conflict do nothing`
  await tx`
    update notice_webhooks set failures = 0, failing_since = null, last_error = null, delivered_at = ${now}
    where account_id = ${accountId}`
}

export async function noteFailure(
  tx: Sql,
  accountId: string,
  { why, now, nextAt }: { why: string; now: Date; nextAt: Date },
): Promise<void> {
  await tx`
    update notice_webhooks set failures = failures + 1, failing_since = coalesce(failing_since, ${now}),
      last_error = ${why}, next_at = ${nextAt}
    where account_id = ${accountId}`
}

export function lockWebhooksOfOtherKeys(tx: Sql, keyId: string, limit: number): Promise<WebhookRow[]> {
  return tx<WebhookRow[]>`
    select ${columns(tx)} from notice_webhooks where key_id <> ${keyId} limit ${limit} for update skip locked`
}

export async function resealWebhook(tx: Sql, accountId: string, sealed: Sealed): Promise<void> {
  await tx`
    update notice_webhooks set key_id = ${sealed.keyId}, nonce = ${sealed.nonce}, ciphertext = ${sealed.ciphertext}
    where account_id = ${accountId}`
}

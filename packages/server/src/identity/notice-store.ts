import type { Sql } from '../platform/db.ts'

export interface NoticeRow {
  id: string
  kind: string
  message: string
  next: string | null
  createdAt: Date
  readAt: Date | null
}

export async function insertNotice(
  tx: Sql,
  notice: { id: string; accountId: string; kind: string; message: string; next: string | null; now: Date },
): Promise<void> {
  await tx`
    insert into notices (id, account_id, kind, message, next, created_at)
    values (${notice.id}, ${notice.accountId}, ${notice.kind}, ${notice.message}, ${notice.next}, ${notice.now})`
}

export function listNoticeRows(tx: Sql, accountId: string, onlyUnread: boolean): Promise<NoticeRow[]> {
  return tx<NoticeRow[]>`
    select id, kind, message, next, created_at as "createdAt", read_at as "readAt" from notices
    where account_id = ${accountId} and (not ${onlyUnread} or read_at is null)
    order by created_at desc, id limit 200`
}

/** How many were not read before. */
export async function markRead(
  tx: Sql,
  accountId: string,
  ids: readonly string[],
  now: Date,
): Promise<number> {
  const rows = await tx`
    update notices set read_at = ${now}
    where account_id = ${accountId} and id = any(${[...ids]}::text[]) and read_at is null`
  return rows.count
}

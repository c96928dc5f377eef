import { createHash } from 'node:crypto'
import type { Notice } from '@agentctl/contract/identity.ts'
import type { Deps } from '../deps.ts'
import type { Sql } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import {
  type AnnouncementRow,
  deleteWithdrawn,
  insertAnnouncement,
  insertNotice,
  listNoticeRows,
  markRead,
} from './notice-store.ts'

/**
 * Leaves a service message for an account, in the caller's transaction. The service has no address of anybody: it is
 * shown under the next command of whoever logs in.
 */
export function notify(
  tx: Sql,
  notice: {
    accountId: string
    kind: string
    message: string
    next: string | null
    now: Date
    /** What it is about, where the same may be decided again and is told once. */
    once?: string
  },
): Promise<void> {
  const { once, ...left } = notice
  return insertNotice(tx, { ...left, id: once === undefined ? newId('ntc') : idFor(`${left.kind} ${once}`) })
}

const idFor = (about: string): string =>
  `ntc_${createHash('sha256').update(about).digest('hex').slice(0, 20)}`

/**
 * Leaves one service message for every account to which it is news, also for those that are still to be made. Of a kind
 * there is one at a time; undefined takes back what has not taken effect.
 */
export async function announce(
  tx: Sql,
  kind: string,
  announcement: Omit<AnnouncementRow, 'kind'> | undefined,
  now: Date,
): Promise<void> {
  await deleteWithdrawn(tx, { kind, exceptId: announcement?.id, now })
  if (announcement) await insertAnnouncement(tx, { ...announcement, kind })
}

export async function listNotices(
  { db }: Pick<Deps, 'db'>,
  accountId: string,
  onlyUnread: boolean,
): Promise<Notice[]> {
  const rows = await db.as({ account: accountId }, (tx) => listNoticeRows(tx, accountId, onlyUnread))
  return rows.map((row) => ({
    ...row,
    createdAt: row.createdAt.toISOString(),
    readAt: row.readAt?.toISOString() ?? null,
  }))
}

export function readNotices(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  accountId: string,
  ids: readonly string[],
): Promise<number> {
  return db.as({ account: accountId }, (tx) => markRead(tx, accountId, ids, clock.now()))
}

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
    values (${notice.id}, ${notice.accountId}, ${notice.kind}, ${notice.message}, ${notice.next}, ${notice.now})
    on conflict (id) do nothing`
}

/** Messages to the account, and those to everybody which are news to it: newest first. */
export function listNoticeRows(tx: Sql, accountId: string, onlyUnread: boolean): Promise<NoticeRow[]> {
  return tx<NoticeRow[]>`
    select * from (
      select id, kind, message, next, created_at as "createdAt", read_at as "readAt" from notices
      where account_id = ${accountId}
      union all
      select a.id, a.kind, a.message, a.next, a.announced_at, r.read_at
      from announcements a
      join accounts on accounts.id = ${accountId}
      left join announcement_reads r on r.announcement_id = a.id and r.account_id = ${accountId}
      where r.read_at is not null or is_news(a.policy_day, a.effective_at, accounts.created_at, accounts.policy_seen)
    ) as told
    where not ${onlyUnread} or "readAt" is null
    order by "createdAt" desc, id limit 200`
}

/** How many were not read before. Policy 10b: who is told of a text has seen it. */
export async function markRead(
  tx: Sql,
  accountId: string,
  ids: readonly string[],
  now: Date,
): Promise<number> {
  const wanted = tx`any(${[...ids]}::text[])`
  const [row] = await tx<{ count: number }[]>`
    with own as (
      update notices set read_at = ${now}
      where account_id = ${accountId} and id = ${wanted} and read_at is null
      returning 1
    ), of_everybody as (
      insert into announcement_reads (account_id, announcement_id, read_at)
      select accounts.id, a.id, ${now}
      from announcements a join accounts on accounts.id = ${accountId}
      where a.id = ${wanted} and is_news(a.policy_day, a.effective_at, accounts.created_at, accounts.policy_seen)
      on conflict do nothing
      returning announcement_id
    ), seen as (
      update accounts set policy_seen = greatest(policy_seen, a.policy_day)
      from announcements a join of_everybody on of_everybody.announcement_id = a.id
      where accounts.id = ${accountId} and a.policy_day is not null
    )
    select ((select count(*) from own) + (select count(*) from of_everybody))::int as count`
  return row?.count ?? 0
}

export interface AnnouncementRow {
  id: string
  kind: string
  message: string
  next: string | null
  announcedAt: Date
  /** For accounts that were made before, */
  effectiveAt: Date
  /** or, about a text of the policy, for those that have not seen it. */
  policyDay?: string
}

/** Told again, it is told in the words of now, and who has read it has read it. */
export async function insertAnnouncement(tx: Sql, one: AnnouncementRow): Promise<void> {
  await tx`
    insert into announcements (id, kind, message, next, announced_at, effective_at, policy_day)
    values (${one.id}, ${one.kind}, ${one.message}, ${one.next}, ${one.announcedAt}, ${one.effectiveAt},
      ${one.policyDay ?? null}::text::date)
    on conflict (id) do update set message = excluded.message, next = excluded.next
    where announcements.message <> excluded.message`
}

/** Of a kind, what was to come and will not. */
export async function deleteWithdrawn(
  tx: Sql,
  { kind, exceptId, now }: { kind: string; exceptId: string | undefined; now: Date },
): Promise<void> {
  await tx`
    delete from announcements
    where kind = ${kind} and effective_at > ${now} and id is distinct from ${exceptId ?? null}`
}

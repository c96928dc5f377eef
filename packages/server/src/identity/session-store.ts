import type { Sql } from '../platform/db.ts'

export interface SessionRow {
  id: string
  accountId: string
  loginMethod: 'phone' | 'wallet'
  device: string | null
  createdAt: Date
  lastUsedAt: Date
  expiresAt: Date
  /** When its person last proved anew who they are; null: at its beginning. */
  provedAt: Date | null
}

const sessionColumns = (tx: Sql) => tx`
  id, account_id as "accountId", login_method as "loginMethod", device, created_at as "createdAt",
  last_used_at as "lastUsedAt", expires_at as "expiresAt", proved_at as "provedAt"`

/** What every request with a session asks for, and no more. */
export const sessionByHash = (sql: Sql, hash: Buffer) =>
  sql<Omit<SessionRow, 'loginMethod' | 'device'>[]>`
    select id, account_id as "accountId", created_at as "createdAt", last_used_at as "lastUsedAt",
      expires_at as "expiresAt", proved_at as "provedAt"
    from sessions where token_hash = ${hash}`

export async function touchSession(tx: Sql, hash: Buffer, usedAt: Date): Promise<void> {
  await tx`update sessions set last_used_at = greatest(last_used_at, ${usedAt}) where token_hash = ${hash}`
}

export async function insertSession(
  tx: Sql,
  session: Omit<SessionRow, 'provedAt'> & { tokenHash: Buffer },
): Promise<void> {
  await tx`
    insert into sessions (id, token_hash, account_id, login_method, device, created_at, last_used_at, expires_at)
    values (${session.id}, ${session.tokenHash}, ${session.accountId}, ${session.loginMethod}, ${session.device},
            ${session.createdAt}, ${session.lastUsedAt}, ${session.expiresAt})`
}

export function listLiveSessions(
  tx: Sql,
  accountId: string,
  live: { now: Date; idleSince: Date },
): Promise<SessionRow[]> {
  return tx<SessionRow[]>`
    select ${sessionColumns(tx)} from sessions
    where account_id = ${accountId} and expires_at > ${live.now} and last_used_at > ${live.idleSince}
    order by created_at desc, id
    limit 100`
}

export async function deleteSession(tx: Sql, accountId: string, id: string): Promise<boolean> {
  const rows = await tx`delete from sessions where account_id = ${accountId} and id = ${id} returning id`
  return rows.length > 0
}

export async function setSessionProved(tx: Sql, accountId: string, id: string, now: Date): Promise<void> {
  await tx`update sessions set proved_at = ${now} where account_id = ${accountId} and id = ${id}`
}

export async function deleteOtherSessions(tx: Sql, accountId: string, keptId: string): Promise<void> {
  await tx`delete from sessions where account_id = ${accountId} and id <> ${keptId}`
}

/** Logins beyond this many end the ones that were made first. */
export async function trimSessions(tx: Sql, accountId: string, keep: number): Promise<void> {
  await tx`
    delete from sessions where account_id = ${accountId} and id not in (
      select id from sessions where account_id = ${accountId} order by created_at desc, id limit ${keep})`
}

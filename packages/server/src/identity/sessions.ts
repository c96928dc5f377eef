import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import type { Caller } from '../platform/http.ts'
import { newId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import type { Secret } from '../platform/secret.ts'
import { newToken, tokenHash } from '../platform/tokens.ts'
import { SESSION_LIFETIME } from './access.ts'
import {
  deleteSession,
  insertSession,
  listLiveSessions,
  type SessionRow,
  trimSessions,
} from './session-store.ts'

const SESSIONS_MAX = 50

/** Begins a session in the caller's transaction. The token exists here once; what is kept is its hash. */
export async function beginSession(
  tx: Sql,
  session: { accountId: string; method: 'phone' | 'wallet'; device: string | undefined; now: Date },
): Promise<{ token: Secret; expiresAt: Date }> {
  const token = newToken('s')
  const expiresAt = secondsAfter(session.now, SESSION_LIFETIME.absoluteSeconds)
  await insertSession(tx, {
    id: newId('ses'),
    tokenHash: tokenHash(token.reveal()),
    accountId: session.accountId,
    loginMethod: session.method,
    device: session.device === undefined ? null : printable(session.device),
    createdAt: session.now,
    lastUsedAt: session.now,
    expiresAt,
  })
  await trimSessions(tx, session.accountId, SESSIONS_MAX)
  return { token, expiresAt }
}

/** The device's own words are printed on terminals: they must not be able to steer one. */
function printable(device: string): string {
  return device.replaceAll(/\p{C}/gu, '')
}

export async function listSessions(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  caller: Caller,
): Promise<(SessionRow & { current: boolean })[]> {
  const now = clock.now()
  const live = { now, idleSince: secondsAfter(now, -SESSION_LIFETIME.idleSeconds) }
  const rows = await db.as({ account: caller.accountId }, (tx) =>
    listLiveSessions(tx, caller.accountId, live),
  )
  return rows.map((row) => ({ ...row, current: row.id === caller.credentialId }))
}

export async function revokeSession({ db }: Pick<Deps, 'db'>, caller: Caller, id: string): Promise<void> {
  const found = await db.as({ account: caller.accountId }, (tx) => deleteSession(tx, caller.accountId, id))
  if (!found)
    throw new Problem('not_found', 'There is no such session.', {
      fix: 'See: agentctl account sessions list',
    })
}

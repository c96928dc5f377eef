import { type Role, roles } from '@agentctl/contract/endpoint.ts'
import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Db, Sql } from '../platform/db.ts'
import type { Caller, Gates } from '../platform/http.ts'
import { Problem } from '../platform/problem.ts'
import { DAY_SECONDS, retention } from '../platform/retention.ts'
import { tokenHash, tokenKind } from '../platform/tokens.ts'
import { keyByHash, touchKey } from './key-store.ts'
import { namespaceOf } from './namespace-store.ts'
import { sessionByHash, touchSession } from './session-store.ts'

/** A session ends 90 days after its login, and earlier when nobody has used it for 30 days. */
export const SESSION_LIFETIME = {
  idleSeconds: retention.idleSessions.days * DAY_SECONDS,
  absoluteSeconds: 90 * DAY_SECONDS,
} as const

/** What concerns an account as a whole, and how it is reached, needs a proof of who is there not older than this. */
const RECENT_LOGIN_SECONDS = 600

/** A namespace, and what the caller is in it. */
export interface Namespace {
  id: string
  name: string
  role: Role
  /** The account that pays for it. */
  ownerAccountId: string
  createdAt: Date
}

/** Finds out who a bearer token stands for; undefined for one that is unknown, expired, revoked or no token at all. */
export function callerGate({ db, clock }: Pick<Deps, 'db' | 'clock'>): Gates['caller'] {
  return async (bearer) => {
    const kind = tokenKind(bearer)
    if (kind !== 's' && kind !== 'k') return undefined
    const hash = tokenHash(bearer)
    return kind === 's' ? sessionCaller(db, hash, clock.now()) : keyCaller(db, hash, clock.now())
  }
}

async function sessionCaller(db: Db, hash: Buffer, now: Date): Promise<Caller | undefined> {
  const [session] = await db.read(presenter(hash), (sql) => sessionByHash(sql, hash))
  const idleSince = secondsAfter(now, -SESSION_LIFETIME.idleSeconds)
  if (!session || session.expiresAt <= now || session.lastUsedAt <= idleSince) return undefined
  if (session.lastUsedAt < hourOf(now)) {
    await db.as(presenter(hash), (tx) => touchSession(tx, hash, hourOf(now)))
  }
  return {
    accountId: session.accountId,
    via: 'session',
    credentialId: session.id,
    scopes: 'all',
    namespaceId: null,
    authenticatedAt: session.provedAt ?? session.createdAt,
  }
}

async function keyCaller(db: Db, hash: Buffer, now: Date): Promise<Caller | undefined> {
  const [key] = await db.read(presenter(hash), (sql) => keyByHash(sql, hash))
  if (!key || key.revokedAt || (key.expiresAt && key.expiresAt <= now)) return undefined
  if (!key.lastUsedAt || key.lastUsedAt < hourOf(now)) {
    await db.as(presenter(hash), (tx) => touchKey(tx, hash, hourOf(now)))
  }
  return {
    accountId: key.accountId,
    via: 'key',
    credentialId: key.id,
    scopes: key.scopes,
    namespaceId: key.namespaceId,
    authenticatedAt: null,
  }
}

const presenter = (hash: Buffer) => ({ account: null, presented: hash.toString('hex') })

/** Times of use are kept by the hour: enough to find an unused key, too little to follow somebody. */
function hourOf(time: Date): Date {
  return new Date(Math.floor(time.getTime() / 3_600_000) * 3_600_000)
}

/**
 * The namespace of this name or id, or the caller's own where none is named, if the caller has at least this role in
 * it. To a stranger, and to a key that is bound elsewhere, it is as if it did not exist.
 */
export async function enterNamespace(
  tx: Sql,
  caller: Pick<Caller, 'accountId' | 'namespaceId'>,
  name: string | undefined,
  role: Role,
): Promise<Namespace> {
  const [namespace] = await namespaceOf(tx, caller.accountId, name ?? caller.namespaceId ?? undefined)
  return admitted(namespace, caller, role)
}

/** The same for what only reads, without a transaction. */
export async function seeNamespace(
  db: Db,
  caller: Pick<Caller, 'accountId' | 'namespaceId'>,
  name: string | undefined,
  role: Role,
): Promise<Namespace> {
  const [namespace] = await db.read({ account: caller.accountId }, (sql) =>
    namespaceOf(sql, caller.accountId, name ?? caller.namespaceId ?? undefined),
  )
  return admitted(namespace, caller, role)
}

/** The namespace that was found, if the caller may enter it with this role. */
export function admitted<N extends Pick<Namespace, 'id' | 'role'>>(
  namespace: N | undefined,
  caller: Pick<Caller, 'namespaceId'>,
  role: Role,
): N {
  if (!namespace || (caller.namespaceId !== null && caller.namespaceId !== namespace.id)) {
    throw new Problem('not_found', 'There is no such namespace, or you are not a member of it.', {
      fix: 'See yours: agentctl namespaces list',
    })
  }
  if (!roleReaches(namespace.role, role)) {
    throw new Problem('forbidden', `This needs the role ${role}; yours here is ${namespace.role}.`, {
      fix: 'Ask an owner or admin of the namespace: agentctl members list',
    })
  }
  return namespace
}

/** Whether a role includes another: viewer < developer < admin < owner. */
export function roleReaches(role: Role, wanted: Role): boolean {
  return roles.indexOf(role) >= roles.indexOf(wanted)
}

/** Step-up: whoever found an open session must not be able to make it last, nor to lock its owner out. */
export function requireRecentLogin(caller: Caller, now: Date): void {
  if (caller.via !== 'session') return
  if (!caller.authenticatedAt || caller.authenticatedAt < secondsAfter(now, -RECENT_LOGIN_SECONDS)) {
    throw new Problem('reauthentication_required')
  }
}

import type { Scope } from '@agentctl/contract/endpoint.ts'
import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import type { Caller } from '../platform/http.ts'
import { newId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import type { Secret } from '../platform/secret.ts'
import { newToken, tokenHash } from '../platform/tokens.ts'
import { enterNamespace, requireRecentLogin } from './access.ts'
import { lockAccount } from './account-store.ts'
import {
  countLiveKeys,
  findKeyForUpdate,
  insertKey,
  type KeyRow,
  keysOf,
  retireKey,
  revokeKeyRow,
} from './key-store.ts'

type KeyDeps = Pick<Deps, 'db' | 'clock'>

const DAY_SECONDS = 86_400
const DEFAULT_LIFETIME_DAYS = 90
const DEFAULT_OVERLAP_SECONDS = DAY_SECONDS
const LIVE_KEYS_MAX = 100
/** The kind and eight random characters: enough to recognise a key by, of no use to whoever guesses. */
const PREFIX_LENGTH = 'actl_k_'.length + 8

export interface NewKey {
  row: KeyRow
  key: Secret
}

export async function listKeys({ db }: KeyDeps, caller: Caller): Promise<KeyRow[]> {
  return db.read({ account: caller.accountId }, (sql) => keysOf(sql, caller.accountId, caller.namespaceId))
}

/** Only somebody who has just proved who they are makes a key: one that was stolen cannot make itself last. */
export async function createKey(
  { db, clock }: KeyDeps,
  caller: Caller,
  wanted: {
    name: string
    scopes: readonly Scope[]
    namespace?: string | undefined
    expiresInDays?: number | null | undefined
  },
): Promise<NewKey> {
  const now = clock.now()
  requireRecentLogin(caller, now)
  const { expiresInDays: days = DEFAULT_LIFETIME_DAYS } = wanted
  return db.as({ account: caller.accountId }, async (tx) => {
    const bound = wanted.namespace
    const namespace = bound === undefined ? undefined : await enterNamespace(tx, caller, bound, 'viewer')
    return storeKey(tx, caller.accountId, now, {
      name: wanted.name,
      scopes: [...new Set(wanted.scopes)],
      namespaceId: namespace?.id ?? null,
      namespace: namespace?.name ?? null,
      expiresAt: days === null ? null : secondsAfter(now, days * DAY_SECONDS),
    })
  })
}

/**
 * Makes a successor with the same rights and the same length of life. The old key works on for the overlap, so that
 * whoever uses it has time to change over.
 */
export async function rotateKey(
  { db, clock }: KeyDeps,
  caller: Caller,
  id: string,
  overlapSeconds: number = DEFAULT_OVERLAP_SECONDS,
): Promise<NewKey> {
  const now = clock.now()
  requireRecentLogin(caller, now)
  return db.as({ account: caller.accountId }, async (tx) => {
    const old = await getKey(tx, caller, id)
    if (old.revokedAt || (old.expiresAt && old.expiresAt <= now)) {
      throw new Problem('conflict', 'This key is expired or revoked.', {
        fix: 'Make a new one: agentctl keys create',
      })
    }
    if (old.rotatedAt) {
      throw new Problem('conflict', 'This key has a successor already.', {
        fix: 'Rotate the successor: agentctl keys list',
      })
    }
    const lifetimeMs = old.expiresAt ? old.expiresAt.getTime() - old.createdAt.getTime() : null
    await retireKey(tx, id, { rotatedAt: now, expiresAt: secondsAfter(now, overlapSeconds) })
    return storeKey(tx, caller.accountId, now, {
      name: old.name,
      scopes: old.scopes,
      namespaceId: old.namespaceId,
      namespace: old.namespace,
      expiresAt: lifetimeMs === null ? null : new Date(now.getTime() + lifetimeMs),
    })
  })
}

/** Ends a key at once. Repeating it changes nothing. */
export async function revokeKey({ db, clock }: KeyDeps, caller: Caller, id: string): Promise<void> {
  await db.as({ account: caller.accountId }, async (tx) => {
    const key = await getKey(tx, caller, id)
    await revokeKeyRow(tx, key.id, clock.now())
  })
}

/** A key of the account, if the caller could have made it: to a key, wider ones are not its business. */
async function getKey(tx: Sql, caller: Caller, id: string): Promise<KeyRow> {
  const key = await findKeyForUpdate(tx, caller.accountId, id)
  if (!key || (caller.namespaceId !== null && key.namespaceId !== caller.namespaceId)) {
    throw new Problem('not_found', 'There is no such key.', { fix: 'See: agentctl keys list' })
  }
  const wider = key.scopes.find((scope) => caller.scopes !== 'all' && !caller.scopes.includes(scope))
  if (wider) throw new Problem('forbidden', `That key has the scope ${wider}, which this one lacks.`)
  return key
}

async function storeKey(
  tx: Sql,
  accountId: string,
  now: Date,
  wanted: Pick<KeyRow, 'name' | 'scopes' | 'namespaceId' | 'namespace' | 'expiresAt'>,
): Promise<NewKey> {
  await lockAccount(tx, accountId)
  if ((await countLiveKeys(tx, accountId, now)) >= LIVE_KEYS_MAX) {
    throw new Problem('conflict', `An account has at most ${LIVE_KEYS_MAX} live keys.`, {
      fix: 'Revoke one that is not used: agentctl keys list',
    })
  }
  const key = newToken('k')
  const row: KeyRow = {
    ...wanted,
    id: newId('key'),
    accountId,
    prefix: key.reveal().slice(0, PREFIX_LENGTH),
    createdAt: now,
    lastUsedAt: null,
    rotatedAt: null,
    revokedAt: null,
  }
  await insertKey(tx, { ...row, keyHash: tokenHash(key.reveal()) })
  return { row, key }
}

import { getAddress, isAddress } from 'viem'
import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import type { Caller } from '../platform/http.ts'
import { newId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import type { Secret } from '../platform/secret.ts'
import { newToken, tokenHash, tokenKind } from '../platform/tokens.ts'
import { requireRecentLogin } from './access.ts'
import { findAccount, findAccountMadeAt, insertAccount, lockAccount } from './account-store.ts'
import {
  deletePhone,
  deleteWallet,
  findAccountByProof,
  insertLoginMethod,
  listWallets,
  lockProof,
  moveToNewestPepper,
} from './login-method-store.ts'
import { insertMember } from './member-store.ts'
import { readableName } from './namespace-names.ts'
import { insertNamespace, namespacesOf } from './namespace-store.ts'
import type { Proof } from './proof.ts'
import { deleteOtherSessions, setSessionProved } from './session-store.ts'
import { beginSession } from './sessions.ts'
import { insertSignup, takeSignup } from './signup-store.ts'
import { refuseBanned, refuseBannedProof } from './standing.ts'

/** Policy 9: the declaration of being 18 or older is a part of the one sentence that a new account agrees to. */
export const TERMS_TEXT = 'I agree to the terms and the privacy policy, and I am 18 years old or older.'

const SIGNUP_SECONDS = 15 * 60
const WALLETS_MAX = 20
const NAME_ATTEMPTS = 20

export type LogInOutcome =
  | { status: 'logged_in'; accountId: string; token: Secret; expiresAt: Date; created: boolean }
  | { status: 'terms_required'; signupToken: Secret }

type LoggedIn = Extract<LogInOutcome, { status: 'logged_in' }>

/** Whose phone or wallet it is, whoever asks. */
export function findAccountOf(tx: Sql, proof: Proof): Promise<string | undefined> {
  return findAccountByProof(tx, proof)
}

/** When an account was made, whoever asks. */
export function accountMadeAt(tx: Sql, accountId: string): Promise<Date | undefined> {
  return findAccountMadeAt(tx, accountId)
}

/** What a sign-up needs to know beside the rest: the day of the newest text of the policy that is shown at a moment. */
export interface PolicyDays {
  policyDayAt(now: Date): string
}

/** What follows a proof: a session of its account, an account where the terms are agreed to, or the question for that. */
export async function logIn(
  deps: Pick<Deps, 'db' | 'clock' | 'pepper'> & PolicyDays,
  proof: Proof,
  { acceptTerms = false, device }: { acceptTerms?: boolean | undefined; device?: string | undefined },
): Promise<LogInOutcome> {
  const { db, clock } = deps
  requireNewestPepper(deps, proof)
  const accountId = await db.as({ account: null }, (tx) => findAccountByProof(tx, proof))
  if (accountId !== undefined) return logInTo(deps, accountId, proof, device)
  if (acceptTerms) return signUp(deps, proof, device)
  const signupToken = newToken('u')
  const hash = tokenHash(signupToken.reveal())
  const now = clock.now()
  await db.as({ account: null, presented: hash.toString('hex') }, (tx) =>
    insertSignup(tx, { tokenHash: hash, proof, now, expiresAt: secondsAfter(now, SIGNUP_SECONDS) }),
  )
  return { status: 'terms_required', signupToken }
}

/** The second half of a login that had to ask for the terms. The token holds once and for a quarter of an hour. */
export async function acceptTerms(
  deps: Pick<Deps, 'db' | 'clock' | 'pepper'> & PolicyDays,
  signupToken: string,
  device: string | undefined,
): Promise<LoggedIn> {
  if (tokenKind(signupToken) !== 'u') throw new Problem('login_failed')
  const hash = tokenHash(signupToken)
  const proof = await deps.db.as({ account: null, presented: hash.toString('hex') }, (tx) =>
    takeSignup(tx, hash, deps.clock.now()),
  )
  if (!proof) throw new Problem('login_failed')
  requireNewestPepper(deps, proof)
  return signUp(deps, proof, device)
}

/**
 * A proof that began before the newest pepper came cannot find a phone that has moved to it since, and would make a
 * second account: whoever is caught in that quarter of an hour starts again.
 */
function requireNewestPepper({ pepper }: Pick<Deps, 'pepper'>, proof: Proof): void {
  if (proof.method === 'phone' && proof.phone.pepperVersion !== pepper.version)
    throw new Problem('login_failed')
}

async function logInTo(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  accountId: string,
  proof: Proof,
  device: string | undefined,
): Promise<LoggedIn> {
  const now = clock.now()
  const session = await db.as({ account: accountId }, async (tx) => {
    await refuseBanned(tx, accountId)
    if (proof.method === 'phone') await moveToNewestPepper(tx, accountId, proof.phone)
    return beginSession(tx, { accountId, method: proof.method, device, now })
  })
  return { status: 'logged_in', accountId, ...session, created: false }
}

/** Account, login method, first namespace and session, all or nothing. Of two that race, the later one logs in. */
async function signUp(
  deps: Pick<Deps, 'db' | 'clock' | 'pepper'> & PolicyDays,
  proof: Proof,
  device: string | undefined,
): Promise<LoggedIn> {
  const accountId = newId('acc')
  const now = deps.clock.now()
  const outcome = await deps.db.as({ account: accountId }, async (tx) => {
    await lockProof(tx, proof)
    const existing = await findAccountByProof(tx, proof)
    if (existing !== undefined) return { existing }
    await refuseBannedProof(tx, deps, proof)
    await insertAccount(tx, accountId, { now, policyDay: deps.policyDayAt(now) })
    await insertLoginMethod(tx, accountId, proof, now)
    await insertFirstNamespace(tx, accountId, now)
    return { session: await beginSession(tx, { accountId, method: proof.method, device, now }) }
  })
  if (outcome.session) return { status: 'logged_in', accountId, ...outcome.session, created: true }
  return logInTo(deps, outcome.existing, proof, device)
}

async function insertFirstNamespace(tx: Sql, accountId: string, now: Date): Promise<void> {
  const id = newId('ns')
  for (let attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
    if (await insertNamespace(tx, { id, name: readableName(), ownerAccountId: accountId, createdAt: now })) {
      await insertMember(tx, { namespaceId: id, accountId, role: 'owner', now })
      return
    }
  }
  throw new Error('No free name was found for a first namespace.')
}

/**
 * Policy 7b: adds a proven phone or wallet to the account. A phone takes the place of the one before, a wallet that of
 * the one that is named. Every other session ends: whoever has what was replaced, or a session that they should not
 * have, is out. Repeated, it is the same.
 */
export async function linkLoginMethod(
  deps: Pick<Deps, 'db' | 'clock' | 'pepper'>,
  caller: Caller,
  proof: Proof,
  /** Address of the wallet that a wallet takes the place of. */
  replaces?: string,
): Promise<void> {
  const { db, clock } = deps
  const { accountId } = caller
  requireNewestPepper(deps, proof)
  const now = clock.now()
  requireRecentLogin(caller, now)
  await db.as({ account: accountId }, async (tx) => {
    await lockAccount(tx, accountId)
    await lockProof(tx, proof)
    const holder = await findAccountByProof(tx, proof)
    if (holder !== undefined && holder !== accountId) throw new Problem('login_method_taken')
    if (holder === undefined) await refuseBannedProof(tx, deps, proof)
    if (proof.method === 'wallet' && replaces !== undefined) {
      const isGone = await deleteWallet(tx, accountId, replaces.toLowerCase(), proof.address)
      // Where the new one is linked already, an earlier try has done all of it.
      if (!isGone && holder === undefined) throw noSuchWallet()
    }
    if (holder === accountId) return
    if (proof.method === 'wallet' && (await listWallets(tx, accountId)).length >= WALLETS_MAX) {
      throw new Problem('conflict', `An account has at most ${WALLETS_MAX} wallets.`, {
        fix: 'Use one of those that are linked: agentctl account show',
      })
    }
    if (proof.method === 'phone') await deletePhone(tx, accountId)
    await insertLoginMethod(tx, accountId, proof, now)
    await deleteOtherSessions(tx, accountId, caller.credentialId)
  })
}

function noSuchWallet(): Problem {
  return new Problem('not_found', 'The wallet that is to be replaced is not linked to your account.', {
    fix: 'See which are: agentctl account show',
  })
}

/** Notes that whoever has this session is still who began it: by a phone or wallet of the account, and no other. */
export async function proveAgain(
  deps: Pick<Deps, 'db' | 'clock' | 'pepper'>,
  caller: Caller,
  proof: Proof,
): Promise<void> {
  const { accountId, credentialId } = caller
  requireNewestPepper(deps, proof)
  await deps.db.as({ account: accountId }, async (tx) => {
    if ((await findAccountByProof(tx, proof)) !== accountId) throw new Problem('login_failed')
    await setSessionProved(tx, accountId, credentialId, deps.clock.now())
  })
}

export interface ShownAccount {
  id: string
  createdAt: Date
  termsAcceptedAt: Date
  phoneLinkedAt: Date | null
  wallets: { address: string; linkedAt: Date }[]
}

export async function showAccount({ db }: Pick<Deps, 'db'>, caller: Caller): Promise<ShownAccount> {
  return db.as({ account: caller.accountId }, async (tx) => {
    const account = await findAccount(tx, caller.accountId)
    if (!account) throw new Problem('unauthenticated')
    const wallets = await listWallets(tx, caller.accountId)
    return {
      ...account,
      wallets: wallets.map(({ address, linkedAt }) => ({ address: checksummed(address), linkedAt })),
    }
  })
}

export async function whoami({ db }: Pick<Deps, 'db'>, caller: Caller) {
  return db.as({ account: caller.accountId }, async (tx) => {
    const account = await findAccount(tx, caller.accountId)
    if (!account) throw new Problem('unauthenticated')
    const namespaces = await namespacesOf(tx, caller.accountId, caller.namespaceId)
    const wallets = await listWallets(tx, caller.accountId)
    return {
      account: { id: account.id },
      namespaces: namespaces.map(({ name, role }) => ({ name, role })),
      loginMethods: [
        ...(account.phoneLinkedAt ? (['phone'] as const) : []),
        ...(wallets.length > 0 ? (['wallet'] as const) : []),
      ],
      via: caller.via,
    }
  })
}

function checksummed(address: string): string {
  return isAddress(address, { strict: false }) ? getAddress(address) : address
}

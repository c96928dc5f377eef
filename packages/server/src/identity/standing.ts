import type { StandingState } from '@agentctl/contract/operators.ts'
import type { Deps } from '../deps.ts'
import type { Sql } from '../platform/db.ts'
import { Problem } from '../platform/problem.ts'
import { listWallets } from './login-method-store.ts'
import { formsOf, type Proof } from './proof.ts'
import * as store from './standing-store.ts'

export type Standing = store.StandingRow

/** What operators have decided about an account; undefined for nothing. */
export function standingOf(tx: Sql, accountId: string): Promise<Standing | undefined> {
  return store.findStanding(tx, accountId)
}

/** Refuses to let anything run for an account that is held. */
export async function requireGoodStanding(tx: Sql, accountId: string): Promise<void> {
  const standing = await store.findStanding(tx, accountId)
  if (!standing || standing.state === 'good') return
  throw new Problem('account_suspended', `The account that pays for this is suspended: ${standing.reason}`)
}

/** Whoever is banned does not come in; whoever is suspended does, to export, to delete and to read why. */
export async function refuseBanned(tx: Sql, accountId: string): Promise<void> {
  const standing = await store.findStanding(tx, accountId)
  if (standing?.state === 'banned') {
    throw new Problem('account_banned', `This account is banned: ${standing.reason}`)
  }
}

/** A phone or wallet of a banned account begins no other one and is linked to none. */
export async function refuseBannedProof(
  tx: Sql,
  { pepper }: Pick<Deps, 'pepper'>,
  proof: Proof,
): Promise<void> {
  const hashes = proof.method === 'phone' ? formsOf(proof.phone) : walletHashes({ pepper }, proof.address)
  if (!(await store.isBanned(tx, hashes))) return
  throw new Problem('account_banned', `This ${proof.method} is of an account that was banned.`)
}

/** What is kept of a banned wallet, under every pepper: its address alone would be found by hashing all there are. */
function walletHashes({ pepper }: Pick<Deps, 'pepper'>, address: string): Buffer[] {
  return pepper.versions.map((version) => pepper.hmac(`wallet:${address.toLowerCase()}`, version))
}

/** Accounts that may not run anything. */
export function listHeldAccounts(tx: Sql): Promise<{ accountId: string; state: 'suspended' | 'banned' }[]> {
  return store.listHeld(tx)
}

/** Accounts that may spend only so much in a month, whatever they allow themselves. */
export function listMonthlyCaps(tx: Sql): Promise<{ accountId: string; monthlyMaxMicros: bigint }[]> {
  return store.listMonthlyCapped(tx)
}

/**
 * Puts an account into a standing; false when it has it already. A ban ends every session and key at once, and keeps
 * hashes of how its people log in; taking it back takes them away.
 */
export async function decideStanding(
  { pepper }: Pick<Deps, 'pepper'>,
  tx: Sql,
  { account, state, reason, now }: { account: string; state: StandingState; reason: string; now: Date },
): Promise<boolean> {
  if (!(await store.setState(tx, account, { state, reason, now }))) return false
  // Phones as they are stored, whatever pepper that is under; wallets under all of them.
  const wallets = await listWallets(tx, account)
  const hashes = [
    ...(await store.listPhoneHmacs(tx, account)),
    ...wallets.flatMap(({ address }) => walletHashes({ pepper }, address)),
  ]
  if (state === 'banned') {
    await store.endAccess(tx, account, now)
    await store.insertBans(tx, hashes, now)
  } else {
    await store.deleteBans(tx, hashes)
  }
  return true
}

/** Bounds what an account may have; null takes a bound away. */
export function decideCaps(
  tx: Sql,
  account: string,
  caps: Pick<Standing, 'machinesMax' | 'hourlyMaxMicros' | 'monthlyMaxMicros' | 'reason'> & { now: Date },
): Promise<void> {
  return store.setCaps(tx, account, caps)
}

import type { Deps } from '../deps.ts'
import type { Sql } from '../platform/db.ts'
import { Problem } from '../platform/problem.ts'
import { formsOf, type Proof } from './proof.ts'
import { findStanding, isBanned, type StandingRow } from './standing-store.ts'

/** What operators have decided about an account; undefined for nothing. */
export function standingOf(tx: Sql, accountId: string): Promise<StandingRow | undefined> {
  return findStanding(tx, accountId)
}

/** Refuses to let anything run for an account that is held. */
export async function requireGoodStanding(tx: Sql, accountId: string): Promise<void> {
  const standing = await findStanding(tx, accountId)
  if (!standing || standing.state === 'good') return
  throw new Problem('account_suspended', `The account that pays for this is suspended: ${standing.reason}`)
}

/** Whoever is banned does not come in; whoever is suspended does, to export, to delete and to read why. */
export async function refuseBanned(tx: Sql, accountId: string): Promise<void> {
  const standing = await findStanding(tx, accountId)
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
  if (!(await isBanned(tx, hashes))) return
  throw new Problem('account_banned', `This ${proof.method} is of an account that was banned.`)
}

/** What is kept of a banned wallet, under every pepper: its address alone would be found by hashing all there are. */
export function walletHashes({ pepper }: Pick<Deps, 'pepper'>, address: string): Buffer[] {
  return pepper.versions.map((version) => pepper.hmac(`wallet:${address.toLowerCase()}`, version))
}

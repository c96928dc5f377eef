import type { Sql } from '../platform/db.ts'
import { formsOf, type HashedPhone, type Proof } from './proof.ts'

/** One at a time for whoever proves the same: two sign-ups that race end with one account. */
export async function lockProof(tx: Sql, proof: Proof): Promise<void> {
  // Under every pepper, so that servers that know different sets of them still meet at one lock.
  const names =
    proof.method === 'wallet' ? [proof.address] : formsOf(proof.phone).map((form) => form.toString('hex'))
  for (const name of names.sort()) await tx`select pg_advisory_xact_lock(hashtextextended(${name}, 1))`
}

export async function findAccountByProof(tx: Sql, proof: Proof): Promise<string | undefined> {
  if (proof.method === 'wallet') {
    await present(tx, proof.address)
    const [row] = await tx<{ accountId: string }[]>`
      select account_id as "accountId" from wallets where address = ${proof.address}`
    return row?.accountId
  }
  for (const form of formsOf(proof.phone)) {
    await present(tx, form)
    const [row] = await tx<{ accountId: string }[]>`
      select account_id as "accountId" from phones where phone_hmac = ${form}`
    if (row) return row.accountId
  }
  return undefined
}

export async function insertLoginMethod(tx: Sql, accountId: string, proof: Proof, now: Date): Promise<void> {
  if (proof.method === 'wallet') {
    await tx`insert into wallets (address, account_id, linked_at) values (${proof.address}, ${accountId}, ${now})`
    return
  }
  await tx`
    insert into phones (phone_hmac, pepper_version, account_id, linked_at)
    values (${proof.phone.hmac}, ${proof.phone.pepperVersion}, ${accountId}, ${now})`
}

/** There is no number to hash anew, so a login is the moment at which a stored phone moves to the newest pepper. */
export async function moveToNewestPepper(tx: Sql, accountId: string, phone: HashedPhone): Promise<void> {
  await tx`
    update phones set phone_hmac = ${phone.hmac}, pepper_version = ${phone.pepperVersion}
    where account_id = ${accountId} and phone_hmac = any(${tx.array(phone.olderHmacs)})`
}

export async function deletePhone(tx: Sql, accountId: string): Promise<void> {
  await tx`delete from phones where account_id = ${accountId}`
}

/** Whether the account had this wallet; the one that takes its place is left alone. */
export async function deleteWallet(
  tx: Sql,
  accountId: string,
  address: string,
  successor: string,
): Promise<boolean> {
  const rows = await tx`
    delete from wallets where account_id = ${accountId} and address = ${address} and address <> ${successor}
    returning address`
  return rows.length > 0
}

export function listWallets(tx: Sql, accountId: string): Promise<{ address: string; linkedAt: Date }[]> {
  return tx<{ address: string; linkedAt: Date }[]>`
    select address, linked_at as "linkedAt" from wallets
    where account_id = ${accountId} order by linked_at, address limit 100`
}

/** Shows another hash within the transaction: row-level security then lets the row that it belongs to be seen. */
async function present(tx: Sql, shown: Buffer | string): Promise<void> {
  await tx`select set_config('app.presented', ${typeof shown === 'string' ? shown : shown.toString('hex')}, true)`
}

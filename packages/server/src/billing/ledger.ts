import { GENESIS_HASH, headText, LEDGER_FORMAT, type LedgerExport } from '@agentctl/contract/ledger-export.ts'
import { PostgresError, type Sql } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import type { LedgerKey } from './ledger-key.ts'
import * as store from './store.ts'

export type SystemAccount = 'sys_treasury' | 'sys_revenue' | 'sys_unclaimed' | 'sys_cards'
export type TransactionKind = 'deposit' | 'charge' | 'refund' | 'reversal' | 'unclaimed'

export interface Posting {
  /** Names the transaction: the same key again does nothing, and is a conflict for anything but the same. */
  key: string
  kind: TransactionKind
  /** What it is about, such as a deposit's id. */
  reference: string
  ledgerAccount: string
  /** Positive: from the system account to the customer. */
  amountMicros: bigint
  against: SystemAccount
  at: Date
  /** For what is taken back after it may have been spent: the balance may end below zero. */
  intoDebt?: boolean
}

/** The ledger account of a customer, made at its first use. */
export function ledgerAccountOf(tx: Sql, accountId: string, now: Date): Promise<string> {
  return store.makeLedgerAccount(tx, accountId, newId('lac'), now)
}

/** Posts to a customer's account. True when this call did it, false when an earlier one had. */
export function post(tx: Sql, posting: Posting): Promise<boolean> {
  return refusing(store.post(tx, posting))
}

/** Moves an amount between system accounts. */
export function transfer(
  tx: Sql,
  movement: {
    key: string
    kind: TransactionKind
    reference: string
    from: SystemAccount
    to: SystemAccount
    amountMicros: bigint
    at: Date
  },
): Promise<boolean> {
  return refusing(store.transfer(tx, movement))
}

/** Sets credits aside, so that nothing else can spend them. */
export function hold(
  tx: Sql,
  request: { key: string; ledgerAccount: string; amountMicros: bigint; reference: string; at: Date },
): Promise<boolean> {
  return refusing(store.hold(tx, request))
}

/** Charges a held amount, or a part of it; the rest is free again. */
export function capture(tx: Sql, key: string, amountMicros: bigint, at: Date): Promise<boolean> {
  if (amountMicros <= 0n) throw new RangeError('A capture takes something; to take nothing, void the hold.')
  return refusing(store.endHold(tx, key, amountMicros, at))
}

/** Frees a held amount. */
export function voidHold(tx: Sql, key: string, at: Date): Promise<boolean> {
  return refusing(store.endHold(tx, key, 0n, at))
}

/** The whole ledger account of a customer with a signed head, for `verifyLedger`. */
export async function exportLedger(
  tx: Sql,
  accountId: string,
  key: LedgerKey,
  now: Date,
): Promise<LedgerExport> {
  // The head comes from the balance, not from the entries, so that an entry that were lost would show. Read first:
  // what is posted after it is left out.
  const last = await store.findLedgerHead(tx, accountId)
  const ledgerAccount = last?.ledgerAccount ?? ''
  const entries = last ? await store.listEntries(tx, ledgerAccount, last.entries) : []
  const head = {
    entries: last?.entries ?? 0,
    hash: last?.hash ?? GENESIS_HASH,
    balanceMicros: last?.balanceMicros ?? '0',
    signedAt: now.toISOString(),
    keyId: key.keyId,
  }
  const signature = key.sign(headText(ledgerAccount, head))
  return {
    format: LEDGER_FORMAT,
    ledgerAccount,
    entries,
    head: { ...head, publicKey: key.publicKey, signature },
  }
}

/** What the database refuses, in the words of the product. */
async function refusing<T>(posted: Promise<T>): Promise<T> {
  try {
    return await posted
  } catch (error) {
    if (error instanceof PostgresError) {
      if (error.constraint_name === 'ledger_floor') {
        throw new Problem('insufficient_credits', undefined, { cause: error })
      }
      if (error.code === 'LG001') throw new Problem('idempotency_mismatch', undefined, { cause: error })
    }
    throw error
  }
}

import { secondsAfter } from '../platform/clock.ts'
import type { DepositChain } from '../platform/config.ts'
import type { Sql } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import { creditMicros, isPayment, type Transfer } from '../providers/chain/transfers.ts'
import * as store from './deposit-store.ts'
import { ledgerAccountOf, post, transfer } from './ledger.ts'

/** How much of an account's credit may rest on blocks that are safe but not final. */
export const EXPOSURE_MICROS = 100_000_000n
/** How soon a transaction whose block has gone is looked for. */
const LOOK_AGAIN_SECONDS = 1

/** Notes what was seen on chain, whoever looked: the scanner, or somebody who named a transaction. */
export async function recordTransfers(
  tx: Sql,
  chain: DepositChain,
  transfers: readonly Transfer[],
  now: Date,
): Promise<void> {
  const payments = transfers.filter((one) => isPayment(chain, one))
  for (const one of payments) {
    await store.upsertPayment(tx, {
      chainId: chain.chainId,
      txHash: one.txHash,
      ordinal: one.ordinal,
      sender: one.from,
      amountMicros: creditMicros(chain, one.amount),
      blockNumber: one.block.number,
      blockHash: one.block.hash,
      logIndex: one.logIndex,
      now,
    })
  }
  for (const txHash of new Set(payments.map((one) => one.txHash))) {
    for (const payment of await store.listPaymentsOf(tx, chain.chainId, txHash)) {
      await attribute(tx, payment, now)
    }
    await showDeposits(tx, chain.chainId, txHash, now)
  }
}

/**
 * Credits a payment as far as its block allows: safe up to the exposure of the account, final beyond. What is final
 * and nobody's goes to the unclaimed account. Says nothing when it has to wait.
 */
export async function settlePayment(
  tx: Sql,
  key: store.PaymentKey,
  block: { hash: string; certainty: 'safe' | 'final' },
  now: Date,
): Promise<void> {
  const payment = await store.lockPayment(tx, key)
  // Between the look at the chain and this lock it may have moved to another block.
  if (!payment || payment.state === 'orphaned' || payment.blockHash !== block.hash) return
  const isFinal = block.certainty === 'final'
  if (payment.state !== 'confirming') {
    if (isFinal) await store.updatePayment(tx, key, { ...payment, isFinal })
    return
  }
  const ledgerAccount = await attribute(tx, payment, now)
  if (!ledgerAccount) {
    if (!isFinal) return
    const creditCount = payment.creditCount + 1
    await transfer(tx, {
      key: postingKey('unclaimed', key, creditCount),
      kind: 'unclaimed',
      reference: `${key.chainId}:${key.txHash}`,
      from: 'sys_treasury',
      to: 'sys_unclaimed',
      amountMicros: payment.amountMicros,
      at: now,
    })
    await store.updatePayment(tx, key, { state: 'unclaimed', ledgerAccount: null, creditCount, isFinal })
    return
  }
  if (!isFinal) {
    const exposure = await store.lockExposure(tx, ledgerAccount)
    if (exposure + payment.amountMicros > EXPOSURE_MICROS) return
  }
  const creditCount = payment.creditCount + 1
  const deposit = await depositOf(tx, ledgerAccount, key, now)
  await post(tx, {
    key: postingKey('deposit', key, creditCount),
    kind: 'deposit',
    reference: deposit.id,
    ledgerAccount,
    amountMicros: payment.amountMicros,
    against: 'sys_treasury',
    at: now,
  })
  await store.updatePayment(tx, key, { state: 'credited', ledgerAccount, creditCount, isFinal })
  await showDeposits(tx, key.chainId, key.txHash, now)
}

/** The block of a payment is gone: what was credited for it is taken back, by an entry of its own. */
export async function orphanPayment(
  tx: Sql,
  key: store.PaymentKey,
  goneHash: string,
  now: Date,
): Promise<void> {
  const payment = await store.lockPayment(tx, key)
  // What was returned is gone from our books for good, and its payer has it again.
  const isOver = payment?.state === 'orphaned' || payment?.state === 'returned'
  if (!payment || isOver || payment.blockHash !== goneHash) return
  const reversal = {
    key: postingKey('reversal', key, payment.creditCount),
    kind: 'reversal' as const,
    at: now,
  }
  if (payment.state === 'credited' && payment.ledgerAccount) {
    const deposit = await depositOf(tx, payment.ledgerAccount, key, now)
    await post(tx, {
      ...reversal,
      reference: deposit.id,
      ledgerAccount: payment.ledgerAccount,
      amountMicros: -payment.amountMicros,
      against: 'sys_treasury',
      // The credits may be spent by now; then the account owes them.
      intoDebt: true,
    })
  }
  if (payment.state === 'unclaimed' || payment.state === 'refunding') {
    await transfer(tx, {
      ...reversal,
      reference: `${key.chainId}:${key.txHash}`,
      from: 'sys_unclaimed',
      to: 'sys_treasury',
      amountMicros: payment.amountMicros,
    })
  }
  await store.updatePayment(tx, key, { ...payment, state: 'orphaned', isFinal: false })
  await showDeposits(tx, key.chainId, key.txHash, now)
}

/** Whose payment it is: of the account whose wallet the token's log names as sender, once and for good. */
async function attribute(tx: Sql, payment: store.Payment, now: Date): Promise<string | null> {
  if (payment.ledgerAccount) return payment.ledgerAccount
  const accountId = await store.findWalletOwner(tx, payment.sender)
  // What is unclaimed or returned is on other books: it is resolved, not just labelled.
  if (!accountId || payment.state !== 'confirming') return null
  const ledgerAccount = await ledgerAccountOf(tx, accountId, now)
  await store.updatePayment(tx, payment, { ...payment, ledgerAccount })
  await depositOf(tx, ledgerAccount, payment, now)
  return ledgerAccount
}

export async function depositOf(
  tx: Sql,
  ledgerAccount: string,
  { chainId, txHash }: store.PaymentKey,
  now: Date,
): Promise<store.DepositRow> {
  const { deposit } = await store.makeDeposit(tx, { id: newId('dep'), ledgerAccount, chainId, txHash, now })
  return deposit
}

/** Brings what accounts see of a transaction in line with its payments. */
export async function showDeposits(tx: Sql, chainId: number, txHash: string, now: Date): Promise<void> {
  const byAccount = Map.groupBy(await store.listPaymentsOf(tx, chainId, txHash), (one) => one.ledgerAccount)
  for (const [ledgerAccount, payments] of byAccount) {
    if (ledgerAccount === null) continue
    const deposit = await depositOf(tx, ledgerAccount, { chainId, txHash, ordinal: 0 }, now)
    const there = payments.filter((one) => one.state !== 'orphaned')
    if (there.length === 0) {
      await store.seekDeposit(tx, deposit.id, 'pending', now, secondsAfter(now, LOOK_AGAIN_SECONDS))
      continue
    }
    const kept = there.filter((one) => one.state === 'confirming' || one.state === 'credited')
    if (kept.length === 0) {
      await store.rejectDeposit(tx, deposit.id, 'refunded')
      continue
    }
    const isCredited = kept.every((one) => one.state === 'credited')
    const waiting = sumOf(kept.filter((one) => one.state === 'confirming'))
    const fits = waiting + (await store.findExposure(tx, ledgerAccount)) <= EXPOSURE_MICROS
    await store.showPayments(tx, deposit.id, {
      status: isCredited ? 'credited' : 'confirming',
      creditMicros: sumOf(kept),
      // What it was credited at stays: exposure is counted anew with each block.
      countsAt: isCredited ? null : fits ? 'safe' : 'finalized',
      now,
    })
  }
}

const sumOf = (payments: readonly store.Payment[]): bigint =>
  payments.reduce((sum, one) => sum + one.amountMicros, 0n)

/** The count tells the credits apart of a payment that came back after its block had gone. */
export function postingKey(
  what: 'deposit' | 'reversal' | 'unclaimed' | 'refund' | 'returned',
  { chainId, txHash, ordinal }: store.PaymentKey,
  count: number,
): string {
  return `${what}:${chainId}:${txHash}:${ordinal}:${count}`
}

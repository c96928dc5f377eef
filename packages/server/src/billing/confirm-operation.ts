import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import { type Lease, LeaseLost, type Outcome } from '../platform/operations.ts'
import { isPayment, type TransactionView, type Transfers } from '../providers/chain/transfers.ts'
import * as store from './deposit-store.ts'
import { orphanPayment, recordTransfers, settlePayment } from './payments.ts'
import { claimUnclaimed } from './unclaimed-payments.ts'

type Parts = Pick<Deps, 'db' | 'clock'>

/** A transaction that no node knows may still be on its way; after this it is not. */
export const SOUGHT_SECONDS = 600
const PAYMENTS_AT_ONCE = 500
/** So many in one visit mean that the node is down. */
const FAILURES_MAX = 3
const LOOKS_AT_ONCE = 20
const LOOK_SECONDS_MAX = 30
const BUSY_SECONDS = 1
/** Somebody waits for credits, or only for a block to become final, or nothing is open. */
const PAUSE_SECONDS = { awaited: BUSY_SECONDS, open: 5, none: 30 } as const

export const confirmationSubject = (chainId: number): string => `deposits:${chainId}:confirm`
export const scanSubject = (chainId: number): string => `deposits:${chainId}:scan`

/** Looks for transactions that were named, and credits payments as their blocks become safe and final. */
export async function visitConfirmations(deps: Parts, transfers: Transfers, lease: Lease): Promise<Outcome> {
  const { chainId } = transfers.chain
  const now = deps.clock.now()
  const sought = await store.listSought(deps.db.jobs, chainId, now, LOOKS_AT_ONCE)
  await eachApart(sought, (deposit) => lookFor(deps, transfers, lease, deposit))
  await settleOpen(deps, transfers, lease)
  const claimable = await store.listClaimable(deps.db.jobs, chainId, PAYMENTS_AT_ONCE)
  await eachApart(claimable, (payment) => lease.write((tx) => claimUnclaimed(tx, payment, deps.clock.now())))
  return { state: 'again', afterSeconds: PAUSE_SECONDS[await store.findUrgency(deps.db.jobs, chainId)] }
}

async function settleOpen({ db, clock }: Parts, transfers: Transfers, lease: Lease): Promise<void> {
  const open = await store.listOpenPayments(db.jobs, transfers.chain.chainId, PAYMENTS_AT_ONCE)
  if (open.length === 0) return
  const { safe, finalized } = await transfers.heads()
  const hashes = new Map<bigint, string | undefined>()
  await eachApart(open, async (payment) => {
    const { blockNumber } = payment
    if (!hashes.has(blockNumber)) hashes.set(blockNumber, await transfers.blockHash(blockNumber))
    const hash = hashes.get(blockNumber)
    // A node without a block at that height lags: it says nothing about the payment.
    if (hash === undefined) return
    if (hash !== payment.blockHash) {
      await follow({ clock }, transfers, lease, payment)
    } else if (blockNumber <= safe.number) {
      const certainty = blockNumber <= finalized.number ? 'final' : 'safe'
      await lease.write((tx) => settlePayment(tx, payment, { hash, certainty }, clock.now()))
    }
  })
}

/** One that fails does not keep the others waiting; the visit still fails, and is repeated. */
async function eachApart<T>(all: readonly T[], visit: (one: T) => Promise<void>): Promise<void> {
  const failures: unknown[] = []
  for (const one of all) {
    try {
      await visit(one)
    } catch (error) {
      failures.push(error)
      if (error instanceof LeaseLost || failures.length >= FAILURES_MAX) break
    }
  }
  if (failures.length > 0) throw failures.at(-1)
}

/** Another block is where the payment's was: the transaction is in some other block by now, or in none. */
async function follow(
  { clock }: Pick<Deps, 'clock'>,
  transfers: Transfers,
  lease: Lease,
  payment: store.Payment,
): Promise<void> {
  const view = await transfers.transaction(payment.txHash)
  const again =
    view.state === 'mined' &&
    view.transfers.some((one) => one.ordinal === payment.ordinal && isPayment(transfers.chain, one))
  await lease.write((tx) =>
    view.state === 'mined' && again
      ? recordTransfers(tx, transfers.chain, view.transfers, clock.now())
      : orphanPayment(tx, payment, payment.blockHash, clock.now()),
  )
}

/** One look for a transaction that an account has named, or whose block has gone. */
async function lookFor(
  { db, clock }: Parts,
  transfers: Transfers,
  lease: Lease,
  deposit: store.DepositRow,
): Promise<void> {
  const view = await transfers.transaction(deposit.txHash)
  const own = new Set(await store.listWallets(db.jobs, deposit.ledgerAccount))
  const now = clock.now()
  await lease.write(async (tx) => {
    if (view.state === 'mined' && paysFrom(own, view, transfers)) {
      await recordTransfers(tx, transfers.chain, view.transfers, now)
      return
    }
    const ageSeconds = (now.getTime() - deposit.soughtSince.getTime()) / 1000
    const lookAt = secondsAfter(now, Math.min(Math.max(ageSeconds / 5, BUSY_SECONDS), LOOK_SECONDS_MAX))
    const reason = refusal(own, view, transfers)
    if (reason) {
      await store.rejectDeposit(tx, deposit.id, reason)
    } else if (view.state === 'pending' && own.has(view.sender)) {
      await store.seekDeposit(tx, deposit.id, 'seen', now, secondsAfter(now, BUSY_SECONDS))
    } else if (ageSeconds >= SOUGHT_SECONDS) {
      await store.rejectDeposit(tx, deposit.id, deposit.status === 'seen' ? 'dropped' : 'not_found')
    } else {
      await store.postponeLook(tx, deposit.id, lookAt)
    }
  })
}

type Mined = Extract<TransactionView, { state: 'mined' }>

/** The sender is the one that the token's log names: a relayer may have sent the transaction for them. */
function paysFrom(own: ReadonlySet<string>, view: Mined, { chain }: Transfers): boolean {
  return view.transfers.some((one) => own.has(one.from) && isPayment(chain, one))
}

/**
 * Why a transaction is not a deposit; said only of what the account itself has sent. Of somebody else's it learns
 * nothing: the answer is that of a transaction that does not exist.
 */
function refusal(
  own: ReadonlySet<string>,
  view: TransactionView,
  { chain }: Transfers,
): 'reverted' | 'wrong_token' | 'wrong_recipient' | undefined {
  if (view.state === 'reverted') return own.has(view.sender) ? 'reverted' : undefined
  if (view.state !== 'mined') return undefined
  const sent = view.transfers.filter((one) => own.has(one.from))
  if (sent.some((one) => one.to === chain.address)) return 'wrong_token'
  if (view.coinTo === chain.address && own.has(view.sender)) return 'wrong_token'
  return sent.length > 0 || own.has(view.sender) ? 'wrong_recipient' : undefined
}

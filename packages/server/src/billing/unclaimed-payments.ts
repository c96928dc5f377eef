import type { ChainPayment } from '@agentctl/contract/operators.ts'
import type { Deps } from '../deps.ts'
import type { Sql } from '../platform/db.ts'
import { Problem } from '../platform/problem.ts'
import { creditMicros, type Transfers } from '../providers/chain/transfers.ts'
import * as store from './deposit-store.ts'
import { ledgerAccountOf, post, transfer } from './ledger.ts'
import { depositOf, postingKey, showDeposits } from './payments.ts'
import { findAccountOf, findLedgerAccount } from './store.ts'

const LISTED = 200

/** Credits an unclaimed payment to the account that has its sender's wallet by now; nothing where that has changed. */
export async function claimUnclaimed(tx: Sql, key: store.PaymentKey, now: Date): Promise<void> {
  const payment = await store.lockPayment(tx, key)
  const accountId = payment?.state === 'unclaimed' && (await store.findWalletOwner(tx, payment.sender))
  if (payment && accountId) await credit(tx, payment, await ledgerAccountOf(tx, accountId, now), now)
}

/** Payments that wait for an operator, or those of an account. */
export async function listForOperator(
  tx: Sql,
  config: Pick<Deps['config'], 'deposits'>,
  accountId: string | undefined,
): Promise<ChainPayment[]> {
  const rows = accountId === undefined ? await store.listWaiting(tx, LISTED) : await listOf(tx, accountId)
  const payments: ChainPayment[] = []
  for (const row of rows) payments.push(await shown(tx, config, row))
  return payments
}

async function listOf(tx: Sql, accountId: string): Promise<store.Payment[]> {
  const ledgerAccount = await findLedgerAccount(tx, accountId)
  return ledgerAccount === undefined ? [] : store.listPaymentsOfAccount(tx, ledgerAccount, LISTED)
}

/** Credits a payment to the account that an operator names after having seen other proof. */
export async function resolveTo(
  tx: Sql,
  config: Pick<Deps['config'], 'deposits'>,
  wanted: { payment: string; accountId: string; now: Date },
): Promise<ChainPayment> {
  const payment = await lockNamed(tx, wanted.payment)
  const ledgerAccount = await ledgerAccountOf(tx, wanted.accountId, wanted.now)
  const isDone = payment.state === 'credited' && payment.ledgerAccount === ledgerAccount
  if (!isDone) {
    await requireWaiting(tx, payment)
    await credit(tx, payment, ledgerAccount, wanted.now)
  }
  return shown(tx, config, await lockNamed(tx, wanted.payment))
}

/** Takes a credited payment from its account again; from now on it waits to be sent back, or for another account. */
export async function refundPayment(
  tx: Sql,
  config: Pick<Deps['config'], 'deposits'>,
  wanted: { payment: string; now: Date },
): Promise<ChainPayment> {
  const payment = await lockNamed(tx, wanted.payment)
  const { ledgerAccount } = payment
  if (payment.state === 'refunding') return shown(tx, config, payment)
  if (payment.state !== 'credited' || ledgerAccount === null) throw await resolvedOtherwise(tx, payment)
  if (!payment.isFinal) {
    throw new Problem('conflict', 'The block of this payment is not final yet.', {
      fix: 'Try again when it is; on Ethereum and its rollups that takes about 20 minutes.',
    })
  }
  const creditCount = payment.creditCount + 1
  const deposit = await depositOf(tx, ledgerAccount, payment, wanted.now)
  await post(tx, {
    key: postingKey('refund', payment, creditCount),
    kind: 'refund',
    reference: deposit.id,
    ledgerAccount,
    amountMicros: -payment.amountMicros,
    // Credits that are spent already cannot be sent back: the floor refuses it.
    against: 'sys_unclaimed',
    at: wanted.now,
  })
  await store.updatePayment(tx, payment, { ...payment, state: 'refunding', creditCount })
  await showDeposits(tx, payment.chainId, payment.txHash, wanted.now)
  return shown(tx, config, { ...payment, state: 'refunding' })
}

/** What a transaction has sent away from our address. */
export interface SentBack {
  txHash: string
  transfers: { ordinal: number; micros: bigint }[]
}

/** Looks at the transaction that is said to return a payment: what an operator types in is proved by the chain. */
export async function lookAtReturn(
  { transfers: all }: Pick<Deps, 'transfers'>,
  wanted: { payment: string; returnedBy: string },
): Promise<SentBack> {
  const { chainId } = keyOf(wanted.payment)
  const transfers = all.find(({ chain }) => chain.chainId === chainId)
  if (!transfers)
    throw new Problem('not_found', 'Payments are not taken on this chain any more.', { fix: '' })
  const txHash = wanted.returnedBy.toLowerCase()
  const { view, finalized } = await ask(transfers, txHash)
  if (view.state !== 'mined') {
    throw new Problem('conflict', `The transaction that is said to return it is ${view.state}.`, {
      fix: 'Check its hash, and wait until it is in a final block.',
    })
  }
  const { chain } = transfers
  const sent = view.transfers.filter(
    (one) => one.contract === chain.token.address && one.from === chain.address && one.to !== chain.address,
  )
  if (sent.some((one) => one.block.number > finalized)) {
    throw new Problem('conflict', 'The transaction that returns it is not in a final block yet.', {
      fix: 'Try again when it is; on Ethereum and its rollups that takes about 20 minutes.',
    })
  }
  return {
    txHash,
    transfers: sent.map(({ ordinal, amount }) => ({ ordinal, micros: creditMicros(chain, amount) })),
  }
}

async function ask(transfers: Transfers, txHash: string) {
  try {
    const [view, heads] = await Promise.all([transfers.transaction(txHash), transfers.heads()])
    return { view, finalized: heads.finalized.number }
  } catch (error) {
    throw new Problem('provider_unavailable', "The chain's node does not answer.", { cause: error })
  }
}

/** Notes that a payment was sent back, by a transfer of just its amount that has returned no other one. */
export async function resolveReturned(
  tx: Sql,
  config: Pick<Deps['config'], 'deposits'>,
  wanted: { payment: string; sent: SentBack; now: Date },
): Promise<ChainPayment> {
  const { sent, now } = wanted
  const payment = await lockNamed(tx, wanted.payment)
  if (payment.state === 'returned' && payment.returnedTx === sent.txHash) return shown(tx, config, payment)
  await requireWaiting(tx, payment)
  const used = new Set(await store.listReturnedBy(tx, payment.chainId, sent.txHash))
  const free = sent.transfers.find(
    ({ ordinal, micros }) => micros === payment.amountMicros && !used.has(ordinal),
  )
  if (!free) {
    throw new Problem(
      'conflict',
      'That transaction holds no transfer from our address that returns this payment.',
      {
        fix: 'It must be of the same amount, and not have returned another payment already.',
      },
    )
  }
  await transfer(tx, {
    key: postingKey('returned', payment, payment.creditCount),
    kind: 'refund',
    reference: `${payment.chainId}:${payment.txHash}`,
    from: 'sys_unclaimed',
    to: 'sys_treasury',
    amountMicros: payment.amountMicros,
    at: now,
  })
  await store.markReturned(tx, payment, { txHash: sent.txHash, ordinal: free.ordinal })
  return shown(tx, config, { ...payment, state: 'returned', returnedTx: sent.txHash })
}

async function credit(tx: Sql, payment: store.Payment, ledgerAccount: string, now: Date): Promise<void> {
  const deposit = await depositOf(tx, ledgerAccount, payment, now)
  await post(tx, {
    key: postingKey('deposit', payment, payment.creditCount),
    kind: 'deposit',
    reference: deposit.id,
    ledgerAccount,
    amountMicros: payment.amountMicros,
    against: 'sys_unclaimed',
    at: now,
  })
  await store.updatePayment(tx, payment, { ...payment, state: 'credited', ledgerAccount })
  await showDeposits(tx, payment.chainId, payment.txHash, now)
}

async function requireWaiting(tx: Sql, payment: store.Payment): Promise<void> {
  const { state } = payment
  if (state !== 'unclaimed' && state !== 'refunding') throw await resolvedOtherwise(tx, payment)
}

async function resolvedOtherwise(tx: Sql, payment: store.Payment): Promise<Problem> {
  const owner = payment.ledgerAccount && (await findAccountOf(tx, payment.ledgerAccount))
  const what = {
    confirming: 'is not final yet',
    credited: `is credited to ${owner ?? 'an account that has been deleted'}`,
    unclaimed: 'is unclaimed',
    refunding: 'waits to be sent back',
    returned: 'was returned already',
    orphaned: 'is in no block any more',
  }[payment.state]
  return new Problem('conflict', `This payment ${what}.`, {
    fix: 'See what waits: agentctl operator payments',
  })
}

function keyOf(id: string): store.PaymentKey {
  const [, chainId, txHash, ordinal] = /^(\d{1,15}):(0x[0-9a-f]{64}):(\d{1,6})$/.exec(id) ?? []
  if (txHash === undefined) throw noSuchPayment()
  return { chainId: Number(chainId), txHash, ordinal: Number(ordinal) }
}

async function lockNamed(tx: Sql, id: string): Promise<store.Payment> {
  const payment = await store.lockPayment(tx, keyOf(id))
  if (!payment) throw noSuchPayment()
  return payment
}

const noSuchPayment = (): Problem =>
  new Problem('not_found', 'There is no such payment.', { fix: 'See what waits: agentctl operator payments' })

async function shown(
  tx: Sql,
  config: Pick<Deps['config'], 'deposits'>,
  payment: store.Payment,
): Promise<ChainPayment> {
  const { chainId, txHash, ordinal, ledgerAccount } = payment
  const chain = config.deposits.find((one) => one.chainId === chainId)
  return {
    id: `${chainId}:${txHash}:${ordinal}`,
    chain: chain?.name ?? `chain-${chainId}`,
    txHash,
    sender: payment.sender,
    amountMicros: String(payment.amountMicros),
    state: payment.state,
    account: ledgerAccount === null ? null : ((await findAccountOf(tx, ledgerAccount)) ?? null),
    returnedBy: payment.returnedTx,
    seenAt: payment.seenAt.toISOString(),
  }
}

import type { Deposit } from '@agentctl/contract/billing.ts'
import type { Deps } from '../deps.ts'
import { onceForKey } from '../platform/idempotency.ts'
import { newId } from '../platform/ids.ts'
import { wakeOperation } from '../platform/operations.ts'
import { Problem } from '../platform/problem.ts'
import type { Wakes } from '../platform/wakes.ts'
import { checksummed } from '../providers/chain/transfers.ts'
import { confirmationSubject } from './confirm-operation.ts'
import * as store from './deposit-store.ts'
import { ledgerAccountOf } from './ledger.ts'
import { findLedgerAccount } from './store.ts'

/** Each is looked for at the chain's node, again and again. */
const SOUGHT_MAX = 20
/** What is told of a transaction that was not found can change when it is looked for anew. */
const WORTH_ANOTHER_LOOK: ReadonlySet<string | null> = new Set(['not_found', 'dropped'])

type Parts = Pick<Deps, 'db' | 'clock' | 'config'>

/**
 * Names a payment, so that it is found sooner; credited it would be in any case. The hash is public and proves a
 * payment, not who made it: only a wallet of the account as its sender does.
 */
export async function claimDeposit(
  { db, clock, config }: Parts,
  accountId: string,
  claim: { txHash: string; chain?: string | undefined },
  idempotencyKey: string,
): Promise<Deposit> {
  if (config.deposits.length === 0) throw new Problem('deposits_unavailable')
  const chain = config.deposits.find(({ name }) => claim.chain === undefined || claim.chain === name)
  if (!chain) {
    const names = config.deposits.map(({ name }) => name).join(', ')
    throw new Problem('invalid_request', `Payments are taken on ${names}.`, {
      fix: 'See where to pay: agentctl billing deposit --address',
    })
  }
  const now = clock.now()
  const once = {
    accountId,
    key: idempotencyKey,
    route: 'POST /v1/billing/deposits',
    request: claim,
    now,
  } as const
  return db.work((tx) =>
    onceForKey(tx, once, async () => {
      // First: whoever confirms holds the row of its operation while it waits for a deposit's.
      await wakeOperation(tx, confirmationSubject(chain.chainId))
      const ledgerAccount = await ledgerAccountOf(tx, accountId, now)
      const sought = await store.countSought(tx, ledgerAccount)
      const { deposit, made } = await store.makeDeposit(tx, {
        id: newId('dep'),
        ledgerAccount,
        chainId: chain.chainId,
        txHash: claim.txHash.toLowerCase(),
        now,
      })
      const isAnew = deposit.status === 'rejected' && WORTH_ANOTHER_LOOK.has(deposit.reason)
      if ((made || isAnew) && sought >= SOUGHT_MAX) {
        throw new Problem('rate_limited', `${SOUGHT_MAX} transactions of yours are being looked for.`, {
          retryAfterSeconds: 60,
        })
      }
      if (isAnew) await store.seekDeposit(tx, deposit.id, 'pending', now, now)
      return shown(config, isAnew ? { ...deposit, status: 'pending', reason: null } : deposit)
    }),
  )
}

/** One deposit of the account. */
export async function showDeposit({ db, config }: Parts, accountId: string, id: string): Promise<Deposit> {
  const row = await db.as({ account: accountId }, (tx) => store.findDeposit(tx, id))
  if (!row) throw new Problem('not_found', 'You have no such deposit.')
  return shown(config, row)
}

/** One deposit, as soon as its status is another than the one that the asker knows, or when the time is up. */
export async function awaitDeposit(
  deps: Parts,
  accountId: string,
  wanted: { id: string; knownStatus: Deposit['status'] | undefined; waitSeconds: number },
  wakes: Wakes,
  signal: AbortSignal,
): Promise<Deposit> {
  const wake = wakes.of(wanted.id)
  try {
    const deadline = performance.now() + wanted.waitSeconds * 1000
    for (;;) {
      const deposit = await showDeposit(deps, accountId, wanted.id)
      const leftMs = deadline - performance.now()
      if (deposit.status !== wanted.knownStatus || leftMs <= 0 || signal.aborted) return deposit
      await wake.next(leftMs, signal)
    }
  } finally {
    wake.close()
  }
}

/** Wallets whose payments are the account's: whoever pays has to know before any money moves. */
export function walletsOf({ db }: Pick<Deps, 'db'>, accountId: string): Promise<string[]> {
  return db.as({ account: accountId }, async (tx) => {
    const wallets = await store.listWalletsOfAccount(tx, accountId)
    return wallets.map(checksummed)
  })
}

export async function listDeposits(
  { db, config }: Parts,
  accountId: string,
  limit: number,
): Promise<Deposit[]> {
  const rows = await db.as({ account: accountId }, async (tx) => {
    const ledgerAccount = await findLedgerAccount(tx, accountId)
    return ledgerAccount === undefined ? [] : store.listDeposits(tx, ledgerAccount, limit)
  })
  return rows.map((row) => shown(config, row))
}

function shown(config: Parts['config'], row: store.DepositRow): Deposit {
  const chain = config.deposits.find(({ chainId }) => chainId === row.chainId)
  return {
    id: row.id,
    status: row.status,
    reason: row.reason,
    chain: chain?.name ?? `chain-${row.chainId}`,
    txHash: row.txHash,
    creditsMicros: row.creditMicros === null ? null : String(row.creditMicros),
    countsAt: row.countsAt,
    createdAt: row.createdAt.toISOString(),
    creditedAt: row.creditedAt?.toISOString() ?? null,
  }
}

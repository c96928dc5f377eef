import type { Deps } from '../deps.ts'
import type { Api } from '../platform/http.ts'
import { lazyWakes } from '../platform/wakes.ts'
import { checksummed } from '../providers/chain/transfers.ts'
import { balanceOf } from './balance.ts'
import { awaitDeposit, claimDeposit, listDeposits, walletsOf } from './deposits.ts'
import { historyPage } from './history.ts'
import { exportLedger } from './ledger.ts'
import { openLedgerKey } from './ledger-key.ts'
import { changeLimits, showLimits } from './limits.ts'
import { priceList } from './prices.ts'

const DEPOSITS_LISTED = 100

/** `stopping` ends long polls, so that the server can stop. */
export function billingRoutes(
  api: Api,
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  stopping: AbortSignal = new AbortController().signal,
): void {
  const { db, clock, config } = deps
  const ledgerKey = openLedgerKey(config.ledgerKeyFile)
  const depositWakes = lazyWakes(db, 'deposits')

  api.on('GET /v1/billing/prices', async () => priceList(config.graceDays))
  api.on('GET /v1/billing/balance', ({ caller }) =>
    db.as({ account: caller.accountId }, (tx) => balanceOf(tx, caller.accountId, clock.now())),
  )
  api.on('GET /v1/billing/history', ({ caller, query }) =>
    db.as({ account: caller.accountId }, (tx) => historyPage(tx, caller.accountId, query)),
  )
  api.on('GET /v1/billing/ledger', async ({ caller }) =>
    Response.json(
      await db.as({ account: caller.accountId }, (tx) =>
        exportLedger(tx, caller.accountId, ledgerKey, clock.now()),
      ),
    ),
  )
  api.on('GET /v1/billing/ledger-keys', async () => ({ keys: [...ledgerKey.publicKeys] }))
  api.on('GET /v1/billing/limits', ({ caller }) =>
    db.as({ account: caller.accountId }, (tx) => showLimits(tx, caller.accountId)),
  )
  api.on('PATCH /v1/billing/limits', ({ caller, body }) =>
    db.as({ account: caller.accountId }, (tx) => changeLimits(tx, caller.accountId, body)),
  )
  api.on('GET /v1/billing/deposit-addresses', async ({ caller }) => ({
    wallets: await walletsOf(deps, caller.accountId),
    chains: config.deposits.map(({ name, chainId, publicRpcUrl, token, address }) => ({
      chain: name,
      chainId,
      rpcUrl: publicRpcUrl,
      token: { ...token, address: checksummed(token.address) },
      address: checksummed(address),
    })),
  }))
  api.on('POST /v1/billing/deposits', ({ caller, body, idempotencyKey = '' }) =>
    claimDeposit(deps, caller.accountId, body, idempotencyKey),
  )
  api.on('GET /v1/billing/deposits', async ({ caller }) => ({
    deposits: await listDeposits(deps, caller.accountId, DEPOSITS_LISTED),
  }))
  api.on('GET /v1/billing/deposits/:deposit', async ({ caller, params, query, signal }) => {
    const { waitSeconds = 0, status } = query
    const wanted = { id: params.deposit, knownStatus: status, waitSeconds }
    const until = AbortSignal.any([signal, stopping])
    return awaitDeposit(deps, caller.accountId, wanted, await depositWakes(), until)
  })
}

import type { Address, Hex } from 'viem'
import type { PrivateKeyAccount } from 'viem/accounts'
import { afterAll, afterEach, expect } from 'vitest'
import { testDatabase } from '../../../../../test/database.ts'
import { secondsAfter } from '../../platform/clock.ts'
import type { DepositChain } from '../../platform/config.ts'
import { openPool } from '../../platform/db.ts'
import { newId } from '../../platform/ids.ts'
import type { Lease } from '../../platform/operations.ts'
import { openTransfers } from '../../providers/chain/transfers.ts'
import { openTransport } from '../../providers/transport.ts'
import { visitConfirmations } from '../confirm-operation.ts'
import { claimDeposit, listDeposits } from '../deposits.ts'
import { visitScan } from '../scan-operation.ts'
import { listForOperator } from '../unclaimed-payments.ts'
import { faultyNode, payingChain, tokenAbi } from './paying.ts'

export const DOLLAR = 1_000_000n
export const treasury: Address = '0x00000000000000000000000000000000000acc01'

export interface Payer {
  account: string
  wallet: PrivateKeyAccount
}

/** A chain that mines on demand, a node in between that misbehaves on demand, and the service that watches it. */
export async function depositWorld({ timeoutMs = 10_000 }: { timeoutMs?: number } = {}) {
  const { url, db } = await testDatabase()
  const owner = openPool(url, { connectionsMax: 2 })
  const chain = await payingChain()
  const node = await faultyNode(chain.local.rpcUrl)
  const transport = openTransport({ processors: [], infrastructure: [node.url] })
  const here: DepositChain = {
    name: 'local',
    chainId: chain.local.chainId,
    rpcUrl: node.url,
    publicRpcUrl: node.url,
    address: treasury,
    token: { ...chain.local.token, address: chain.local.token.address.toLowerCase() },
    startBlock: 0n,
    windowBlocks: 10,
    pollSeconds: 1,
  }
  const transfers = openTransfers(here, transport, timeoutMs)
  let now = new Date('2027-05-01T00:00:00Z')
  const deps = { db, clock: { now: () => now }, config: { deposits: [here] } as never }
  const lease: Lease = { write: (run) => db.work(run), settle: async () => {} }
  afterEach(() => node.misbehave(undefined))
  afterAll(async () => {
    await owner.end()
    await transport.close()
    await node.stop()
    await chain.stop()
  })

  const pass = (seconds: number): void => {
    now = secondsAfter(now, seconds)
  }
  const confirm = () => visitConfirmations(deps, transfers, lease)
  const scan = async (): Promise<void> => {
    while ((await visitScan(deps, transfers, { attempts: 1 }, lease)).state !== 'again');
  }
  const look = async (): Promise<void> => {
    pass(1)
    await scan()
    await confirm()
  }
  const link = (account: string, wallet: PrivateKeyAccount) =>
    owner`insert into wallets values (${wallet.address.toLowerCase()}, ${account}, ${now})`
  const payer = async (micros = 1000n * DOLLAR): Promise<Payer> => {
    const wallet = await chain.somebody(micros)
    const account = newId('acc')
    await owner`insert into accounts values (${account}, ${now}, ${now})`
    await link(account, wallet)
    return { account, wallet }
  }

  return {
    db,
    owner,
    chain,
    node,
    deps,
    pass,
    confirm,
    scan,
    look,
    link,
    payer,
    async credits({ account }: Payer): Promise<bigint> {
      const [row] = await owner<{ micros: bigint }[]>`
        select balance_micros as micros from ledger_balances join billing_accounts using (ledger_account_id)
        where account_id = ${account}`
      return row?.micros ?? 0n
    },
    claim: ({ account }: Payer, txHash: Hex) => claimDeposit(deps, account, { txHash }, newId('req')),
    async status({ account }: Payer, txHash: Hex): Promise<string> {
      const all = await listDeposits(deps, account, 100)
      const deposit = all.find((one) => one.txHash === txHash)
      return deposit ? [deposit.status, deposit.reason].filter(Boolean).join(' ') : 'none'
    },
    waitingPayments: () => db.operate((tx) => listForOperator(tx, deps.config, undefined)),
    toTreasury: (micros: bigint) => chain.transferCall(treasury, micros),
    /** Mines a payment and everything that is needed for it to be final. */
    async settled(): Promise<void> {
      await chain.mine(6)
      await look()
    },
    /** Replaces the last blocks by as many others, with these transactions at these places among them. */
    reorganise: (depth: number, ...placed: [Hex, number][]) => chain.rpc('anvil_reorg', [depth, placed]),
    /** A signed payment that the node has not seen yet. */
    async createRaw(who: Payer, micros: bigint): Promise<Hex> {
      const snapshot = await chain.node.snapshot()
      const { raw } = await chain.pay(who.wallet, treasury, micros)
      await chain.node.revert({ id: snapshot })
      return raw
    },
    /** The books agree with the chain: what customers and the unclaimed account have is what the treasury holds. */
    async booksMatchTheChain(): Promise<void> {
      const [books] = await owner<{ treasury: bigint; total: bigint }[]>`
        select -coalesce(sum(amount_micros) filter (where ledger_account_id = 'sys_treasury'), 0)::bigint as treasury,
          coalesce(sum(amount_micros), 0)::bigint as total from ledger_entries`
      const held = await chain.client.readContract({
        address: chain.local.token.address,
        abi: tokenAbi,
        functionName: 'balanceOf',
        args: [treasury],
      })
      expect(books).toEqual({ treasury: held, total: 0n })
    },
  }
}

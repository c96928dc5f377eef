import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '@agentctl/localcloud/postgres.ts'
import { visitScan } from '@agentctl/server/billing/scan-operation.ts'
import { payingChain } from '@agentctl/server/billing/testing/paying.ts'
import type { DepositChain } from '@agentctl/server/platform/config.ts'
import { openDb } from '@agentctl/server/platform/db.ts'
import { migrate } from '@agentctl/server/platform/migrate.ts'
import type { Lease } from '@agentctl/server/platform/operations.ts'
import { openTransfers } from '@agentctl/server/providers/chain/transfers.ts'
import { openTransport } from '@agentctl/server/providers/transport.ts'
import type { Address } from 'viem'
import type { Figure } from './figures.ts'

const BLOCKS = 4000
const PAYMENTS = 40
const WINDOW = 100
const TREASURY: Address = '0x00000000000000000000000000000000000acc01'

/** How fast the scanner catches up, against the time that the node itself takes for the same questions. */
export default async function scanner(): Promise<Figure[]> {
  const dataDir = mkdtempSync(join(tmpdir(), 'agentctl-bench-scanner-'))
  const postgres = await startPostgres({ dataDir, log: () => {} })
  const paying = await payingChain()
  const transport = openTransport({ processors: [], infrastructure: [paying.local.rpcUrl] })
  const login = { url: postgres.url, assume: true }
  const db = openDb({ app: login, jobs: login, operator: login, connectionsMax: 4 })
  try {
    await migrate(postgres.url)
    for (let payment = 0; payment < PAYMENTS; payment++) {
      await paying.pay(paying.bank, TREASURY, 1_000_000n)
      await paying.mine(BLOCKS / PAYMENTS)
    }
    const chain: DepositChain = {
      name: 'local',
      chainId: paying.local.chainId,
      rpcUrl: paying.local.rpcUrl,
      publicRpcUrl: paying.local.rpcUrl,
      address: TREASURY,
      token: { ...paying.local.token, address: paying.local.token.address.toLowerCase() },
      startBlock: 0n,
      windowBlocks: WINDOW,
      pollSeconds: 1,
    }
    const transfers = openTransfers(chain, transport)
    const lease: Lease = { write: (run) => db.work(run), settle: async () => {} }
    const begun = performance.now()
    let behind = true
    while (behind) {
      const outcome = await visitScan(
        { db, clock: { now: () => new Date() } },
        transfers,
        { attempts: 1 },
        lease,
      )
      behind = outcome.state === 'again' && outcome.afterSeconds === 0
    }
    const scanMs = performance.now() - begun
    const [found] = await db.jobs<{ count: bigint }[]>`select count(*) from payments`
    if (Number(found?.count) !== PAYMENTS) throw new Error(`The scanner found ${found?.count} payments.`)
    // Everything is looked at twice: at the head, and when it is final.
    const nodeMs = 2 * (await nodeTime(chain))
    return [
      { name: 'scanner catching up / the node’s own answers', value: scanMs / nodeMs, unit: '×' },
      { name: 'scanner catching up, in blocks a second', value: BLOCKS / (scanMs / 1000), unit: '' },
    ]
  } finally {
    await db.close()
    await transport.close()
    await paying.stop()
    await postgres.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

/** The same ranges asked for one after another, with nothing done about the answers. */
async function nodeTime(chain: DepositChain): Promise<number> {
  const hex = (block: number): string => `0x${block.toString(16)}`
  const topics = [
    '0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef',
    null,
    `0x${TREASURY.slice(2).padStart(64, '0')}`,
  ]
  const begun = performance.now()
  for (let from = 0; from < BLOCKS; from += WINDOW) {
    const filter = {
      address: chain.token.address,
      topics,
      fromBlock: hex(from),
      toBlock: hex(from + WINDOW - 1),
    }
    const calls = [
      { method: 'eth_getLogs', params: [filter] },
      { method: 'eth_getBlockByNumber', params: [hex(from + WINDOW - 1), false] },
      { method: 'eth_chainId', params: [] },
    ].map((call, id) => ({ jsonrpc: '2.0', id, ...call }))
    const response = await fetch(chain.rpcUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(calls),
    })
    await response.text()
  }
  return performance.now() - begun
}

if (import.meta.main) process.stdout.write(`${JSON.stringify(await scanner(), null, 2)}\n`)

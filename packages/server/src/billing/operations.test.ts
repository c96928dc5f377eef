import type { Address } from 'viem'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Config, DepositChain } from '../platform/config.ts'
import { openPool } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import { startWorker, type Worker } from '../platform/operations.ts'
import { openTransfers } from '../providers/chain/transfers.ts'
import { openTransport } from '../providers/transport.ts'
import { balanceOf } from './balance.ts'
import { claimDeposit } from './deposits.ts'
import * as ledger from './ledger.ts'
import { listDepleted, setRate } from './meters.ts'
import { billingWork, scheduleBillingWork } from './operations.ts'
import { payingChain } from './testing/paying.ts'

const { url, db } = await testDatabase()
const owner = openPool(url, { connectionsMax: 2 })
const chain = await payingChain()
const transport = openTransport({ processors: [], infrastructure: [chain.local.rpcUrl] })
const treasury: Address = '0x00000000000000000000000000000000000acc01'
const here: DepositChain = {
  name: 'local',
  chainId: chain.local.chainId,
  rpcUrl: chain.local.rpcUrl,
  publicRpcUrl: chain.local.rpcUrl,
  address: treasury,
  token: { ...chain.local.token, address: chain.local.token.address.toLowerCase() },
  startBlock: 0n,
  windowBlocks: 100,
  pollSeconds: 1,
}
let aheadSeconds = 0
const clock = { now: () => secondsAfter(new Date(), aheadSeconds) }
const config: Pick<Config, 'deposits'> = { deposits: [here] }
const deps = { db, clock, config: config as Config, transfers: [openTransfers(here, transport)] }
const start = (): Promise<Worker> =>
  startWorker({ db, clock, log: silentLog, leaseSeconds: 2 }, billingWork(deps))

let worker = await start()
await scheduleBillingWork(deps)
await scheduleBillingWork(deps)
afterAll(async () => {
  await worker.stop()
  await owner.end()
  await transport.close()
  await chain.stop()
})

async function account(): Promise<string> {
  const id = newId('acc')
  await owner`insert into accounts values (${id}, ${clock.now()}, ${clock.now()})`
  return id
}
const credits = async (id: string) =>
  (await db.as({ account: id }, (tx) => balanceOf(tx, id, clock.now()))).creditsMicros
const eventually = { timeout: 20_000, interval: 100 }

test('servers that start twice schedule each work once', async () => {
  const rows = await owner`select kind from operations where state = 'pending' order by kind`
  expect(rows.map((row) => row.kind)).toEqual([
    'audit-ledger',
    'charge-meters',
    'confirm-deposits',
    'scan-deposits',
  ])
})

test('from a payment to its credit nobody has to do anything, also when a worker ends in between', async () => {
  const wallet = await chain.somebody(100_000_000n)
  const [claimed, found] = [await account(), await account()]
  await owner`insert into wallets values (${wallet.address.toLowerCase()}, ${claimed}, ${clock.now()})`
  const silent = await chain.somebody(100_000_000n)
  await owner`insert into wallets values (${silent.address.toLowerCase()}, ${found}, ${clock.now()})`
  const { hash } = await chain.pay(wallet, treasury, 25_000_000n)
  await claimDeposit(deps, claimed, { txHash: hash }, 'once')
  await chain.pay(silent, treasury, 7_000_000n)
  await chain.mine()
  await worker.stop()
  await chain.mine(5)
  worker = await start()
  await expect.poll(() => credits(claimed), eventually).toBe('25000000')
  await expect.poll(() => credits(found), eventually).toBe('7000000')
})

test('when the clock is moved past the end of somebody’s credits, they are charged to the last and flagged', async () => {
  const who = await account()
  await db.work(async (tx) => {
    const ledgerAccount = await ledger.ledgerAccountOf(tx, who, clock.now())
    await ledger.post(tx, {
      key: 'test:operations',
      kind: 'deposit',
      reference: '',
      ledgerAccount,
      amountMicros: 5_000n,
      against: 'sys_treasury',
      at: clock.now(),
    })
  })
  const meter = { subject: 'agt_ends', accountId: who, namespaceId: 'ns_1', hourlyMicros: 100_000n }
  await db.work((tx) => setRate(tx, { ...meter, at: clock.now() }))
  const runs = async () => (await owner`select from meter_runs`).length
  // The first look charges all that there is so far; the next is due at the end of the credits, 180 seconds on.
  await expect.poll(runs, eventually).toBeGreaterThan(0)
  expect(await listDepleted(db.jobs, 10)).toEqual([])
  // As after an outage: the end of the credits has passed long ago, and is still found to the second.
  const [opened] = await owner<{ at: Date }[]>`select from_at as at from meters where subject = 'agt_ends'`
  aheadSeconds += 40 * 86_400
  await expect
    .poll(async () => (await listDepleted(db.jobs, 10)).map((row) => row.accountId), eventually)
    .toEqual([who])
  expect(await credits(who)).toBe('0')
  const [depleted] = await listDepleted(db.jobs, 10)
  expect(depleted?.depletedAt).toEqual(secondsAfter(opened?.at ?? new Date(0), 180))
  const upto = async () => (await owner<{ upto: Date }[]>`select upto from meter_watermark`)[0]?.upto
  await expect
    .poll(async () => ((await upto()) ?? new Date(0)) > secondsAfter(clock.now(), -60), eventually)
    .toBe(true)
  await db.work((tx) => setRate(tx, { ...meter, hourlyMicros: 0n, at: clock.now() }))
})

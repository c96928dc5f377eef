import { type Address, encodeFunctionData, getContractAddress, type Hex, parseEther } from 'viem'
import type { PrivateKeyAccount } from 'viem/accounts'
import { afterAll, afterEach, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { DepositChain } from '../platform/config.ts'
import { openPool } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import type { Lease } from '../platform/operations.ts'
import { openTransfers, WrongChain } from '../providers/chain/transfers.ts'
import { openTransport } from '../providers/transport.ts'
import { visitConfirmations } from './confirm-operation.ts'
import { claimDeposit, listDeposits, showDeposit } from './deposits.ts'
import * as ledger from './ledger.ts'
import { visitScan } from './scan-operation.ts'
import * as store from './store.ts'
import {
  authorizedTransfer,
  callsInOne,
  faultyNode,
  forgedTransfer,
  payingChain,
  tokenAbi,
} from './testing/paying.ts'
import { listForOperator, resolveTo } from './unclaimed-payments.ts'

const DOLLAR = 1_000_000n
const { url, db } = await testDatabase()
const owner = openPool(url, { connectionsMax: 2 })
const chain = await payingChain()
const node = await faultyNode(chain.local.rpcUrl)
const transport = openTransport({ processors: [], infrastructure: [node.url] })
const treasury: Address = '0x00000000000000000000000000000000000acc01'
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
const transfers = openTransfers(here, transport)
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

const confirm = () => visitConfirmations(deps, transfers, lease)
async function scan(): Promise<void> {
  while ((await visitScan(deps, transfers, { attempts: 1 }, lease)).state !== 'again');
}
async function look(): Promise<void> {
  now = secondsAfter(now, 1)
  await scan()
  await confirm()
}

interface Payer {
  account: string
  wallet: PrivateKeyAccount
}

async function payer(micros = 1000n * DOLLAR): Promise<Payer> {
  const wallet = await chain.somebody(micros)
  const account = newId('acc')
  await owner`insert into accounts values (${account}, ${now}, ${now})`
  await link(account, wallet)
  return { account, wallet }
}

const link = (account: string, wallet: PrivateKeyAccount) =>
  owner`insert into wallets values (${wallet.address.toLowerCase()}, ${account}, ${now})`

const credits = async ({ account }: Payer): Promise<bigint> => {
  const [row] = await owner<{ micros: bigint }[]>`
    select balance_micros as micros from ledger_balances join billing_accounts using (ledger_account_id)
    where account_id = ${account}`
  return row?.micros ?? 0n
}

const claim = ({ account }: Payer, txHash: Hex) => claimDeposit(deps, account, { txHash }, newId('req'))
const status = async ({ account }: Payer, txHash: Hex): Promise<string> => {
  const all = await listDeposits(deps, account, 100)
  const deposit = all.find((one) => one.txHash === txHash)
  return deposit ? [deposit.status, deposit.reason].filter(Boolean).join(' ') : 'none'
}

const waitingPayments = () => db.operate((tx) => listForOperator(tx, deps.config, undefined))
const toTreasury = (micros: bigint) => chain.transferCall(treasury, micros)
/** Mines a payment and everything that is needed for it to be final. */
async function settled(): Promise<void> {
  await chain.mine(6)
  await look()
}

/** The books agree with the chain: what customers and the unclaimed account have is what the treasury holds. */
async function booksMatchTheChain(): Promise<void> {
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
}

test('a claimed payment goes from pending to seen, confirming and credited, and is credited once', async () => {
  const who = await payer()
  const { hash } = await chain.pay(who.wallet, treasury, 25n * DOLLAR)
  const claimed = await claim(who, hash)
  expect(claimed).toMatchObject({
    status: 'pending',
    reason: null,
    chain: 'local',
    txHash: hash,
    creditsMicros: null,
  })
  await look()
  expect(await status(who, hash)).toBe('seen')
  await chain.mine()
  await look()
  expect(await status(who, hash)).toBe('confirming')
  expect(await credits(who)).toBe(0n)
  await chain.mine(2)
  await look()
  expect(await status(who, hash)).toBe('credited')
  expect(await credits(who)).toBe(25n * DOLLAR)
  expect(await claim(who, hash)).toMatchObject({
    id: claimed.id,
    status: 'credited',
    creditsMicros: '25000000',
  })
  await chain.mine(10)
  await look()
  await look()
  expect(await credits(who)).toBe(25n * DOLLAR)
  await booksMatchTheChain()
})

test('a payment that nobody claims is found by the scanner', async () => {
  const who = await payer()
  const { hash } = await chain.pay(who.wallet, treasury, 3n * DOLLAR)
  await settled()
  expect(await status(who, hash)).toBe('credited')
  expect(await credits(who)).toBe(3n * DOLLAR)
})

test('up to $100 of an account counts when it is safe, what goes beyond only when it is final', async () => {
  const who = await payer()
  const first = await chain.pay(who.wallet, treasury, 70n * DOLLAR)
  await chain.mine()
  const second = await chain.pay(who.wallet, treasury, 31n * DOLLAR)
  const third = await chain.pay(who.wallet, treasury, 30n * DOLLAR)
  await chain.mine(3)
  await look()
  expect(await status(who, first.hash)).toBe('credited')
  expect(await status(who, second.hash)).toBe('confirming')
  expect(await status(who, third.hash)).toBe('credited')
  await chain.mine(1)
  await look()
  // The first is final by now and exposes nothing any more.
  await look()
  expect(await credits(who)).toBe(131n * DOLLAR)
  const large = await chain.pay(who.wallet, treasury, 101n * DOLLAR)
  await chain.mine(3)
  await look()
  expect(await status(who, large.hash)).toBe('confirming')
  await chain.mine(2)
  await look()
  expect(await status(who, large.hash)).toBe('credited')
})

test('a stranger’s payment looks like no payment', async () => {
  const who = await payer()
  const stranger = await payer()
  const { hash } = await chain.pay(who.wallet, treasury, 5n * DOLLAR)
  const unknown: Hex = `0x${'12'.repeat(32)}`
  const seen = async () => {
    const all = await listDeposits(deps, stranger.account, 10)
    return all.map(({ status, reason, creditsMicros }) => ({ status, reason, creditsMicros }))
  }
  await claim(stranger, hash)
  await claim(stranger, unknown)
  for (const step of [() => {}, () => chain.mine(1), () => chain.mine(3), () => chain.mine(10)]) {
    await step()
    await look()
    const [one, other] = await seen()
    expect(one).toEqual(other)
    expect(one).toMatchObject({ status: 'pending', creditsMicros: null })
  }
  now = secondsAfter(now, 601)
  await look()
  expect(await seen()).toEqual([
    { status: 'rejected', reason: 'not_found', creditsMicros: null },
    { status: 'rejected', reason: 'not_found', creditsMicros: null },
  ])
  expect(await credits(who)).toBe(5n * DOLLAR)
  expect(await credits(stranger)).toBe(0n)
  const [mine] = await listDeposits(deps, who.account, 10)
  await expect(showDeposit(deps, stranger.account, mine?.id ?? '')).rejects.toMatchObject({
    code: 'not_found',
  })
})

test('a reverted payment, a fake token, a forged log, a wrong recipient and coin are rejected, each with its reason', async () => {
  const who = await payer(20n * DOLLAR)
  const fake = await chain.fakeToken(chain.bank)
  await chain.send(chain.bank, chain.transferCall(who.wallet.address, 50n * DOLLAR, fake))
  await chain.mine()
  const reverted = await chain.pay(who.wallet, treasury, 21n * DOLLAR)
  const faked = await chain.pay(who.wallet, treasury, 10n * DOLLAR, fake)
  const forged = await chain.send(who.wallet, {
    data: forgedTransfer(who.wallet.address, treasury, 10n * DOLLAR),
  })
  const elsewhere = await chain.pay(who.wallet, chain.bank.address, 1n * DOLLAR)
  const coin = await chain.send(who.wallet, { to: treasury, value: parseEther('0.001') })
  for (const { hash } of [reverted, faked, forged, elsewhere, coin]) await claim(who, hash)
  await settled()
  expect(await status(who, reverted.hash)).toBe('rejected reverted')
  expect(await status(who, faked.hash)).toBe('rejected wrong_token')
  expect(await status(who, forged.hash)).toBe('rejected wrong_token')
  expect(await status(who, elsewhere.hash)).toBe('rejected wrong_recipient')
  expect(await status(who, coin.hash)).toBe('rejected wrong_token')
  expect(await credits(who)).toBe(0n)
  await booksMatchTheChain()
})

/** Approves a contract that is about to be made, and makes it: its calls then spend for the wallet. */
async function inOneTransaction(who: Payer, parts: { to: Address; micros: bigint }[]): Promise<Hex> {
  const nonce = await chain.client.getTransactionCount({ address: who.wallet.address })
  const contract = getContractAddress({ from: who.wallet.address, nonce: BigInt(nonce + 1) })
  await chain.send(who.wallet, {
    to: chain.local.token.address,
    data: encodeFunctionData({ abi: tokenAbi, functionName: 'approve', args: [contract, 2n ** 255n] }),
  })
  const calls = parts.map(({ to, micros }) => ({
    to: chain.local.token.address,
    data: encodeFunctionData({
      abi: tokenAbi,
      functionName: 'transferFrom',
      args: [who.wallet.address, to, micros],
    }),
  }))
  return (await chain.send(who.wallet, { data: callsInOne(calls) })).hash
}

test('two payments in one transaction are two credits and one deposit', async () => {
  const who = await payer()
  const hash = await inOneTransaction(who, [
    { to: treasury, micros: 4n * DOLLAR },
    { to: treasury, micros: 5n * DOLLAR },
  ])
  await settled()
  expect(await credits(who)).toBe(9n * DOLLAR)
  expect(await listDeposits(deps, who.account, 10)).toMatchObject([
    { txHash: hash, status: 'credited', creditsMicros: '9000000' },
  ])
  expect(await owner`select from payments where tx_hash = ${hash}`).toHaveLength(2)
})

test('where a fee is taken on the way, what arrived is credited', async () => {
  const who = await payer()
  const hash = await inOneTransaction(who, [
    { to: chain.bank.address, micros: 1n * DOLLAR },
    { to: treasury, micros: 24n * DOLLAR },
  ])
  await settled()
  expect(await status(who, hash)).toBe('credited')
  expect(await credits(who)).toBe(24n * DOLLAR)
})

test('a payment that a relayer sends is the signer’s, not the relayer’s', async () => {
  const who = await payer()
  const relayer = await payer(0n)
  const call = await authorizedTransfer(chain, who.wallet, treasury, 8n * DOLLAR)
  const { hash } = await chain.send(relayer.wallet, call)
  await claim(relayer, hash)
  await claim(who, hash)
  await settled()
  expect(await status(who, hash)).toBe('credited')
  expect(await credits(who)).toBe(8n * DOLLAR)
  expect(await credits(relayer)).toBe(0n)
  // The same signature again pays nothing.
  const replay = await chain.send(relayer.wallet, call)
  await settled()
  expect(await credits(who)).toBe(8n * DOLLAR)
  expect((await chain.client.getTransactionReceipt({ hash: replay.hash })).status).toBe('reverted')
})

test('a replaced payment is dropped, and what replaced it is credited', async () => {
  const who = await payer()
  const nonce = await chain.client.getTransactionCount({ address: who.wallet.address })
  const original = await chain.pay(who.wallet, treasury, 6n * DOLLAR)
  await claim(who, original.hash)
  await look()
  expect(await status(who, original.hash)).toBe('seen')
  const replacement = await chain.send(who.wallet, { ...toTreasury(7n * DOLLAR), nonce, outbid: true })
  await settled()
  expect(await status(who, original.hash)).toBe('seen')
  now = secondsAfter(now, 601)
  await look()
  expect(await status(who, original.hash)).toBe('rejected dropped')
  expect(await status(who, replacement.hash)).toBe('credited')
  expect(await credits(who)).toBe(7n * DOLLAR)
})

test('a payment from an unknown wallet waits on the unclaimed account until the wallet is linked, or an operator assigns it', async () => {
  const [early, exchange] = [await chain.somebody(50n * DOLLAR), await chain.somebody(50n * DOLLAR)]
  const first = await chain.pay(early, treasury, 11n * DOLLAR)
  const second = await chain.pay(exchange, treasury, 12n * DOLLAR)
  await settled()
  await booksMatchTheChain()
  const who = await payer(0n)
  await link(who.account, early)
  await look()
  expect(await status(who, first.hash)).toBe('credited')
  expect(await credits(who)).toBe(11n * DOLLAR)
  const waiting = await waitingPayments()
  const { id } = waiting.find((one) => one.txHash === second.hash) ?? expect.fail('not listed')
  const assigned = { payment: id, accountId: who.account, now }
  await db.operate((tx) => resolveTo(tx, deps.config, assigned))
  await db.operate((tx) => resolveTo(tx, deps.config, assigned))
  expect(await credits(who)).toBe(23n * DOLLAR)
  expect(await status(who, second.hash)).toBe('credited')
  await booksMatchTheChain()
})

// Reorganisations

const reorganise = (depth: number, ...placed: [Hex, number][]) => chain.rpc('anvil_reorg', [depth, placed])

test.each([
  { when: 'seen', blocks: 0 },
  { when: 'confirming', blocks: 1 },
  { when: 'credited', blocks: 3 },
  { when: 'credited', blocks: 8, isFinal: true },
])(
  'a reorganisation while $when, $blocks deep, with the log index moved: credited once',
  async ({ when, blocks, isFinal = false }) => {
    const who = await payer()
    const other = await payer()
    const before = await owner`select from payments`
    await chain.mine()
    const { hash, raw } = await chain.pay(who.wallet, treasury, 13n * DOLLAR)
    await claim(who, hash)
    if (blocks > 0) await chain.mine(blocks)
    await look()
    await look()
    expect(await status(who, hash)).toBe(when)
    expect(await owner`select from payments where tx_hash = ${hash} and is_final`).toHaveLength(
      isFinal ? 1 : 0,
    )
    // Another transfer comes first in the new block, so that the same log has another index.
    const ahead = await createRaw(other, 14n * DOLLAR)
    await reorganise(Math.max(blocks, 1), [ahead, 0], [raw, 0])
    const [old] = await owner<{ block_hash: string; log_index: number }[]>`
    select block_hash, log_index from payments where tx_hash = ${hash}`
    await look()
    await settled()
    await look()
    const [moved] = await owner<{ block_hash: string; log_index: number; ordinal: number }[]>`
    select block_hash, log_index, ordinal from payments where tx_hash = ${hash}`
    expect(old?.log_index).toBe(blocks > 0 ? 0 : undefined)
    expect(moved).toMatchObject({ log_index: 1, ordinal: 0 })
    expect(moved?.block_hash).not.toBe(old?.block_hash)
    expect(await owner`select from payments`).toHaveLength(before.length + 2)
    expect(await credits(who)).toBe(13n * DOLLAR)
    expect(await credits(other)).toBe(14n * DOLLAR)
    await booksMatchTheChain()
  },
)

/** A signed payment that the node has not seen yet. */
async function createRaw(who: Payer, micros: bigint): Promise<Hex> {
  const snapshot = await chain.node.snapshot()
  const { raw } = await chain.pay(who.wallet, treasury, micros)
  await chain.node.revert({ id: snapshot })
  return raw
}

test('a payment that was rejected in a block that goes is credited when it succeeds in another', async () => {
  const who = await payer(0n)
  await chain.mine()
  const { hash, raw } = await chain.pay(who.wallet, treasury, 12n * DOLLAR)
  await claim(who, hash)
  await chain.mine()
  await look()
  expect(await status(who, hash)).toBe('rejected reverted')
  const snapshot = await chain.node.snapshot()
  const funding = await chain.send(chain.bank, chain.transferCall(who.wallet.address, 12n * DOLLAR))
  await chain.node.revert({ id: snapshot })
  await reorganise(1, [funding.raw, 0], [raw, 0])
  await settled()
  expect(await status(who, hash)).toBe('credited')
  expect(await credits(who)).toBe(12n * DOLLAR)
  await booksMatchTheChain()
})

test('an unclaimed payment whose log index moves is unclaimed once, and credited once when its wallet is linked', async () => {
  const [nobody, other] = [await chain.somebody(50n * DOLLAR), await payer()]
  await chain.mine()
  const { hash, raw } = await chain.pay(nobody, treasury, 8n * DOLLAR)
  await chain.mine(6)
  await look()
  const ahead = await createRaw(other, 3n * DOLLAR)
  await reorganise(6, [ahead, 0], [raw, 0])
  await look()
  await settled()
  await look()
  expect(await owner`select log_index as at, state from payments where tx_hash = ${hash}`).toEqual([
    { at: 1, state: 'unclaimed' },
  ])
  await booksMatchTheChain()
  await link(other.account, nobody)
  await look()
  await look()
  expect(await credits(other)).toBe(11n * DOLLAR)
  await booksMatchTheChain()
})

test('a payment whose block goes before it was credited is looked for, then dropped, and found if it comes back late', async () => {
  const who = await payer()
  const { hash, raw } = await chain.pay(who.wallet, treasury, 15n * DOLLAR)
  await chain.mine()
  await look()
  expect(await status(who, hash)).toBe('confirming')
  await reorganise(1)
  await chain.node.dropTransaction({ hash }).catch(() => {})
  await chain.mine(2)
  await look()
  expect(await status(who, hash)).toMatch(/pending|seen/)
  now = secondsAfter(now, 601)
  await look()
  now = secondsAfter(now, 601)
  await look()
  expect(await status(who, hash)).toMatch(/^rejected (not_found|dropped)$/)
  await chain.client.sendRawTransaction({ serializedTransaction: raw })
  await settled()
  expect(await status(who, hash)).toBe('credited')
  expect(await credits(who)).toBe(15n * DOLLAR)
  await booksMatchTheChain()
})

test('a reorganisation after crediting posts a reversing entry, into debt if it was spent; if the payment comes back, it is credited again', async () => {
  const who = await payer()
  const { hash, raw } = await chain.pay(who.wallet, treasury, 16n * DOLLAR)
  await chain.mine(3)
  await look()
  expect(await credits(who)).toBe(16n * DOLLAR)
  await db.work(async (tx) =>
    ledger.post(tx, {
      key: 'test:spent',
      kind: 'charge',
      reference: '',
      ledgerAccount: await ledger.ledgerAccountOf(tx, who.account, now),
      amountMicros: -10n * DOLLAR,
      against: 'sys_revenue',
      at: now,
    }),
  )
  await reorganise(3)
  await chain.node.dropTransaction({ hash }).catch(() => {})
  await chain.mine(1)
  await look()
  expect(await credits(who)).toBe(-10n * DOLLAR)
  expect(await status(who, hash)).toMatch(/pending|seen/)
  const ledgerAccount = await db.jobs`
    select ledger_account_id as id from billing_accounts where account_id = ${who.account}`
  const entries = await store.listEntries(db.jobs, ledgerAccount[0]?.id, 10)
  expect(entries.map((one) => `${one.kind} ${one.amountMicros}`)).toEqual([
    'deposit 16000000',
    'charge -10000000',
    'reversal -16000000',
  ])
  await booksMatchTheChain()
  await chain.client.sendRawTransaction({ serializedTransaction: raw }).catch(() => {})
  await settled()
  expect(await credits(who)).toBe(6n * DOLLAR)
  expect(await status(who, hash)).toBe('credited')
  await booksMatchTheChain()
})

test('a reorganisation of what was final is undone too', async () => {
  const who = await payer()
  const { hash } = await chain.pay(who.wallet, treasury, 17n * DOLLAR)
  await chain.mine(1)
  await look()
  await chain.mine(6)
  await look()
  await look()
  expect(await owner`select from payments where tx_hash = ${hash} and is_final`).toHaveLength(1)
  await reorganise(8)
  await chain.node.dropTransaction({ hash }).catch(() => {})
  await chain.mine(2)
  await look()
  await look()
  expect(await credits(who)).toBe(0n)
  await settled()
  await booksMatchTheChain()
})

test('a reorganisation of an unclaimed payment takes it off the unclaimed account; if it returns, it is there once', async () => {
  const nobody = await chain.somebody(50n * DOLLAR)
  const { hash, raw } = await chain.pay(nobody, treasury, 9n * DOLLAR)
  await settled()
  const unclaimed = async () =>
    (await waitingPayments()).filter((one) => one.txHash === hash).map((one) => BigInt(one.amountMicros))
  expect(await unclaimed()).toEqual([9n * DOLLAR])
  await reorganise(6)
  await chain.node.dropTransaction({ hash }).catch(() => {})
  await chain.mine(2)
  await look()
  await look()
  expect(await unclaimed()).toEqual([])
  await chain.client.sendRawTransaction({ serializedTransaction: raw }).catch(() => {})
  await settled()
  await look()
  expect(await unclaimed()).toEqual([9n * DOLLAR])
  await booksMatchTheChain()
})

// Nodes

const pays = async (micros: bigint) => {
  const who = await payer()
  const { hash } = await chain.pay(who.wallet, treasury, micros)
  await chain.mine(6)
  return { who, hash }
}

test.each([
  { name: 'answers 429', fault: () => ({ status: 429, body: 'slow down' }) },
  { name: 'answers 503 with HTML', fault: () => ({ status: 503, body: '<html>down</html>' }) },
  { name: 'answers nonsense', fault: () => ({ result: { nonsense: true } }) },
])('a node that $name credits nothing and loses nothing', async ({ fault }) => {
  const { who, hash } = await pays(18n * DOLLAR)
  await claim(who, hash)
  node.misbehave(fault)
  await expect(scan()).rejects.toThrow()
  await expect(confirm()).rejects.toThrow()
  expect(await credits(who)).toBe(0n)
  expect(await status(who, hash)).toBe('pending')
  node.misbehave(undefined)
  await look()
  expect(await credits(who)).toBe(18n * DOLLAR)
})

test('a node of another chain behind the same address is believed nothing', async () => {
  const { who, hash } = await pays(19n * DOLLAR)
  await claim(who, hash)
  node.misbehave((method) => (method === 'eth_chainId' ? { result: '0x1' } : undefined))
  await expect(scan()).rejects.toThrow(WrongChain)
  await expect(confirm()).rejects.toThrow(WrongChain)
  now = secondsAfter(now, 601)
  await expect(confirm()).rejects.toThrow(WrongChain)
  expect(await status(who, hash)).toBe('pending')
  node.misbehave(undefined)
  await look()
  expect(await credits(who)).toBe(19n * DOLLAR)
})

/** Another node behind the same address, so many blocks behind: it has no later block, and no log in one. */
async function lagging(blocks: number): Promise<void> {
  const { number } = await chain.client.getBlock()
  const beyond = (block: unknown): boolean =>
    typeof block === 'string' && block.startsWith('0x') && BigInt(block) > number - BigInt(blocks)
  node.misbehave((method, [first]) => {
    if (method === 'eth_getLogs') return { result: [] }
    if (method === 'eth_getBlockByNumber' && beyond(first)) return { result: null }
    if (method === 'eth_getTransactionReceipt' || method === 'eth_getTransactionByHash')
      return { result: null }
    return undefined
  })
}

test('a scan that a lagging node answers does not pass over the blocks that the node lacks', async () => {
  const who = await payer()
  await look()
  await chain.pay(who.wallet, treasury, 20n * DOLLAR)
  await chain.mine(6)
  await lagging(6)
  await expect(scan()).rejects.toThrow('does not have these blocks')
  node.misbehave(undefined)
  await look()
  expect(await credits(who)).toBe(20n * DOLLAR)
})

test('payments that were left out of a scan all the same are found when their blocks are final', async () => {
  const who = await payer()
  await look()
  await chain.pay(who.wallet, treasury, 21n * DOLLAR)
  await chain.mine()
  node.misbehave((method) => (method === 'eth_getLogs' ? { result: [] } : undefined))
  await scan()
  node.misbehave(undefined)
  await settled()
  await look()
  expect(await credits(who)).toBe(21n * DOLLAR)
})

test('a node that is behind what was scanned is waited for: what was credited stays', async () => {
  const who = await payer()
  const { hash } = await chain.pay(who.wallet, treasury, 22n * DOLLAR)
  await chain.mine(3)
  await look()
  expect(await credits(who)).toBe(22n * DOLLAR)
  await chain.mine(1)
  await lagging(20)
  await scan().catch(() => {})
  await confirm()
  expect(await credits(who)).toBe(22n * DOLLAR)
  expect(await status(who, hash)).toBe('credited')
})

test('a range that a provider refuses is asked for in smaller parts', async () => {
  const { who } = await pays(23n * DOLLAR)
  await chain.mine(30)
  node.misbehave((method, [filter]) => {
    if (method !== 'eth_getLogs') return undefined
    const { fromBlock, toBlock } = filter as { fromBlock: Hex; toBlock: Hex }
    if (BigInt(toBlock) - BigInt(fromBlock) < 2n) return undefined
    return { status: 400, body: '{"jsonrpc":"2.0","error":{"code":-32602,"message":"at most 2 blocks"}}' }
  })
  for (let visit = 0; visit < 5; visit++) await scan()
  await confirm()
  expect(await credits(who)).toBe(23n * DOLLAR)
})

test('scans and looks that run at once, and again, credit once', async () => {
  const { who, hash } = await pays(24n * DOLLAR)
  await claim(who, hash)
  now = secondsAfter(now, 1)
  await Promise.all([scan(), confirm(), scan(), confirm()])
  await Promise.all([confirm(), confirm(), confirm()])
  await look()
  expect(await credits(who)).toBe(24n * DOLLAR)
  await booksMatchTheChain()
})

test('an account may have so many transactions looked for, and no more', async () => {
  const who = await payer(0n)
  const hash = (n: number): Hex => `0x${n.toString(16).padStart(64, '0')}`
  for (let n = 1; n <= 20; n++) await claim(who, hash(n))
  await expect(claim(who, hash(21))).rejects.toMatchObject({ code: 'rate_limited' })
  expect((await claim(who, hash(1))).status).toBe('pending')
})

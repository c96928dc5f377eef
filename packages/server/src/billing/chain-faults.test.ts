import type { Hex } from 'viem'
import { expect, test } from 'vitest'
import { WrongChain } from '../providers/chain/transfers.ts'
import { DOLLAR, depositWorld, treasury } from './testing/deposit-world.ts'

const { booksMatchTheChain, chain, claim, confirm, credits, look, node, pass, payer, scan, settled, status } =
  await depositWorld()

const pays = async (micros: bigint) => {
  const who = await payer()
  const { hash } = await chain.pay(who.wallet, treasury, micros)
  await chain.mine(6)
  return { who, hash }
}

test('a node of another chain behind the same address is believed nothing', async () => {
  const { who, hash } = await pays(19n * DOLLAR)
  await claim(who, hash)
  node.misbehave((method) => (method === 'eth_chainId' ? { result: '0x1' } : undefined))
  await expect(scan()).rejects.toThrow(WrongChain)
  await expect(confirm()).rejects.toThrow(WrongChain)
  pass(601)
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
  pass(1)
  await Promise.all([scan(), confirm(), scan(), confirm()])
  await Promise.all([confirm(), confirm(), confirm()])
  await look()
  expect(await credits(who)).toBe(24n * DOLLAR)
  await booksMatchTheChain()
})

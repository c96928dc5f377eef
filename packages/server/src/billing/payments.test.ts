import type { Hex } from 'viem'
import { expect, test } from 'vitest'
import { orphanPayment, settlePayment } from './payments.ts'
import { DOLLAR, depositWorld, treasury } from './testing/deposit-world.ts'
import { authorizedTransfer } from './testing/paying.ts'

const {
  chain,
  claim,
  confirm,
  credits,
  db,
  deps,
  look,
  owner,
  pass,
  payer,
  scan,
  settled,
  status,
  toTreasury,
} = await depositWorld()
const nowhere: Hex = `0x${'0'.repeat(64)}`

async function stateOf(txHash: Hex): Promise<string | undefined> {
  const [row] = await owner<{ state: string }[]>`select state from payments where tx_hash = ${txHash}`
  return row?.state
}

test('a payment from an unknown wallet is unclaimed when its block is final, and not when it is only safe', async () => {
  const stranger = await chain.somebody(50n * DOLLAR)
  const { hash } = await chain.pay(stranger, treasury, 6n * DOLLAR)
  await chain.mine(3)
  await look()
  expect(await stateOf(hash)).toBe('confirming')
  await settled()
  expect(await stateOf(hash)).toBe('unclaimed')
})

test('an answer about another block neither credits a payment nor takes it back', async () => {
  const who = await payer()
  const { hash } = await chain.pay(who.wallet, treasury, 5n * DOLLAR)
  const key = { chainId: chain.local.chainId, txHash: hash, ordinal: 0 }
  const now = deps.clock.now()
  await chain.mine()
  await scan()
  await db.work((tx) => settlePayment(tx, key, { hash: nowhere, certainty: 'final' }, now))
  expect(await stateOf(hash)).toBe('confirming')
  await settled()
  await db.work((tx) => orphanPayment(tx, key, nowhere, now))
  expect(await stateOf(hash)).toBe('credited')
  expect(await credits(who)).toBe(5n * DOLLAR)
})

test('a transaction that no node knows is looked for for ten minutes', async () => {
  const who = await payer(0n)
  await claim(who, nowhere)
  for (const seconds of [301, 290]) {
    pass(seconds)
    await confirm()
    expect(await status(who, nowhere)).toBe('pending')
  }
  pass(31)
  await confirm()
  expect(await status(who, nowhere)).toBe('rejected not_found')
})

test('a claim is found by whom the token names as sender, also where nobody has scanned', async () => {
  const who = await payer()
  const relayer = await chain.somebody(0n)
  const call = await authorizedTransfer(chain, who.wallet, treasury, 4n * DOLLAR)
  const { hash } = await chain.send(relayer, call)
  await claim(who, hash)
  await chain.mine(3)
  pass(1)
  await confirm()
  expect(await status(who, hash)).toBe('credited')
  expect(await credits(who)).toBe(4n * DOLLAR)
})

test('a transfer of nothing, and one from our own address to itself, is no payment', async () => {
  const who = await payer()
  const { hash: nothing } = await chain.pay(who.wallet, treasury, 0n)
  await chain.pay(who.wallet, treasury, 2n * DOLLAR)
  await chain.node.impersonateAccount({ address: treasury })
  await chain.node.setBalance({ address: treasury, value: 10n ** 18n })
  await chain.mine()
  const own = (await chain.rpc('eth_sendTransaction', [{ from: treasury, ...toTreasury(DOLLAR) }])) as Hex
  await settled()
  for (const hash of [nothing, own]) {
    expect((await chain.client.getTransactionReceipt({ hash })).status).toBe('success')
    expect(await stateOf(hash)).toBeUndefined()
  }
  expect(await credits(who)).toBe(2n * DOLLAR)
})

test('a stranger’s transaction that reverted looks like no transaction', async () => {
  const [who, stranger] = [await payer(), await payer(0n)]
  const { hash } = await chain.pay(who.wallet, treasury, 2000n * DOLLAR)
  await chain.mine()
  for (const one of [who, stranger]) await claim(one, hash)
  pass(1)
  await confirm()
  expect(await status(who, hash)).toBe('rejected reverted')
  expect(await status(stranger, hash)).toBe('pending')
})

test('a hash in capitals is the same transaction', async () => {
  const who = await payer()
  const { hash } = await chain.pay(who.wallet, treasury, 3n * DOLLAR)
  const { id } = await claim(who, `0x${hash.slice(2).toUpperCase()}`)
  expect((await claim(who, hash)).id).toBe(id)
  await settled()
  expect(await status(who, hash)).toBe('credited')
})

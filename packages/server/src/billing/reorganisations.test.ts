import { expect, test } from 'vitest'
import * as ledger from './ledger.ts'
import * as store from './store.ts'
import { DOLLAR, depositWorld, treasury } from './testing/deposit-world.ts'

const {
  booksMatchTheChain,
  chain,
  claim,
  createRaw,
  credits,
  db,
  deps,
  link,
  look,
  owner,
  pass,
  payer,
  reorganise,
  settled,
  status,
  waitingPayments,
} = await depositWorld()

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
  pass(601)
  await look()
  pass(601)
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
      ledgerAccount: await ledger.ledgerAccountOf(tx, who.account, deps.clock.now()),
      amountMicros: -10n * DOLLAR,
      against: 'sys_revenue',
      at: deps.clock.now(),
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

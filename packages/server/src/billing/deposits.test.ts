import { type Address, encodeFunctionData, getContractAddress, type Hex, parseEther } from 'viem'
import { expect, test } from 'vitest'
import { listDeposits, showDeposit } from './deposits.ts'
import { DOLLAR, depositWorld, type Payer, treasury } from './testing/deposit-world.ts'
import { authorizedTransfer, callsInOne, forgedTransfer, tokenAbi } from './testing/paying.ts'
import { resolveTo } from './unclaimed-payments.ts'

const {
  booksMatchTheChain,
  chain,
  claim,
  credits,
  db,
  deps,
  link,
  look,
  owner,
  pass,
  payer,
  settled,
  status,
  toTreasury,
  waitingPayments,
} = await depositWorld()

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
  pass(601)
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
  pass(601)
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
  const assigned = { payment: id, accountId: who.account, now: deps.clock.now() }
  await db.operate((tx) => resolveTo(tx, deps.config, assigned))
  await db.operate((tx) => resolveTo(tx, deps.config, assigned))
  expect(await credits(who)).toBe(23n * DOLLAR)
  expect(await status(who, second.hash)).toBe('credited')
  await booksMatchTheChain()
})

test('an account may have so many transactions looked for, and no more', async () => {
  const who = await payer(0n)
  const hash = (n: number): Hex => `0x${n.toString(16).padStart(64, '0')}`
  for (let n = 1; n <= 20; n++) await claim(who, hash(n))
  await expect(claim(who, hash(21))).rejects.toMatchObject({ code: 'rate_limited' })
  expect((await claim(who, hash(1))).status).toBe('pending')
})

import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import type { Hex } from 'viem'
import { generatePrivateKey, type PrivateKeyAccount } from 'viem/accounts'
import type { Operation, Subject } from './journey.ts'
import type { World } from './world.ts'

const DOLLAR = 1_000_000n
const SHOWN_MS = 10_000
/** How soon a transaction is looked for again that was sent and is in no block yet, and a bit. */
const LOOK_SECONDS = 2
/** After this a transaction that no node knows is given up, and a bit. */
const SOUGHT_SECONDS = 601

interface Deposit {
  id: string
  status: string
  reason: string | null
  countsAt: string | null
}

/** Payments on chain: found, claimed, large, undone by a reorganisation, nobody's, and none at all. */
export const chainOperations: Operation[] = [
  {
    name: 'deposit found by the scanner',
    optional: true,
    async run(world, subject) {
      const { chain } = world.payments
      const { hash } = await pay(world, subject, 25n * DOLLAR)
      await chain.mine()
      await scan(world)
      await expectDeposit(world, hash, 'confirming safe')
      await mineAndConfirm(world, 2)
      await expectDeposit(world, hash, 'credited safe')
      await mineAndConfirm(world, 4)
    },
    check: (world, subject) => checkPaid(world, subject, ['credited 25000000 1']),
  },
  {
    name: 'deposit claimed by its hash',
    optional: true,
    async run(world, subject) {
      const { chain } = world.payments
      const { hash } = await pay(world, subject, 12n * DOLLAR)
      const claimed = await claim(world, hash)
      await world.visit('confirm-deposits')
      await expectDeposit(world, hash, 'seen null')
      await chain.mine()
      await world.advance(LOOK_SECONDS)
      await world.visit('confirm-deposits')
      await mineAndConfirm(world, 2)
      const shown = await world.api.call<Deposit>(
        'GET',
        `/v1/billing/deposits/${claimed.id}?waitSeconds=5&status=confirming`,
      )
      if (shown.status !== 'credited') throw new Error(`The claimed deposit is ${shown.status}.`)
      await mineAndConfirm(world, 4)
      await scan(world)
    },
    check: (world, subject) => checkPaid(world, subject, ['credited 12000000 1']),
  },
  {
    name: 'deposit above the exposure',
    optional: true,
    async run(world, subject) {
      const { chain } = world.payments
      const { hash } = await pay(world, subject, 150n * DOLLAR)
      await chain.mine()
      await scan(world)
      await mineAndConfirm(world, 2)
      await expectDeposit(world, hash, 'confirming finalized')
      await mineAndConfirm(world, 4)
      await expectDeposit(world, hash, 'credited finalized')
    },
    check: (world, subject) => checkPaid(world, subject, ['credited 150000000 1']),
  },
  {
    name: 'reorganisation',
    optional: true,
    async run(world, subject) {
      const { chain } = world.payments
      const { hash, raw } = await pay(world, subject, 16n * DOLLAR)
      await chain.mine()
      await scan(world)
      await mineAndConfirm(world, 2)
      await expectDeposit(world, hash, 'credited safe')
      await scan(world)
      await reorganise(world, 3)
      await chain.node.dropTransaction({ hash }).catch(() => {})
      await chain.mine()
      await scan(world)
      await expectDeposit(world, hash, 'pending null')
      // Back in another block, behind somebody else's payment: the same log has another index.
      const ahead = await payLater(world, 3n * DOLLAR)
      await chain.mine()
      await reorganise(world, 1, [ahead, 0], [raw, 0])
      await scan(world)
      await mineAndConfirm(world, 6)
      await expectDeposit(world, hash, 'credited safe')
    },
    check: (world, subject) => checkPaid(world, subject, ['credited 16000000 2']),
  },
  {
    name: 'payment of a stranger, whose wallet is linked later',
    optional: true,
    async run(world, subject) {
      const { hash, wallet } = await payAsStranger(world, subject, 7n * DOLLAR)
      await link(world, wallet)
      await world.visit('confirm-deposits')
      await expectDeposit(world, hash, 'credited null')
    },
    check: (world, subject) => checkPaid(world, subject, ['credited 7000000 1']),
  },
  {
    name: 'claims of what is no payment',
    optional: true,
    async run(world, subject) {
      const { chain } = world.payments
      const unknown = generatePrivateKey()
      await claim(world, unknown)
      const wallet = await linkedWallet(world, subject)
      const { hash: wrong } = await chain.pay(wallet, chain.bank.address, 2n * DOLLAR)
      await chain.mine()
      await claim(world, wrong)
      await world.visit('confirm-deposits')
      await expectDeposit(world, wrong, 'rejected null wrong_recipient')
      await expectDeposit(world, unknown, 'pending null')
      await world.advance(SOUGHT_SECONDS)
      await world.visit('confirm-deposits')
      await expectDeposit(world, unknown, 'rejected null not_found')
      await mineAndConfirm(world, 6)
    },
    check: (world, subject) => checkPaid(world, subject, []),
  },
]

/** Pays from a linked wallet and sees the payment through; resolves when it is credited for good. */
export async function depositOnChain(world: World, subject: Subject, micros: bigint): Promise<Hex> {
  const { hash } = await pay(world, subject, micros)
  await world.payments.chain.mine(6)
  await scan(world)
  await expectDeposit(world, hash, micros > 100n * DOLLAR ? 'credited finalized' : 'credited safe')
  return hash
}

/** Whatever was begun on the chain comes to its end. */
export async function endPayments(world: World): Promise<void> {
  await mineAndConfirm(world, 8)
  await scan(world)
}

/** Wallets of a run: each operation begins with one of its own, for its payments are found by it. */
const wallets = new WeakMap<Subject, PrivateKeyAccount>()

async function newWallet(world: World, subject: Subject): Promise<PrivateKeyAccount> {
  const wallet = await world.payments.chain.somebody(1000n * DOLLAR)
  wallets.set(subject, wallet)
  return wallet
}

async function linkedWallet(world: World, subject: Subject): Promise<PrivateKeyAccount> {
  const wallet = await newWallet(world, subject)
  await link(world, wallet)
  return wallet
}

/** As a login with it would. */
async function link({ sql, account }: World, wallet: PrivateKeyAccount): Promise<void> {
  await sql`
    insert into wallets (address, account_id, linked_at)
    values (${wallet.address.toLowerCase()}, ${account}, clock_timestamp())`
}

async function pay(world: World, subject: Subject, micros: bigint): Promise<{ hash: Hex; raw: Hex }> {
  const { chain, treasury } = world.payments
  return chain.pay(await linkedWallet(world, subject), treasury.address, micros)
}

/** From a wallet that nobody has linked; resolves when it waits for somebody to say whose it is. */
export async function payAsStranger(
  world: World,
  subject: Subject,
  micros: bigint,
): Promise<{ hash: Hex; wallet: PrivateKeyAccount }> {
  const { chain, treasury } = world.payments
  const wallet = await newWallet(world, subject)
  const { hash } = await chain.pay(wallet, treasury.address, micros)
  await chain.mine(6)
  await scan(world)
  const [payment] = await world.sql<{ state: string }[]>`select state from payments where tx_hash = ${hash}`
  if (payment?.state !== 'unclaimed') throw new Error(`The payment is ${payment?.state}, not unclaimed.`)
  return { hash, wallet }
}

/** Somebody else's payment, signed and not sent yet. */
async function payLater(world: World, micros: bigint): Promise<Hex> {
  const { chain, treasury } = world.payments
  const stranger = await chain.somebody(10n * DOLLAR)
  const id = await chain.node.snapshot()
  const { raw } = await chain.pay(stranger, treasury.address, micros)
  await chain.node.revert({ id })
  return raw
}

async function reorganise(world: World, depth: number, ...placed: [Hex, number][]): Promise<void> {
  await world.payments.chain.rpc('anvil_reorg', [depth, placed])
}

async function scan(world: World): Promise<void> {
  await world.visit('scan-deposits')
  await world.visit('confirm-deposits')
}

async function mineAndConfirm(world: World, blocks: number): Promise<void> {
  await world.payments.chain.mine(blocks)
  await world.visit('confirm-deposits')
}

function claim(world: World, txHash: string): Promise<Deposit> {
  return world.api.call<Deposit>('POST', '/v1/billing/deposits', { body: { txHash }, idempotent: true })
}

/** Its status, what it counts at, and why it was rejected. */
async function expectDeposit(world: World, hash: string, expected: string): Promise<void> {
  let last = ''
  const look = async (): Promise<boolean> => {
    const [row] = await world.sql<{ shown: string }[]>`
      select concat_ws(' ', status, coalesce(counts_at, 'null'), reason) as shown
      from deposits where tx_hash = ${hash}`
    last = row?.shown ?? 'not there'
    return last === expected
  }
  // The database may be away for a moment, as one of the faults.
  const isRight = await waitUntil(() => look().catch(() => false), { withinMs: SHOWN_MS })
  if (!isRight) throw new Error(`The deposit is ${last}, not ${expected}.`)
}

/** State, amount, and how often it was credited, of the payments of this run's last wallet. */
export async function checkPaid({ sql }: World, subject: Subject, expected: string[]): Promise<string[]> {
  const sender = wallets.get(subject)?.address.toLowerCase() ?? ''
  const rows = await sql<{ shown: string }[]>`
    select concat_ws(' ', state, amount_micros, credit_count) as shown from payments where sender = ${sender}`
  const found = rows.map(({ shown }) => shown)
  return found.join() === expected.join() ? [] : [`payments are ${found.join()}, not ${expected.join()}`]
}

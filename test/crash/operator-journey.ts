import type { ChainPayment } from '@agentctl/contract/operators.ts'
import type { Address, Hex } from 'viem'
import { allTold, cardControl, openPage, until } from './card-journey.ts'
import { checkPaid, depositOnChain, payAsStranger } from './chain-journey.ts'
import type { Operation } from './journey.ts'
import type { World } from './world.ts'

const DOLLAR = 1_000_000n
/** From here on a transfer is final. */
const FINAL_BLOCKS = 6

/** The invariants compare the books with all that the processor knows, and with what the operator has decided. */
const nothingMore = async (): Promise<string[]> => []

/** What an operator decides about payments that nobody can be matched with, or that somebody wants back. */
export const operatorOperations: Operation[] = [
  {
    name: 'unclaimed payment, credited by an operator',
    optional: true,
    async run(world, subject) {
      const { hash } = await payAsStranger(world, subject, 9n * DOLLAR)
      await resolve(world, hash, { account: world.account })
    },
    check: (world, subject) => checkPaid(world, subject, ['credited 9000000 1']),
  },
  {
    name: 'unclaimed payment, returned by an operator',
    optional: true,
    async run(world, subject) {
      const { hash, wallet } = await payAsStranger(world, subject, 8n * DOLLAR)
      await resolve(world, hash, { returnedBy: await sendBack(world, wallet.address, 8n * DOLLAR) })
    },
    check: (world, subject) => checkPaid(world, subject, ['returned 8000000 1']),
  },
  {
    name: 'deposit, refunded by an operator',
    optional: true,
    async run(world, subject) {
      const hash = await depositOnChain(world, subject, 14n * DOLLAR)
      await world.visit('confirm-deposits')
      const { sender } = await world.operator.call<ChainPayment>(
        'POST',
        `/v1/operator/payments/${idOf(world, hash)}/refund`,
        { body: { reason: REASON } },
      )
      await resolve(world, hash, { returnedBy: await sendBack(world, sender as Address, 14n * DOLLAR) })
    },
    check: (world, subject) => checkPaid(world, subject, ['returned 14000000 2']),
  },
  {
    name: 'card mismatch, credited by an operator',
    optional: true,
    async run(world) {
      const payment = await payOther(world, 25n)
      await world.operator.call('POST', `/v1/operator/card-payments/${payment}/credit`)
      await lookedAt(world)
    },
    check: nothingMore,
  },
  {
    name: 'card mismatch, given back by an operator',
    optional: true,
    async run(world) {
      await giveBack(world, await payOther(world, 35n), {})
    },
    check: nothingMore,
  },
  {
    name: 'card payment, given back in part by an operator',
    optional: true,
    async run(world) {
      const page = await openPage(world, 20n)
      await cardControl(world, 'POST', `/sessions/${page.session}/pay`, { how: 'card' })
      await until(world, page, 'paid')
      await giveBack(world, paymentOf(world, page.session), { amountMicros: String(6n * DOLLAR) })
    },
    check: nothingMore,
  },
]

/** In the journeys each payment is the only one of its transaction. */
const idOf = ({ payments }: World, hash: Hex): string => `${payments.chain.local.chainId}:${hash}:0`

async function resolve(
  world: World,
  hash: Hex,
  body: { account: string } | { returnedBy: Hex },
): Promise<void> {
  await world.operator.call('POST', `/v1/operator/payments/${idOf(world, hash)}/resolve`, { body })
}

async function sendBack({ payments }: World, to: Address, micros: bigint): Promise<Hex> {
  const { chain, treasury } = payments
  const { hash } = await chain.pay(treasury, to, micros)
  await chain.mine(FINAL_BLOCKS)
  return hash
}

/** A page is paid for that was opened for a dollar more, as far as we know. Returns the payment. */
async function payOther(world: World, dollars: bigint): Promise<string> {
  const page = await openPage(world, dollars)
  await world.sql`
    update checkouts set amount_micros = ${(dollars + 1n) * DOLLAR}::bigint where id = ${page.checkout}`
  await cardControl(world, 'POST', `/sessions/${page.session}/pay`, { how: 'card' })
  await allTold(world)
  return paymentOf(world, page.session)
}

function paymentOf({ payments }: World, session: string): string {
  const id = payments.stripeState().sessions.find((one) => one.id === session)?.paymentIntentId
  if (!id) throw new Error('Nothing was paid on that page.')
  return id
}

const REASON = 'The payer asked for it.'

async function giveBack(world: World, payment: string, body: { amountMicros?: string }): Promise<void> {
  await world.operator.call('POST', `/v1/operator/card-payments/${payment}/refund`, {
    body: { ...body, reason: REASON },
  })
  await lookedAt(world)
}

/** What follows from the decision is done, and told. */
async function lookedAt(world: World): Promise<void> {
  await world.visit('refund-card')
  await world.visit('look-at-card')
  await allTold(world)
}

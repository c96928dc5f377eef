import { parseAbi } from 'viem'
import { type Decision, listDecisions } from './operator-decisions.ts'
import type { World } from './world.ts'

const tokenEvents = parseAbi(['event Transfer(address indexed from, address indexed to, uint256 value)'])

interface ChainTransfer {
  name: string
  txHash: string
  sender: string
  micros: bigint
}

interface PaymentRow {
  name: string
  state: string
  micros: bigint
  returnedTx: string | null
  credited: bigint
  unclaimed: bigint
}

/** Each payment on chain is credited, unclaimed or returned, as its sender and the operators say, and nothing else is. */
export async function paymentsAreTheChain(world: World): Promise<string[]> {
  const { sql } = world
  const { paid, sent } = await transfersOf(world)
  const decisions = await listDecisions(world)
  const linked = new Set(
    (await sql<{ address: string }[]>`select address from wallets`).map((row) => row.address),
  )
  const rows = await listPayments(world)
  const known = new Map(rows.map((row) => [row.name, row]))
  const [treasury] = await sql<{ micros: bigint }[]>`
    select -coalesce(sum(amount_micros), 0)::bigint as micros from ledger_entries
    where ledger_account_id = 'sys_treasury' and transaction_key not like 'crash%'`
  const total = sum(paid) - sum(sent)
  return [
    ...paid.flatMap(({ name, sender, micros }) => {
      const state = stateOf(name, linked.has(sender), decisions)
      const credited = state === 'credited' ? micros : 0n
      const unclaimed = state === 'unclaimed' || state === 'refunding' ? micros : 0n
      const row = known.get(name)
      const there = `${row?.state ?? 'not known'}, credited ${row?.credited ?? 0}, unclaimed ${row?.unclaimed ?? 0}`
      const wanted = `${state}, credited ${credited}, unclaimed ${unclaimed}`
      return there === wanted ? [] : [`${name} of ${micros} is ${there}`]
    }),
    ...rows
      .filter(({ name }) => !paid.some((one) => one.name === name))
      .filter(({ state, credited, unclaimed }) => state !== 'orphaned' || credited !== 0n || unclaimed !== 0n)
      .map(({ name, state }) => `${name} is ${state} and not on the chain`),
    ...sent.flatMap(({ txHash, micros }) => {
      const returned = rows.filter((row) => row.returnedTx === txHash).map((row) => row.micros)
      return returned.join() === String(micros) ? [] : [`${txHash} of ${micros} has returned ${returned}`]
    }),
    ...(treasury?.micros === total
      ? []
      : [`the books say that ${treasury?.micros} was paid on chain, the chain says ${total}`]),
  ]
}

/** In the journeys each transfer is a transaction of its own, so that its log is the first of its receipt. */
async function transfersOf({ payments }: World): Promise<{ paid: ChainTransfer[]; sent: ChainTransfer[] }> {
  const { chain, treasury } = payments
  const list = async (args: { from: `0x${string}` } | { to: `0x${string}` }): Promise<ChainTransfer[]> => {
    const logs = await chain.client.getContractEvents({
      abi: tokenEvents,
      strict: true,
      address: chain.local.token.address,
      eventName: 'Transfer',
      args,
      fromBlock: 0n,
    })
    return logs.map(({ transactionHash, args: { from, value } }) => ({
      name: `${transactionHash}:0`,
      txHash: transactionHash,
      sender: from.toLowerCase(),
      micros: value,
    }))
  }
  const [paid, sent] = await Promise.all([list({ to: treasury.address }), list({ from: treasury.address })])
  return { paid, sent }
}

function listPayments({ sql }: World): Promise<PaymentRow[]> {
  return sql<PaymentRow[]>`
    select tx_hash || ':' || ordinal as name, state, amount_micros as micros, returned_tx as "returnedTx",
      coalesce((
        select sum(e.amount_micros) from ledger_entries e where e.sequence is not null
          and e.transaction_key like '%:' || p.tx_hash || ':' || p.ordinal || ':%'), 0)::bigint as credited,
      coalesce((
        select sum(e.amount_micros) from ledger_entries e where e.ledger_account_id = 'sys_unclaimed'
          and e.transaction_key like '%:' || p.tx_hash || ':' || p.ordinal || ':%'), 0)::bigint as unclaimed
    from payments p`
}

/** What operators do twice is the same as once. */
function stateOf(name: string, isLinked: boolean, decisions: readonly Decision[]): string {
  let state = isLinked ? 'credited' : 'unclaimed'
  for (const { act, payment, to } of decisions) {
    if (!payment.endsWith(`:${name}`)) continue
    if (act === 'refundPayment') state = 'refunding'
    if (act === 'resolvePayment') state = to?.startsWith('acc_') ? 'credited' : 'returned'
  }
  return state
}

const sum = (transfers: readonly ChainTransfer[]): bigint =>
  transfers.reduce((total, { micros }) => total + micros, 0n)

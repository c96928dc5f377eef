import { join } from 'node:path'
import { verifyLedger } from '@agentctl/contract/ledger-export.ts'
import { exportLedger } from '@agentctl/server/billing/ledger.ts'
import { openLedgerKey } from '@agentctl/server/billing/ledger-key.ts'
import { parseAbi } from 'viem'
import { type Invariant, sentences } from './invariant.ts'
import { chargesAreExact } from './meter-invariant.ts'
import { TREASURY } from './payment-stand-ins.ts'
import type { World } from './world.ts'

const MICROS_PER_CENT = 10_000n
const tokenEvents = parseAbi(['event Transfer(address indexed from, address indexed to, uint256 value)'])

/** What holds of money whenever nothing is under way. */
export const moneyInvariants: Invariant[] = [
  {
    name: 'all entries together are nothing, and so are those of each transaction',
    broken: ({ sql }) =>
      sentences(sql`
      select coalesce(transaction_key, 'all') || ' sums to ' || sum(amount_micros) as broken
      from (
        select transaction_key, amount_micros from ledger_entries
        union all
        -- Of accounts that were erased.
        select record ->> 'transaction_key', (record ->> 'amount_micros')::bigint
        from retained.records where table_name = 'ledger_entries') entries
      group by rollup (transaction_key) having sum(amount_micros) <> 0
      union all
      select key || ' has no entries' from ledger_transactions t
      where amount_micros is not null
        and not exists (select from ledger_entries e where e.transaction_key = t.key)`),
  },
  {
    name: 'a balance is the sum of its entries, and what is held is the sum of the open holds',
    broken: ({ sql }) =>
      sentences(sql`
      select b.ledger_account_id || ' has ' || b.balance_micros || ' in ' || b.entry_count || ' entries, which are '
        || count(e.sequence) || ' of ' || coalesce(sum(e.amount_micros), 0) || ', and holds ' || b.held_micros as broken
      from ledger_balances b left join ledger_entries e using (ledger_account_id)
      group by b.ledger_account_id
      having b.balance_micros <> coalesce(sum(e.amount_micros), 0) or b.entry_count <> count(e.sequence)
        or b.held_micros <> (
          select coalesce(sum(h.amount_micros), 0) from ledger_holds h
          where h.ledger_account_id = b.ledger_account_id
            and not exists (select from ledger_hold_ends ended where ended.hold_key = h.key))`),
  },
  {
    name: 'nobody has spent below the floor',
    broken: ({ sql }) =>
      sentences(sql`
      select ledger_account_id || ' has ' || balance_micros || ' and holds ' || held_micros as broken
      from ledger_balances where balance_micros - held_micros < floor_micros or floor_micros > 0`),
  },
  { name: 'the chain of entries is whole', broken: chainIsWhole },
  { name: 'each payment on chain is credited once, and nothing else is', broken: paymentsAreTheChain },
  { name: 'each payment by card is credited once, less what went back', broken: checkoutsAreTheProcessor },
  { name: 'what burns is charged, exactly and once', broken: chargesAreExact },
]

/** As anybody can check it with an export. */
async function chainIsWhole({ sql, environment, account }: World): Promise<string[]> {
  const key = openLedgerKey(join(environment.DATA_DIR ?? '', 'ledger-keys.json'))
  const verdict = await verifyLedger(await exportLedger(sql, account, key, new Date()))
  return verdict.valid ? [] : [verdict.message]
}

interface ChainPayment {
  name: string
  sender: string
  micros: bigint
}

async function paymentsAreTheChain({ sql, payments }: World): Promise<string[]> {
  if (!payments) return []
  const { chain } = payments
  const logs = await chain.client.getContractEvents({
    abi: tokenEvents,
    strict: true,
    address: chain.local.token.address,
    eventName: 'Transfer',
    args: { to: TREASURY },
    fromBlock: 0n,
  })
  // In the journeys each payment is a transaction of its own, so that its log is the first of its receipt.
  const paid = logs.map(
    ({ transactionHash, args }): ChainPayment => ({
      name: `${transactionHash}:0`,
      sender: args.from.toLowerCase(),
      micros: args.value,
    }),
  )
  const linked = new Set(
    (await sql<{ address: string }[]>`select address from wallets`).map((row) => row.address),
  )
  const rows = await sql<
    { name: string; state: string; micros: bigint; credited: bigint; unclaimed: bigint }[]
  >`
    select tx_hash || ':' || ordinal as name, state, amount_micros as micros,
      coalesce((
        select sum(e.amount_micros) from ledger_entries e where e.sequence is not null
          and e.transaction_key like '%:' || p.tx_hash || ':' || p.ordinal || ':%'), 0)::bigint as credited,
      coalesce((
        select sum(e.amount_micros) from ledger_entries e where e.ledger_account_id = 'sys_unclaimed'
          and e.transaction_key like '%:' || p.tx_hash || ':' || p.ordinal || ':%'), 0)::bigint as unclaimed
    from payments p`
  const known = new Map(rows.map((row) => [row.name, row]))
  const [treasury] = await sql<{ micros: bigint }[]>`
    select -coalesce(sum(amount_micros), 0)::bigint as micros from ledger_entries
    where ledger_account_id = 'sys_treasury' and transaction_key not like 'crash%'`
  const total = paid.reduce((sum, { micros }) => sum + micros, 0n)
  return [
    ...paid.flatMap(({ name, sender, micros }) => {
      const state = linked.has(sender) ? 'credited' : 'unclaimed'
      const row = known.get(name)
      const there = `${row?.state ?? 'not known'}, credited ${row?.credited ?? 0}, unclaimed ${row?.unclaimed ?? 0}`
      const wanted = `${state}, credited ${state === 'credited' ? micros : 0}, unclaimed ${state === 'credited' ? 0 : micros}`
      return there === wanted ? [] : [`${name} of ${micros} is ${there}`]
    }),
    ...rows
      .filter(({ name }) => !paid.some((one) => one.name === name))
      .filter(({ state, credited, unclaimed }) => state !== 'orphaned' || credited !== 0n || unclaimed !== 0n)
      .map(({ name, state }) => `${name} is ${state} and not on the chain`),
    ...(treasury?.micros === total
      ? []
      : [`the books say that ${treasury?.micros} was paid on chain, the chain says ${total}`]),
  ]
}

/** Which entries each checkout must have, from all that the processor knows. */
async function checkoutsAreTheProcessor({ sql, payments }: World): Promise<string[]> {
  if (!payments) return []
  const { sessions, refunds, disputes } = payments.stripeState()
  const rows = await sql<{ id: string; status: string; amounts: bigint[] }[]>`
    select c.id, c.status, coalesce((
      select array_agg(e.amount_micros order by e.amount_micros)
      from ledger_transactions t join ledger_entries e on e.transaction_key = t.key and e.sequence is not null
      where t.reference = c.id), '{}') as amounts
    from checkouts c`
  const cents = (amount: number): bigint => BigInt(amount) * MICROS_PER_CENT
  return rows.flatMap(({ id, status, amounts }) => {
    const pages = sessions.filter((one) => one.clientReferenceId === id)
    const paid = pages.filter(({ paymentStatus }) => paymentStatus === 'paid')
    const intents = new Set(paid.map(({ paymentIntentId }) => paymentIntentId))
    const expected = [
      ...paid.map(({ amountTotal }) => cents(amountTotal)),
      ...refunds
        .filter((one) => intents.has(one.paymentIntentId))
        .flatMap((one) =>
          one.status === 'failed' ? [-cents(one.amount), cents(one.amount)] : [-cents(one.amount)],
        ),
      ...disputes
        .filter((one) => intents.has(one.paymentIntentId))
        .flatMap((one) =>
          one.status === 'won' ? [-cents(one.amount), cents(one.amount)] : [-cents(one.amount)],
        ),
    ].sort((one, other) => (one < other ? -1 : 1))
    return [
      ...(pages.length <= 1 ? [] : [`${id} has ${pages.length} pages`]),
      ...(paid.length > 0 === (status === 'paid') ? [] : [`${id} is ${status}`]),
      ...(amounts.join() === expected.join() ? [] : [`${id} has entries of ${amounts}, not of ${expected}`]),
    ]
  })
}

import type { Sql } from '../platform/db.ts'

// Payments

export interface PaymentKey {
  chainId: number
  txHash: string
  ordinal: number
}

export interface Payment extends PaymentKey {
  sender: string
  amountMicros: bigint
  blockNumber: bigint
  blockHash: string
  state: 'confirming' | 'credited' | 'unclaimed' | 'refunding' | 'returned' | 'orphaned'
  ledgerAccount: string | null
  creditCount: number
  isFinal: boolean
  /** The transaction that sent it back. */
  returnedTx: string | null
  seenAt: Date
}

const paymentFields = (tx: Sql) => tx`
  chain_id::float8 as "chainId", tx_hash as "txHash", ordinal, sender, amount_micros as "amountMicros",
  block_number as "blockNumber", block_hash as "blockHash", state, ledger_account_id as "ledgerAccount",
  credit_count as "creditCount", is_final as "isFinal", returned_tx as "returnedTx", seen_at as "seenAt"`

/** Notes where a payment was seen. One whose block had gone is under way again; a credited one stays credited. */
export async function upsertPayment(
  tx: Sql,
  p: PaymentKey & {
    sender: string
    amountMicros: bigint
    blockNumber: bigint
    blockHash: string
    logIndex: number
    now: Date
  },
): Promise<void> {
  await tx`
    insert into payments (chain_id, tx_hash, ordinal, sender, amount_micros, block_number, block_hash, log_index, seen_at)
    values (${p.chainId}, ${p.txHash}, ${p.ordinal}, ${p.sender}, ${p.amountMicros}, ${p.blockNumber}, ${p.blockHash},
      ${p.logIndex}, ${p.now})
    on conflict (chain_id, tx_hash, ordinal) do update set
      block_number = excluded.block_number, block_hash = excluded.block_hash, log_index = excluded.log_index,
      is_final = payments.is_final and payments.block_hash = excluded.block_hash,
      state = case when payments.state = 'orphaned' then 'confirming' else payments.state end`
}

export async function lockPayment(tx: Sql, key: PaymentKey): Promise<Payment | undefined> {
  const [row] = await tx<Payment[]>`
    select ${paymentFields(tx)} from payments
    where chain_id = ${key.chainId} and tx_hash = ${key.txHash} and ordinal = ${key.ordinal}
    for update`
  return row
}

/** Payments whose block can still go; first those that somebody waits for, then the oldest. */
export function listOpenPayments(tx: Sql, chainId: number, limit: number): Promise<Payment[]> {
  return tx<Payment[]>`
    select ${paymentFields(tx)} from payments
    where chain_id = ${chainId} and not is_final and state not in ('orphaned', 'returned')
    order by state = 'confirming' and ledger_account_id is not null desc, block_number limit ${limit}`
}

export function listPaymentsOf(tx: Sql, chainId: number, txHash: string): Promise<Payment[]> {
  return tx<Payment[]>`
    select ${paymentFields(tx)} from payments where chain_id = ${chainId} and tx_hash = ${txHash} order by ordinal`
}

/** Unclaimed payments whose sender's wallet an account has by now. */
export function listClaimable(tx: Sql, chainId: number, limit: number): Promise<Payment[]> {
  return tx<Payment[]>`
    select ${paymentFields(tx)} from payments
    where state = 'unclaimed' and chain_id = ${chainId} and sender in (select address from wallets)
    order by block_number limit ${limit}`
}

/** Payments that an operator has to say something about: whose they are, or that they were sent back. */
export function listWaiting(tx: Sql, limit: number): Promise<Payment[]> {
  return tx<Payment[]>`
    select ${paymentFields(tx)} from payments where state in ('unclaimed', 'refunding')
    order by seen_at, tx_hash, ordinal limit ${limit}`
}

export function listPaymentsOfAccount(tx: Sql, ledgerAccount: string, limit: number): Promise<Payment[]> {
  return tx<Payment[]>`
    select ${paymentFields(tx)} from payments where ledger_account_id = ${ledgerAccount}
    order by seen_at desc, tx_hash, ordinal limit ${limit}`
}

/** Which transfers of a transaction have returned a payment. */
export async function listReturnedBy(tx: Sql, chainId: number, returnedTx: string): Promise<number[]> {
  const rows = await tx<{ ordinal: number }[]>`
    select returned_ordinal as ordinal from payments where chain_id = ${chainId} and returned_tx = ${returnedTx}`
  return rows.map((row) => row.ordinal)
}

export async function markReturned(
  tx: Sql,
  key: PaymentKey,
  by: { txHash: string; ordinal: number },
): Promise<void> {
  await tx`
    update payments set state = 'returned', returned_tx = ${by.txHash}, returned_ordinal = ${by.ordinal}
    where chain_id = ${key.chainId} and tx_hash = ${key.txHash} and ordinal = ${key.ordinal}`
}

export async function updatePayment(
  tx: Sql,
  key: PaymentKey,
  to: Pick<Payment, 'state' | 'ledgerAccount' | 'creditCount' | 'isFinal'>,
): Promise<void> {
  await tx`
    update payments set state = ${to.state}, ledger_account_id = ${to.ledgerAccount},
      credit_count = ${to.creditCount}, is_final = ${to.isFinal}
    where chain_id = ${key.chainId} and tx_hash = ${key.txHash} and ordinal = ${key.ordinal}`
}

/** Payments above a height have to be looked at again, however final they were thought to be. */
export async function reopenPayments(tx: Sql, chainId: number, above: bigint): Promise<void> {
  await tx`
    update payments set is_final = false
    where chain_id = ${chainId} and block_number > ${above} and is_final and state not in ('orphaned', 'returned')`
}

export async function findExposure(tx: Sql, ledgerAccount: string): Promise<bigint> {
  const [row] = await tx<{ micros: bigint }[]>`
    select coalesce(sum(amount_micros), 0)::bigint as micros from payments
    where ledger_account_id = ${ledgerAccount} and state = 'credited' and not is_final`
  return row?.micros ?? 0n
}

/**
 * What of an account's credits rests on blocks that are not final. Held until the transaction ends, so that two
 * payments on two chains cannot both find room for themselves.
 */
export async function lockExposure(tx: Sql, ledgerAccount: string): Promise<bigint> {
  await tx`select pg_advisory_xact_lock(hashtextextended(${`exposure:${ledgerAccount}`}, 0))`
  return findExposure(tx, ledgerAccount)
}

export async function findWalletOwner(tx: Sql, address: string): Promise<string | undefined> {
  const [row] = await tx<{ accountId: string }[]>`
    select account_id as "accountId" from wallets where address = ${address}`
  return row?.accountId
}

export async function listWalletsOfAccount(tx: Sql, accountId: string): Promise<string[]> {
  const rows = await tx<{ address: string }[]>`
    select address from wallets where account_id = ${accountId} order by linked_at, address`
  return rows.map((row) => row.address)
}

export async function listWallets(tx: Sql, ledgerAccount: string): Promise<string[]> {
  const rows = await tx<{ address: string }[]>`
    select w.address from wallets w join billing_accounts a on a.account_id = w.account_id
    where a.ledger_account_id = ${ledgerAccount}`
  return rows.map((row) => row.address)
}

// Deposits

export interface DepositRow {
  id: string
  ledgerAccount: string
  chainId: number
  txHash: string
  status: 'pending' | 'seen' | 'confirming' | 'credited' | 'rejected'
  reason: string | null
  creditMicros: bigint | null
  countsAt: 'safe' | 'finalized' | null
  createdAt: Date
  creditedAt: Date | null
  soughtSince: Date
}

const depositFields = (tx: Sql) => tx`
  id, ledger_account_id as "ledgerAccount", chain_id::float8 as "chainId", tx_hash as "txHash", status, reason,
  credit_micros as "creditMicros", counts_at as "countsAt", created_at as "createdAt", credited_at as "creditedAt",
  sought_since as "soughtSince"`

/** The deposit of an account for a transaction; made, as one that is looked for, where there is none. */
export async function makeDeposit(
  tx: Sql,
  d: { id: string; ledgerAccount: string; chainId: number; txHash: string; now: Date },
): Promise<{ deposit: DepositRow; made: boolean }> {
  const [made] = await tx<DepositRow[]>`
    insert into deposits (id, ledger_account_id, chain_id, tx_hash, status, created_at, sought_since, look_at)
    values (${d.id}, ${d.ledgerAccount}, ${d.chainId}, ${d.txHash}, 'pending', ${d.now}, ${d.now}, ${d.now})
    on conflict (ledger_account_id, chain_id, tx_hash) do nothing
    returning ${depositFields(tx)}`
  if (made) return { deposit: made, made: true }
  const [known] = await tx<DepositRow[]>`
    select ${depositFields(tx)} from deposits
    where ledger_account_id = ${d.ledgerAccount} and chain_id = ${d.chainId} and tx_hash = ${d.txHash}`
  if (!known) throw new Error('A deposit that conflicts is not there.')
  return { deposit: known, made: false }
}

/** Shows the payments that were found: nothing is looked for any more. */
export async function showPayments(
  tx: Sql,
  id: string,
  found: {
    status: 'confirming' | 'credited'
    creditMicros: bigint
    countsAt: DepositRow['countsAt']
    now: Date
  },
): Promise<void> {
  await tx`
    update deposits set status = ${found.status}, reason = null, credit_micros = ${found.creditMicros},
      counts_at = coalesce(${found.countsAt}, counts_at), look_at = null,
      credited_at = case when ${found.status} = 'credited' then coalesce(credited_at, ${found.now}) end
    where id = ${id}`
}

export async function rejectDeposit(tx: Sql, id: string, reason: string): Promise<void> {
  await tx`
    update deposits set status = 'rejected', reason = ${reason}, credit_micros = null, counts_at = null,
      credited_at = null, look_at = null
    where id = ${id}`
}

/** Looks for a transaction anew, from now. */
export async function seekDeposit(
  tx: Sql,
  id: string,
  status: 'pending' | 'seen',
  now: Date,
  lookAt: Date,
): Promise<void> {
  await tx`
    update deposits set status = ${status}, reason = null, credit_micros = null, counts_at = null, credited_at = null,
      sought_since = ${now}, look_at = ${lookAt}
    where id = ${id}`
}

export async function postponeLook(tx: Sql, id: string, lookAt: Date): Promise<void> {
  await tx`update deposits set look_at = ${lookAt} where id = ${id} and look_at is not null`
}

export async function countSought(tx: Sql, ledgerAccount: string): Promise<number> {
  const [row] = await tx<{ count: number }[]>`
    select count(*)::int as count from deposits where ledger_account_id = ${ledgerAccount} and look_at is not null`
  return row?.count ?? 0
}

export function listSought(tx: Sql, chainId: number, now: Date, limit: number): Promise<DepositRow[]> {
  return tx<DepositRow[]>`
    select ${depositFields(tx)} from deposits
    where chain_id = ${chainId} and look_at <= ${now} order by look_at limit ${limit}`
}

/** Whether somebody waits for credits on this chain, or anything is open at all. */
export async function findUrgency(tx: Sql, chainId: number): Promise<'awaited' | 'open' | 'none'> {
  const [row] = await tx<{ urgency: 'awaited' | 'open' | 'none' }[]>`
    select case
      when exists (select from deposits where chain_id = ${chainId} and (look_at is not null or status = 'confirming'))
        then 'awaited'
      when exists (
        select from payments where chain_id = ${chainId} and not is_final and state not in ('orphaned', 'returned'))
        then 'open'
      else 'none' end as urgency`
  return row?.urgency ?? 'none'
}

export async function findDeposit(tx: Sql, id: string): Promise<DepositRow | undefined> {
  const [row] = await tx<DepositRow[]>`select ${depositFields(tx)} from deposits where id = ${id}`
  return row
}

export function listDeposits(tx: Sql, ledgerAccount: string, limit: number): Promise<DepositRow[]> {
  return tx<DepositRow[]>`
    select ${depositFields(tx)} from deposits where ledger_account_id = ${ledgerAccount}
    order by created_at desc, id limit ${limit}`
}

// How far a chain has been scanned

export interface Cursor {
  nextBlock: bigint
  verifiedBlock: bigint
}

export async function findCursor(tx: Sql, chainId: number): Promise<Cursor | undefined> {
  const [row] = await tx<Cursor[]>`
    select next_block as "nextBlock", verified_block as "verifiedBlock" from chain_cursors
    where chain_id = ${chainId}`
  return row
}

export async function saveCursor(tx: Sql, chainId: number, cursor: Cursor): Promise<void> {
  await tx`
    insert into chain_cursors (chain_id, next_block, verified_block)
    values (${chainId}, ${cursor.nextBlock}, ${cursor.verifiedBlock})
    on conflict (chain_id) do update set
      next_block = excluded.next_block, verified_block = excluded.verified_block`
}

/** Scanned blocks at or below a height, the highest first. */
export function listBlocks(
  tx: Sql,
  chainId: number,
  atMost: bigint,
  limit: number,
): Promise<{ number: bigint; hash: string }[]> {
  return tx<{ number: bigint; hash: string }[]>`
    select number, hash from chain_blocks where chain_id = ${chainId} and number <= ${atMost}
    order by number desc limit ${limit}`
}

export async function dropBlocksAbove(tx: Sql, chainId: number, number: bigint): Promise<void> {
  await tx`delete from chain_blocks where chain_id = ${chainId} and number > ${number}`
}

/** Remembers where a scan ended, and forgets what no reorganisation will reach. */
export async function saveBlock(
  tx: Sql,
  chainId: number,
  block: { number: bigint; hash: string },
  keep: number,
): Promise<void> {
  await tx`
    insert into chain_blocks (chain_id, number, hash) values (${chainId}, ${block.number}, ${block.hash})
    on conflict (chain_id, number) do update set hash = excluded.hash`
  await tx`
    delete from chain_blocks where chain_id = ${chainId} and number < (
      select min(number) from (
        select number from chain_blocks where chain_id = ${chainId} order by number desc limit ${keep}) kept)`
}

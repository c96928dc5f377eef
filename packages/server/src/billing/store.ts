import type { LedgerEntry } from '@agentctl/contract/ledger-export.ts'
import type { Sql } from '../platform/db.ts'

// The ledger

export async function makeLedgerAccount(
  tx: Sql,
  accountId: string,
  newId: string,
  now: Date,
): Promise<string> {
  const [row] = await tx<{ id: string }[]>`select ledger_account_of(${accountId}, ${newId}, ${now}) as id`
  if (!row) throw new Error('The database made no ledger account.')
  return row.id
}

export async function findLedgerAccount(tx: Sql, accountId: string): Promise<string | undefined> {
  const [row] = await tx<{ id: string }[]>`
    select ledger_account_id as id from billing_accounts where account_id = ${accountId}`
  return row?.id
}

export async function post(
  tx: Sql,
  p: {
    key: string
    kind: string
    reference: string
    ledgerAccount: string
    against: string
    amountMicros: bigint
    at: Date
    intoDebt?: boolean
  },
): Promise<boolean> {
  return did(
    await tx<Done[]>`
      select ledger_post(${p.key}, ${p.kind}, ${p.reference}, ${p.ledgerAccount}, ${p.against}, ${p.amountMicros},
        ${p.at}, ${p.intoDebt ?? false}) as done`,
  )
}

export async function transfer(
  tx: Sql,
  p: {
    key: string
    kind: string
    reference: string
    from: string
    to: string
    amountMicros: bigint
    at: Date
  },
): Promise<boolean> {
  return did(
    await tx<Done[]>`
      select ledger_transfer(${p.key}, ${p.kind}, ${p.reference}, ${p.from}, ${p.to}, ${p.amountMicros},
        ${p.at}) as done`,
  )
}

export async function hold(
  tx: Sql,
  p: { key: string; ledgerAccount: string; amountMicros: bigint; reference: string; at: Date },
): Promise<boolean> {
  return did(
    await tx<Done[]>`
      select ledger_hold(${p.key}, ${p.ledgerAccount}, ${p.amountMicros}, ${p.reference}, ${p.at}) as done`,
  )
}

export async function endHold(tx: Sql, key: string, capturedMicros: bigint, at: Date): Promise<boolean> {
  return did(await tx<Done[]>`select ledger_end_hold(${key}, ${capturedMicros}, ${at}) as done`)
}

interface Done {
  done: boolean
}

function did([row]: Done[]): boolean {
  return row?.done === true
}

export interface LedgerBalance {
  balanceMicros: bigint
  heldMicros: bigint
}

export async function findBalance(tx: Sql, ledgerAccount: string): Promise<LedgerBalance | undefined> {
  const [row] = await tx<LedgerBalance[]>`
    select balance_micros as "balanceMicros", held_micros as "heldMicros" from ledger_balances
    where ledger_account_id = ${ledgerAccount}`
  return row
}

export async function findLedgerHead(
  tx: Sql,
  accountId: string,
): Promise<{ ledgerAccount: string; entries: number; hash: string; balanceMicros: string } | undefined> {
  const [row] = await tx<{ ledgerAccount: string; entries: number; hash: string; balanceMicros: string }[]>`
    select b.ledger_account_id as "ledgerAccount", entry_count as entries, encode(head_hash, 'hex') as hash,
      balance_micros::text as "balanceMicros"
    from billing_accounts a join ledger_balances b using (ledger_account_id)
    where a.account_id = ${accountId}`
  return row
}

/** The first entries in their order, as many as the head names. */
export function listEntries(tx: Sql, ledgerAccount: string, count: number): Promise<LedgerEntry[]> {
  return tx<LedgerEntry[]>`
    select e.sequence, ledger_time(t.at) as at, t.kind, t.reference, t.key as transaction,
      e.amount_micros::text as "amountMicros", e.balance_micros::text as "balanceMicros",
      encode(e.hash, 'hex') as hash
    from ledger_entries e join ledger_transactions t on t.key = e.transaction_key
    where e.ledger_account_id = ${ledgerAccount} and e.sequence <= ${count}
    order by e.sequence`
}

// Meters

export async function setMeter(
  tx: Sql,
  m: { subject: string; ledgerAccount: string; namespaceId: string; hourlyMicros: bigint; at: Date },
): Promise<boolean> {
  return did(
    await tx<Done[]>`
      select meter_set(${m.subject}, ${m.ledgerAccount}, ${m.namespaceId}, ${m.hourlyMicros}, ${m.at}) as done`,
  )
}

export async function runMeters(tx: Sql, upto: Date): Promise<boolean> {
  return did(await tx<Done[]>`select run_meters(${upto}) as done`)
}

export function listDepleted(tx: Sql, limit: number): Promise<{ accountId: string; depletedAt: Date }[]> {
  return tx<{ accountId: string; depletedAt: Date }[]>`
    select a.account_id as "accountId", b.depleted_at as "depletedAt"
    from ledger_balances b join billing_accounts a using (ledger_account_id)
    where b.depleted_at is not null
    order by b.depleted_at, a.account_id
    limit ${limit}`
}

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

/** Accounts, those with entries since the last time, and those whose entries do not sum up to what they have. */
export async function auditLedger(tx: Sql): Promise<{ accounts: number; postedTo: number; wrong: number }> {
  const [row] = await tx`
    select accounts::int, posted_to::int as "postedTo", wrong::int from audit_ledger()`
  return row as never
}

/** Undefined once the account has been deleted. */
export async function findAccountOf(tx: Sql, ledgerAccount: string): Promise<string | undefined> {
  const [row] = await tx<{ id: string }[]>`
    select account_id as id from billing_accounts where ledger_account_id = ${ledgerAccount}`
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

/** Entries from the newest; each filter is null for all. */
export function listHistory(
  tx: Sql,
  ledgerAccount: string,
  wanted: {
    since: string | null
    until: string | null
    kind: string | null
    before: number | null
    limit: number
  },
): Promise<LedgerEntry[]> {
  return tx<LedgerEntry[]>`
    select e.sequence, ledger_time(t.at) as at, t.kind, t.reference, t.key as transaction,
      e.amount_micros::text as "amountMicros", e.balance_micros::text as "balanceMicros",
      encode(e.hash, 'hex') as hash
    from ledger_entries e join ledger_transactions t on t.key = e.transaction_key
    where e.ledger_account_id = ${ledgerAccount}
      and (${wanted.before}::int is null or e.sequence < ${wanted.before})
      and (${wanted.kind}::text is null or t.kind = ${wanted.kind})
      and (${wanted.since}::timestamptz is null or t.at >= ${wanted.since})
      and (${wanted.until}::timestamptz is null or t.at < ${wanted.until})
    order by e.sequence desc
    limit ${wanted.limit}`
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

/** What a subject burns an hour at this moment. */
export async function findRate(tx: Sql, subject: string): Promise<bigint> {
  const [row] = await tx<{ micros: bigint }[]>`
    select rate_micros as micros from meters where subject = ${subject} and to_at is null`
  return row?.micros ?? 0n
}

export async function findMeterState(tx: Sql): Promise<{ upto: Date; newest: string }> {
  const [row] = await tx<{ upto: Date; newest: string }[]>`
    select upto, coalesce((select max(id) from meters), 0)::text as newest from meter_watermark`
  if (!row) throw new Error('The watermark of the meters is gone.')
  return row
}

export interface Burn {
  /** Micro-USD an hour of all open meters. */
  hourlyMicros: bigint
  /** What has burnt since the last charge; no more than there is. */
  accruedMicros: bigint
  /** The second at which credits end if everything goes on as it is; null when nothing burns. */
  zeroAt: Date | null
}

// An account's credits c end at the time t at which its open meters, each from its own beginning or from the last
// charge, have burnt c: sum(rate * (t - begin) + part) = 3600 c, where part is what had burnt at the beginning and was
// too little to charge, in 1/3600 micro-USD. Times are counted from the watermark, so that the products stay small.
// What closed meters still owe is taken off first.
export const burning = (tx: Sql) => tx`
  select b.ledger_account_id, greatest(0, b.balance_micros - b.held_micros) as has,
    sum(rate_micros) filter (where to_at is null) as rate,
    sum(rate_micros * extract(epoch from begin - upto)::bigint
      - (carry + rate_micros * extract(epoch from begin - from_at)::bigint) % 3600
    ) filter (where to_at is null) as offset_micros,
    greatest(0, b.balance_micros - b.held_micros
      - coalesce(sum(metered_micros(rate_micros, carry, from_at, to_at, to_at)
        - metered_micros(rate_micros, carry, from_at, to_at, begin)) filter (where to_at > begin), 0)
    ) as free, upto
  from (
    select m.*, w.upto, case when m.opened_upto >= w.upto then m.from_at else greatest(m.from_at, w.upto) end as begin
    from meters m, meter_watermark w where m.counted_until > w.upto
  ) m join ledger_balances b using (ledger_account_id)
  group by b.ledger_account_id, upto`

export const zeroOf = (tx: Sql) =>
  tx`upto + make_interval(secs => ceil((3600 * free + offset_micros) / rate))`

/** When the first account has nothing left; ISO 8601, null when nobody burns anything. Those already flagged are left out. */
export async function findFirstZero(tx: Sql): Promise<string | null> {
  // By the flag, not by what is free: a reversal may leave less than what has burnt since the last run.
  const [row] = await tx<{ zeroAt: Date | null }[]>`
    select min(${zeroOf(tx)}) as "zeroAt"
    from (${burning(tx)}) burning join ledger_balances b using (ledger_account_id)
    where rate > 0 and b.depleted_at is null`
  return row?.zeroAt?.toISOString() ?? null
}

export async function findBurn(tx: Sql, ledgerAccount: string, now: Date): Promise<Burn> {
  const [row] = await tx<Burn[]>`
    select coalesce(rate, 0)::bigint as "hourlyMicros", ${zeroOf(tx)} as "zeroAt",
      coalesce((
        select least(due_micros, has) from meter_dues(upto, date_trunc('second', ${now}::timestamptz)) dues
        where dues.ledger_account_id = burning.ledger_account_id), 0) as "accruedMicros"
    from (${burning(tx)}) burning where ledger_account_id = ${ledgerAccount}`
  return row ?? { hourlyMicros: 0n, accruedMicros: 0n, zeroAt: null }
}

/** What burns an hour, in one namespace or in all. */
export async function findRateOf(tx: Sql, ledgerAccount: string, namespace: string | null): Promise<bigint> {
  const [row] = await tx<{ rate: bigint }[]>`
    select coalesce(sum(m.rate_micros), 0)::bigint as rate
    from meters m left join namespaces n on n.id = m.namespace_id
    where m.ledger_account_id = ${ledgerAccount} and m.to_at is null
      and (${namespace}::text is null or n.name = ${namespace})`
  return row?.rate ?? 0n
}

/** What burnt on each day, by subject. */
export function listUsage(
  tx: Sql,
  ledgerAccount: string,
  range: { since: Date; until: Date; namespace: string | null },
): Promise<{ day: string; subject: string; namespace: string | null; seconds: number; micros: bigint }[]> {
  return tx<{ day: string; subject: string; namespace: string | null; seconds: number; micros: bigint }[]>`
    with days as (
      select to_char(day, 'YYYY-MM-DD') as day, greatest(day at time zone 'UTC', ${range.since}) as begin,
        least((day + interval '1 day') at time zone 'UTC', date_trunc('second', ${range.until}::timestamptz)) as ending
      from generate_series(date_trunc('day', ${range.since}::timestamptz at time zone 'UTC'),
        ${range.until}::timestamptz at time zone 'UTC', interval '1 day') day
    )
    select d.day, m.subject, n.name as namespace,
      sum(extract(epoch from least(d.ending, m.to_at) - greatest(d.begin, m.from_at)))::int as seconds,
      sum(metered_micros(m.rate_micros, m.carry, m.from_at, m.to_at, d.ending)
        - metered_micros(m.rate_micros, m.carry, m.from_at, m.to_at, d.begin))::bigint as micros
    from days d
    join meters m on m.ledger_account_id = ${ledgerAccount} and m.from_at < d.ending
      and coalesce(m.to_at, 'infinity') > d.begin
    left join namespaces n on n.id = m.namespace_id
    where ${range.namespace}::text is null or n.name = ${range.namespace}
    group by d.day, m.subject, n.name
    order by d.day, n.name, m.subject`
}

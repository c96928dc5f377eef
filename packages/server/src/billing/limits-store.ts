import type { Sql } from '../platform/db.ts'

/** Micro-USD; null for no limit. */
export interface LimitsRow {
  softHourlyMicros: bigint | null
  softMonthlyMicros: bigint | null
  hardHourlyMicros: bigint | null
  hardMonthlyMicros: bigint | null
}

const limitColumns = (tx: Sql) => tx`
  soft_hourly_micros as "softHourlyMicros", soft_monthly_micros as "softMonthlyMicros",
  hard_hourly_micros as "hardHourlyMicros", hard_monthly_micros as "hardMonthlyMicros"`

export async function findLimits(tx: Sql, accountId: string): Promise<LimitsRow | undefined> {
  const [row] = await tx<LimitsRow[]>`
    select ${limitColumns(tx)} from spend_limits where account_id = ${accountId}`
  return row
}

export async function putLimits(tx: Sql, accountId: string, limits: LimitsRow): Promise<void> {
  await tx`
    insert into spend_limits
      (account_id, soft_hourly_micros, soft_monthly_micros, hard_hourly_micros, hard_monthly_micros)
    values (${accountId}, ${limits.softHourlyMicros}, ${limits.softMonthlyMicros}, ${limits.hardHourlyMicros},
      ${limits.hardMonthlyMicros})
    on conflict (account_id) do update set
      soft_hourly_micros = excluded.soft_hourly_micros, soft_monthly_micros = excluded.soft_monthly_micros,
      hard_hourly_micros = excluded.hard_hourly_micros, hard_monthly_micros = excluded.hard_monthly_micros`
}

/** Accounts that set a limit which can be passed by doing nothing, or took one away after having passed it. */
export function listLimited(tx: Sql): Promise<(LimitsRow & { accountId: string })[]> {
  return tx<(LimitsRow & { accountId: string })[]>`
    select account_id as "accountId", ${limitColumns(tx)} from spend_limits
    where coalesce(soft_hourly_micros, soft_monthly_micros, hard_monthly_micros) is not null
      or account_id in (select account_id from spend_warnings where about <> 'runway')`
}

/** What the meters of an account, or of one subject, have burnt between two moments. */
export async function sumBurnt(
  tx: Sql,
  whose: { ledgerAccount: string } | { subject: string },
  range: { since: Date; until: Date },
): Promise<bigint> {
  const [row] = await tx<{ micros: bigint }[]>`
    select coalesce(sum(
      metered_micros(rate_micros, carry, from_at, to_at, ${range.until})
      - metered_micros(rate_micros, carry, from_at, to_at, ${range.since})), 0)::bigint as micros
    from meters
    where ${'subject' in whose ? tx`subject = ${whose.subject}` : tx`ledger_account_id = ${whose.ledgerAccount}`}
      and from_at < ${range.until} and coalesce(to_at, 'infinity') > ${range.since}`
  return row?.micros ?? 0n
}

/** What was said last about something; undefined when nothing was. */
export async function findWarning(tx: Sql, accountId: string, about: string): Promise<string | undefined> {
  const [row] = await tx<{ said: string }[]>`
    select said from spend_warnings where account_id = ${accountId} and about = ${about} for update`
  return row?.said
}

export async function putWarning(tx: Sql, accountId: string, about: string, said: string): Promise<void> {
  await tx`
    insert into spend_warnings (account_id, about, said) values (${accountId}, ${about}, ${said})
    on conflict (account_id, about) do update set said = excluded.said`
}

export async function deleteWarning(tx: Sql, accountId: string, about: string): Promise<void> {
  await tx`delete from spend_warnings where account_id = ${accountId} and about = ${about}`
}

/** Accounts that were warned about their runway, to be looked at again after a deposit. */
export async function listWarned(tx: Sql, about: string): Promise<string[]> {
  const rows = await tx<{ accountId: string }[]>`
    select account_id as "accountId" from spend_warnings where about = ${about}`
  return rows.map(({ accountId }) => accountId)
}

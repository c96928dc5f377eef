import type { Sql } from '../../platform/db.ts'
import { purgedUntil } from '../../platform/purges.ts'
import { type Period, type PeriodName, retention } from '../../platform/retention.ts'
import { ERASURE_KIND } from '../erasure-kind.ts'
import type { ToldField } from '../told-fields.ts'

/** A column of the live database, and what its comment says about it. */
export interface Column {
  table: string
  column: string
  type: string
  class: string
  purposes: string[]
  retention: string
  export: string
  erase: string
}

/** Every column of every table, by table and place; one without a comment of the right form has no class. */
export async function listColumns(sql: Sql): Promise<Column[]> {
  const rows = await sql<(Omit<Column, 'purposes'> & { purposes: string })[]>`
    select c.relname as table, a.attname as column, format_type(a.atttypid, a.atttypmod) as type,
      coalesce(said[1], '') as class, coalesce(said[2], '') as purposes, coalesce(said[3], '') as retention,
      coalesce(said[4], '') as export, coalesce(said[5], '') as erase
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join lateral regexp_match(col_description(c.oid, a.attnum),
      '^class=([a-z.-]+); purpose=([a-z,]+); retention=([a-z0-9-]+); export=(yes|no); erase=([a-z]+)$') said on true
    where c.relkind in ('r', 'p') and not c.relispartition
      and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    order by n.nspname, c.relname, a.attnum`
  return rows.map((row) => ({ ...row, purposes: row.purposes.split(',').filter((one) => one !== '') }))
}

/** Tables of which it is known which rows are an account's: what is exported and erased comes from there. */
export async function listAccountTables(sql: Sql): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`select name from account_tables where is_own <> ''`
  return rows.map(({ name }) => name)
}

/** Erasures that are under way, and those of them that began before a moment. */
export async function lookAtErasures(sql: Sql, before: Date): Promise<{ underWay: number; late: number }> {
  const [row] = await sql`
    select count(*)::int as "underWay", (count(*) filter (where created_at < ${before}))::int as late
    from operations where kind = ${ERASURE_KIND} and state = 'pending'`
  return row as never
}

/** Tables with what they are for, in the words of the migrations. */
export async function listTables(sql: Sql): Promise<{ table: string; about: string }[]> {
  return sql<{ table: string; about: string }[]>`
    select c.relname as table, coalesce(obj_description(c.oid), '') as about from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and not c.relispartition
      and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    order by n.nspname, c.relname`
}

/** What the service itself has written, and how much of it looks like what must not be there. */
export async function sumLeaks(
  sql: Sql,
): Promise<{ rowsSeen: number; phones: string; tokens: string; cards: string }> {
  const rows = await sql<{ source: string; seen: number; phones: number; tokens: number; cards: number }[]>`
    select source, rows_seen::int as seen, phones::int, tokens::int, cards::int from evidence_leaks()`
  const where = (of: 'phones' | 'tokens' | 'cards'): string =>
    rows.flatMap((row) => (row[of] > 0 ? [`${row.source}: ${row[of]}`] : [])).join(', ')
  return {
    rowsSeen: rows.reduce((sum, { seen }) => sum + seen, 0),
    phones: where('phones'),
    tokens: where('tokens'),
    cards: where('cards'),
  }
}

export async function listOrphans(sql: Sql): Promise<{ source: string; orphans: number }[]> {
  return sql<{ source: string; orphans: number }[]>`
    select source, orphans::int from evidence_orphans()`
}

export async function countAccounts(sql: Sql): Promise<{
  accounts: number
  withoutTerms: number
  phones: number
  phonesInClear: number
  wallets: number
  keys: number
  keysInClear: number
  sessionsInClear: number
}> {
  const [row] = await sql`
    select accounts::int, without_terms::int as "withoutTerms", phones::int,
      phones_in_clear::int as "phonesInClear", wallets::int, keys::int, keys_in_clear::int as "keysInClear",
      sessions_in_clear::int as "sessionsInClear"
    from evidence_accounts()`
  return row as never
}

export async function lookAtLedger(sql: Sql): Promise<{ accounts: number; wrong: number }> {
  const [row] = await sql`select accounts::int, wrong::int from evidence_ledger()`
  return row as never
}

/** What the work that adds up all entries found last, and since when there is something to add up. */
export async function lookAtLedgerAudit(
  sql: Sql,
): Promise<{ at: Date | null; accounts: number; wrong: number; since: Date | null }> {
  const [row] = await sql`
    select audit.at, coalesce(audit.accounts, 0) as accounts, coalesce(audit.wrong, 0) as wrong,
      (select min(created_at) from ledger_balances) as since
    from (select) as always left join ledger_audit() audit on true`
  return row as never
}

/** Accounts by the text that they have seen last, beside the newest, and whether that one is told to the others. */
export async function lookAtPolicySeen(
  sql: Sql,
  day: string,
): Promise<{ accounts: number; unknown: number; earlier: number; isTold: boolean }> {
  const [row] = await sql`
    select accounts::int, unknown::int, earlier::int, is_told as "isTold"
    from evidence_policy_seen(${day}::text::date)`
  return row as never
}

/** Records of erased accounts that should be destroyed, and when the next ones are to be. */
export async function lookAtRetained(
  sql: Sql,
  dueUntil: Date,
): Promise<{ overdue: number; nextEnd: Date | null }> {
  const [row] = await sql`
    select overdue::int, next_end as "nextEnd" from evidence_retained(${dueUntil})`
  return row as never
}

/** Whether a role has a right on a table; null for a table that there is not. */
export async function mayDo(sql: Sql, role: string, table: string, right: string): Promise<boolean | null> {
  const [row] = await sql<{ may: boolean | null }[]>`
    select has_table_privilege(${role}, to_regclass(${table}), ${right}) as may`
  return row?.may ?? null
}

/** Tables without row-level security, and roles that it does not bind. */
export async function lookAtRoles(
  sql: Sql,
): Promise<{ open: string[]; unbound: string[]; openToAll: string[]; tables: number }> {
  const [row] = await sql<{ open: string[]; unbound: string[]; openToAll: string[]; tables: number }[]>`
    with tables as (
      select oid, relname, relrowsecurity from pg_class
      where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace and relname <> 'migrations'
        and not relispartition
    )
    select
      array(select relname::text from tables where not relrowsecurity order by 1) as open,
      array(select rolname::text from pg_roles where rolname in ('agentctl_app', 'agentctl_jobs', 'agentctl_operator')
        and (rolsuper or rolbypassrls) order by 1) as unbound,
      array(select relname::text from tables t where exists (
          select from pg_policy p where p.polrelid = t.oid and 'agentctl_app'::regrole = any(p.polroles)
            and pg_get_expr(p.polqual, p.polrelid) = 'true')
        order by 1) as "openToAll",
      (select count(*)::int from tables) as tables`
  return row ?? { open: [], unbound: [], openToAll: [], tables: 0 }
}

/** What somebody who has shown nothing sees of tables that hold people's rows. */
export async function countSeen(tx: Sql): Promise<number> {
  const [row] = await tx<{ seen: number }[]>`
    select ((select count(*) from accounts) + (select count(*) from sessions) + (select count(*) from wallets)
      + (select count(*) from agents))::int as seen`
  return row?.seen ?? 0
}

export async function lookAtDatabase(
  sql: Sql,
): Promise<{ version: string; encrypted: boolean; local: boolean; unlogged: string[]; bytes: string }> {
  const [row] = await sql`
    select current_setting('server_version') as version,
      coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as encrypted,
      coalesce(inet_server_addr() <<= '127.0.0.0/8' or inet_server_addr() = '::1', true) as local,
      array(select relname::text from pg_class where relkind = 'r' and relpersistence <> 'p'
        and relnamespace = 'public'::regnamespace order by 1) as unlogged,
      pg_database_size(current_database())::text as bytes`
  return row as never
}

/** Rules of a table as the database holds them; for the primary key its columns. */
export async function listConstraints(sql: Sql, table: string): Promise<string[]> {
  const rows = await sql<{ definition: string }[]>`
    select pg_get_constraintdef(oid) as definition from pg_constraint where conrelid = to_regclass(${table})`
  return rows.map(({ definition }) => definition)
}

export async function lookAtMachines(
  sql: Sql,
): Promise<{ machines: number; elsewhere: number; listedElsewhere: number; inReach: number }> {
  const [row] = await sql`
    select count(*)::int as machines, (count(*) filter (where region <> 'icn'))::int as elsewhere,
      machines_elsewhere()::int as "listedElsewhere",
      (count(*) filter (where state <> 'deleted' and address is not null and not (
        address::inet <<= '10.0.0.0/8' or address::inet <<= '172.16.0.0/12' or address::inet <<= '192.168.0.0/16'
        or address::inet <<= '127.0.0.0/8')))::int as "inReach"
    from machines`
  return row as never
}

/** What those who work for us may be told and were told, as every process has noted it. */
export function listToldFields(sql: Sql): Promise<ToldField[]> {
  return sql<ToldField[]>`
    select processor, field, declared, told from told_fields order by processor, field`
}

/** Snapshots of suspended agents, those that should be gone, and when the next grace period ends. */
export async function lookAtSnapshots(
  sql: Sql,
  dueBefore: Date,
): Promise<{ kept: number; overdue: number; nextEnd: Date | null }> {
  const [row] = await sql`
    select count(*)::int as kept, (count(*) filter (where a.snapshot_delete_at <= ${dueBefore}))::int as overdue,
      min(a.snapshot_delete_at) as "nextEnd"
    from agents a join snapshots s on s.agent_id = a.id and s.state in ('intended', 'made', 'complete')
    where a.rest = 'suspended' and a.snapshot_delete_at is not null`
  return row as never
}

/** Agents that are there and have been live, and those whose configuration or files are not. */
export async function lookAtConfigurations(
  sql: Sql,
): Promise<{ agents: number; withoutRelease: number; withoutFiles: number }> {
  const [row] = await sql`
    with present as (
      select a.id, a.release_id, n.owner_account_id as account from agents a join namespaces n on n.id = a.namespace_id
      where a.status <> 'deleted' and a.release_id is not null
    )
    select count(*)::int as agents,
      (count(*) filter (where not exists (
        select from releases r where r.id = release_id and r.config is not null)))::int as "withoutRelease",
      (count(*) filter (where exists (
        select from release_files f where f.release_id = present.release_id and not exists (
          select from blobs b where b.account_id = present.account and b.sha256 = f.sha256))))::int as "withoutFiles"
    from present`
  return row as never
}

export interface Kept {
  rows: number
  overdue: number
  oldest: Date | null
  lastRun: Date | null
  lastPurge: Date | null
  purged: number
}

/** When the work that deletes came by last, for each of these; only those that it has come by for. */
export async function findEarliestPurge(sql: Sql, names: readonly PeriodName[]): Promise<Date | null> {
  const [row] = await sql<{ at: Date | null }[]>`
    select min(ran_at) as at from purges where name = any(${[...names]})`
  return row?.at ?? null
}

/** What there is of a period, how much of it should have gone by then, and what the work that deletes has noted. */
export async function lookAtPeriod(sql: Sql, name: PeriodName, dueBefore: Date): Promise<Kept> {
  const { table, from, where }: Period = retention[name]
  const [row] = await sql<Kept[]>`
    select count(*)::int as rows, min(${sql(from)}) as oldest,
      (count(*) filter (where ${sql(from)} < ${purgedUntil(retention[name], dueBefore)}))::int as overdue,
      (select ran_at from purges where name = ${name}) as "lastRun",
      (select purged_at from purges where name = ${name}) as "lastPurge",
      coalesce((select purged_count from purges where name = ${name}), 0)::int as purged
    from ${sql(table)} where (${sql.unsafe(where ?? 'true')})`
  return row ?? { rows: 0, overdue: 0, oldest: null, lastRun: null, lastPurge: null, purged: 0 }
}

/** The request log by its days: rows as the statistics estimate them, since there may be many. */
export async function lookAtRequestLog(sql: Sql): Promise<{
  days: number
  rows: number
  oldestDay: Date | null
  lastRun: Date | null
  lastPurge: Date | null
}> {
  const [row] = await sql`
    select count(*)::int as days, coalesce(sum(greatest(c.reltuples, 0)), 0)::int as rows,
      oldest_request_day() as "oldestDay",
      (select ran_at from purges where name = 'requestLog') as "lastRun",
      (select purged_at from purges where name = 'requestLog') as "lastPurge"
    from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'request_log'::regclass`
  return row as never
}

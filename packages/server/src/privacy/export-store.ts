import type { Sql } from '../platform/db.ts'

/** A table of which something is told in an export, and how. */
export interface ExportedTable {
  name: string
  /** What it holds, in words. */
  about: string
  /** Which of its rows are an account's. */
  isOwn: string
  columns: { name: string; type: string; class: string; purpose: string; retention: string }[]
  /** Columns that name a row and give an order. */
  keys: string[]
}

/**
 * Every table that has columns whose class says that they are exported, with those columns: from the comments of the
 * database as it is, so that a new column is exported because it says so.
 */
export function listExportedTables(sql: Sql): Promise<ExportedTable[]> {
  return sql<ExportedTable[]>`
    with classified as (
      select c.oid, c.relname, a.attname, format_type(a.atttypid, null) as type, a.attnum,
        col_description(c.oid, a.attnum) as comment
      from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    )
    select c.relname as name, coalesce(obj_description(c.oid), '') as about, coalesce(t.is_own, '') as "isOwn",
      json_agg(json_build_object('name', c.attname, 'type', c.type,
        'class', substring(c.comment from 'class=([a-z.-]+)'),
        'purpose', substring(c.comment from 'purpose=([a-z,]+)'),
        'retention', substring(c.comment from 'retention=([a-z0-9-]+)')) order by c.attnum) as columns,
      coalesce((
        select array_agg(k.attname::text order by array_position(i.indkey::int2[], k.attnum))
        from (
          select * from pg_index where indrelid = c.oid and indisunique and indpred is null
          order by indisprimary desc, indexrelid limit 1
        ) i join pg_attribute k on k.attrelid = c.oid and k.attnum = any(i.indkey)
      ), '{}') as keys
    from classified c left join account_tables t on t.name = c.relname
    where c.comment like '%export=yes%'
    group by c.oid, c.relname, t.is_own, t.position
    order by t.position desc nulls last`
}

export interface ExportedPage {
  /** One JSON object a row. */
  lines: string[]
  /** Where the next page begins; undefined at the end. */
  next: string | undefined
}

/** Rows of an account in a table, from where the page before has ended. Row-level security stands behind the condition. */
export async function readExportedPage(
  sql: Sql,
  { name, isOwn, columns, keys }: ExportedTable,
  whose: { accountId: string; ledgerAccountId: string | null },
  after: string | undefined,
  limit: number,
): Promise<ExportedPage> {
  const listed = keys.map(quoted).join(', ')
  const rows = await sql.unsafe<{ line: string; at: string }[]>(
    `select json_build_object(${columns.map(shown).join(', ')})::text as line,
       jsonb_build_object(${keys.map((key) => `'${key}', ${quoted(key)}`).join(', ')})::text as at
     from ${quoted(name)}
     where $1::text is not null and ($2::text is null or true) and (${isOwn})
       and ($3::jsonb is null or (${listed}) > (select ${listed} from jsonb_populate_record(null::${quoted(name)}, $3::jsonb)))
     order by ${listed} limit ${limit}`,
    [whose.accountId, whose.ledgerAccountId, after === undefined ? null : JSON.parse(after)],
  )
  return {
    lines: rows.map(({ line }) => line),
    next: rows.length < limit ? undefined : rows.at(-1)?.at,
  }
}

export async function findLedgerAccountOf(sql: Sql, accountId: string): Promise<string | null> {
  const [row] = await sql<{ id: string }[]>`
    select ledger_account_id as id from billing_accounts where account_id = ${accountId}`
  return row?.id ?? null
}

const quoted = (name: string): string => `"${name}"`

/** Amounts as text, so that no digit is lost; times in UTC; bytes in hexadecimal. */
function shown({ name, type }: ExportedTable['columns'][number]): string {
  const column = quoted(name)
  const value =
    type === 'bigint'
      ? `${column}::text`
      : type === 'bytea'
        ? `encode(${column}, 'hex')`
        : type === 'timestamp with time zone'
          ? `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
          : column
  return `'${camel(name)}', ${value}`
}

export const camel = (name: string): string =>
  name.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())

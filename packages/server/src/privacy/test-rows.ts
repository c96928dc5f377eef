import { randomBytes } from 'node:crypto'
import type { Pool } from '../platform/db.ts'

/**
 * Puts a row into a table as it is given, whatever else the table asks for filled with anything: foreign keys do not
 * hold, and rules that the row itself breaks are taken away first. For tests of what becomes of rows.
 */
export async function plant(
  sql: Pool,
  table: string,
  row: Readonly<Record<string, unknown>>,
  at: Date,
): Promise<void> {
  const columns = await sql<{ name: string; type: string }[]>`
    select a.attname as name, format_type(a.atttypid, a.atttypmod) as type from pg_attribute a
    where a.attrelid = to_regclass(${table}) and a.attnum > 0 and not a.attisdropped and a.attnotnull
      and not a.atthasdef and a.attidentity = ''`
  const anything: Readonly<Record<string, unknown>> = {
    text: randomBytes(4).toString('hex'),
    bytea: randomBytes(32),
    integer: 1,
    bigint: 1,
    smallint: 1,
    boolean: true,
    date: at,
    jsonb: '{}',
    'timestamp with time zone': at,
    'text[]': [],
    'timestamp with time zone[]': [],
    'bytea[]': [],
  }
  const filled = Object.fromEntries(columns.map(({ name, type }) => [name, anything[type] ?? 'x']))
  await sql.begin(async (tx) => {
    await tx`set local session_replication_role = replica`
    const rules = await tx<{ name: string }[]>`
      select conname as name from pg_constraint where conrelid = to_regclass(${table}) and contype = 'c'`
    for (const { name } of rules) await tx`alter table ${tx(table)} drop constraint ${tx(name)}`
    await tx`insert into ${tx(table)} ${tx({ ...filled, ...row })}`
  })
}

import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { openPool } from '../platform/db.ts'
import type { Caller } from '../platform/http.ts'
import { exportAccount } from './export.ts'
import { camel, listExportedTables } from './export-store.ts'
import { plantAccount } from './test-account.ts'

const { url, db } = await testDatabase()
const sql = openPool(url, { connectionsMax: 2 })
afterAll(() => sql.end())
const now = new Date('2026-12-01T10:00:00Z')
const [anna, bert] = [await plantAccount(sql, 'anna', now), await plantAccount(sql, 'bert', now)]
// Each is a member of the other's namespace.
for (const [member, namespace] of [
  [anna, bert],
  [bert, anna],
] as const) {
  await sql`
    insert into members (namespace_id, account_id, role, created_at)
    values (${namespace.namespaceId}, ${member.id}, 'admin', ${now})`
}

const callerOf = (accountId: string, authenticatedAt = now): Caller => ({
  accountId,
  via: 'session',
  credentialId: 'ses_0',
  scopes: 'all',
  namespaceId: null,
  authenticatedAt,
})
async function exported(accountId: string) {
  let text = ''
  for await (const part of await exportAccount({ db, clock: { now: () => now } }, callerOf(accountId)))
    text += part
  return { text, document: JSON.parse(text) as { held: Record<string, Record<string, unknown>[]> } }
}

test('every column whose class says that it is exported is in the export, of every table', async () => {
  const { document } = await exported(anna.id)
  const tables = await db.jobs.begin((tx) => listExportedTables(tx))
  expect(tables.length).toBeGreaterThan(25)
  for (const { name, columns } of tables) {
    const [row] = document.held[camel(name)] ?? []
    expect(Object.keys(row ?? {}).sort(), name).toEqual(columns.map((column) => camel(column.name)).sort())
  }
})

test('a new column is exported because it says so, and a table of which nobody says whose rows are is refused', async () => {
  await sql`alter table notices add column colour text default 'green'`
  await sql`comment on column notices.colour is 'class=notice; purpose=notify; retention=1y; export=yes; erase=delete'`
  expect((await exported(anna.id)).document.held.notices).toMatchObject([{ colour: 'green' }])
  await sql`create table forgotten (id text primary key)`
  await sql`comment on column forgotten.id is 'class=notice; purpose=notify; retention=1y; export=yes; erase=delete'`
  await expect(exported(anna.id)).rejects.toThrow('which rows of forgotten')
  await sql`drop table forgotten`
  await sql`alter table notices drop column colour`
})

test('every table that an erasure deletes from, keeps, or an export reads is in the list of whose rows are whose', async () => {
  const missing = () => sql<{ name: string }[]>`
    select distinct c.relname as name from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
      and col_description(c.oid, a.attnum) ~ 'export=yes|erase=delete'
      and c.relname not in (select name from account_tables)`
  expect(await missing()).toEqual([])
  await sql`create table forgotten (id text primary key)`
  await sql`comment on column forgotten.id is 'class=notice; purpose=notify; retention=1y; export=no; erase=delete'`
  expect(await missing()).toEqual([{ name: 'forgotten' }])
  await sql`drop table forgotten`
})

test('nothing of anybody else is in it, though both are members of the same namespaces', async () => {
  const { text } = await exported(anna.id)
  // That she is a member there is hers to know; who else is, and what is in it, is not.
  const others = bert.marks.filter((mark) => mark !== bert.namespaceId)
  for (const mark of [
    ...others,
    bert.ledgerAccount,
    'log of bert',
    'bert.js',
    'bert.example.com',
    'ci of bert',
  ]) {
    expect(text, mark).not.toContain(mark)
  }
  for (const mark of [anna.id, anna.wallet, 'log of anna', 'anna.js', 'anna.example.com', 'ci of anna']) {
    expect(text, mark).toContain(mark)
  }
})

test('secrets are told by their names, never by their values, sealed or hashed', async () => {
  const { text, document } = await exported(anna.id)
  expect(document.held.secrets).toMatchObject([{ name: 'TOKEN', version: 1 }])
  expect(document.held.phones).toEqual([{ accountId: anna.id, linkedAt: '2026-12-01T10:00:00.000Z' }])
  const hidden = await sql<{ value: string }[]>`
    select encode(token_hash, 'hex') as value from sessions union all select encode(key_hash, 'hex') from api_keys
    union all select encode(ciphertext, 'hex') from secrets union all select encode(phone_hmac, 'hex') from phones
    union all select encode(code_hash, 'hex') from invitations`
  expect(hidden).toHaveLength(10)
  for (const { value } of hidden) expect(text).not.toContain(value)
})

test('more rows than are read at once are all there, once and in order', async () => {
  const machine = 'mch_00000000000000000000'
  await sql`
    insert into agent_logs (machine_id, sequence, agent_id, namespace_id, at, stream, line)
    select ${machine}, n, ${bert.agentId}, ${bert.namespaceId}, ${now}, 'stdout', 'line ' || n from generate_series(1, 2500) n`
  const lines = (await exported(bert.id)).document.held.agentLogs?.filter(
    (line) => line.machineId === machine,
  )
  expect(lines?.map(({ line }) => line)).toEqual(
    Array.from({ length: 2500 }, (_, index) => `line ${index + 1}`),
  )
})

test('an export needs a proof that is not older than ten minutes', async () => {
  const old = callerOf(anna.id, new Date(now.getTime() - 600_001))
  await expect(exportAccount({ db, clock: { now: () => now } }, old)).rejects.toMatchObject({
    code: 'reauthentication_required',
  })
})

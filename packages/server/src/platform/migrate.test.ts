import { expect, inject, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { openPool } from './db.ts'
import { awaitMigrations, migrate } from './migrate.ts'

const database = await testDatabase()

test('servers that start at once migrate an empty database once', async () => {
  const admin = openPool(inject('postgresUrl'), { connectionsMax: 1 })
  await admin`create database raced`
  const url = new URL(inject('postgresUrl'))
  url.pathname = '/raced'
  const ran = await Promise.all([migrate(url.href), migrate(url.href), migrate(url.href)])
  expect(ran.filter((names) => names.length > 0)).toHaveLength(1)
  await admin`drop database raced`
  await admin.end()
})

test('who may not migrate waits for the one who does, serves on a newer database, and refuses an older one', async () => {
  const sql = openPool(database.url, { connectionsMax: 1 })
  await awaitMigrations(database.db.jobs, 0)
  await sql`insert into migrations (name) values ('9999_of_a_later_version.sql')`
  await awaitMigrations(database.db.jobs, 0)
  await sql`update migrations set name = '9998_renamed.sql' where name like '0002%'`
  await expect(awaitMigrations(database.db.jobs, 0)).rejects.toThrow(
    /lacks 1 migrations, the first of them 0002_identity.sql. Run them as their owner: --migrate/,
  )
  const waiting = awaitMigrations(database.db.jobs, 10_000)
  await sql`update migrations set name = '0002_identity.sql' where name = '9998_renamed.sql'`
  await waiting
  // Before the migration that tells what there is.
  await sql`alter function applied_migrations() rename to renamed`
  await expect(awaitMigrations(database.db.jobs, 0)).rejects.toThrow('the first of them 0001_roles.sql')
  await sql`alter function renamed() rename to applied_migrations`
  await sql`delete from migrations where name like '9999%'`
  await sql.end()
})

test('every column says what it is, why it is kept, for how long, and what becomes of it', async () => {
  const sql = openPool(database.url, { connectionsMax: 1 })
  const unclassified = () => sql<{ column: string }[]>`
    select c.relname || '.' || a.attname as column
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relkind in ('r', 'p') and not c.relispartition and n.nspname not in ('pg_catalog', 'information_schema')
      and coalesce(col_description(c.oid, a.attnum), '') !~
        '^class=[a-z.-]+; purpose=(authenticate|provision|pay|abuse|debug|notify)(,(authenticate|provision|pay|abuse|debug|notify))*; retention=[a-z0-9-]+; export=(yes|no); erase=(delete|keep|expire|unlink)$'
    order by 1`
  expect(await unclassified()).toEqual([])
  await sql`create table careless (phone text)`
  expect(await unclassified()).toEqual([{ column: 'careless.phone' }])
  await sql`drop table careless`
  await sql.end()
})

test('every table that the service reads is under row-level security', async () => {
  const sql = openPool(database.url, { connectionsMax: 1 })
  const open = await sql`
    select relname from pg_class
    where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace and not relrowsecurity
      and relname <> 'migrations'`
  expect(open).toEqual([])
  await sql.end()
})

test('without a caller nothing is visible, and a role cannot reach the migrations', async () => {
  const { db } = database
  await db.as({ account: 'acc_a' }, (tx) => tx`insert into accounts values ('acc_a', now(), now())`)
  expect(await db.as({ account: null }, (tx) => tx`select * from accounts`)).toEqual([])
  expect(await db.as({ account: 'acc_b' }, (tx) => tx`select * from accounts`)).toEqual([])
  expect(await db.as({ account: 'acc_a' }, (tx) => tx`select id from accounts`)).toHaveLength(1)
  await expect(
    db.as({ account: 'acc_b' }, (tx) => tx`insert into accounts values ('acc_c', now(), now())`),
  ).rejects.toMatchObject({ code: '42501' })
  await expect(db.as({ account: 'acc_a' }, (tx) => tx`select * from migrations`)).rejects.toMatchObject({
    code: '42501',
  })
})

import type { PendingQuery } from 'postgres'
import { expect, test, vi } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { openPool, type Sql } from './db.ts'

const { db, url } = await testDatabase()

async function dropConnections(): Promise<void> {
  const owner = openPool(url, { connectionsMax: 1 })
  await owner`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and application_name = 'agentctl'`
  await owner.end()
}

test('connections that the database drops in the middle of transactions end those, and nothing else', async () => {
  for (let round = 0; round < 40; round++) {
    const transactions = Array.from({ length: 8 }, () =>
      db
        .work(async (tx) => {
          await tx`select 1`
          await tx`select pg_sleep(0.002)`
          // Asked on a connection that may be gone by now.
          return Promise.all([tx`select 2`, tx`select ${'x'.repeat(5000)}::text`])
        })
        .then(
          () => 'done',
          () => 'ended',
        ),
    )
    await dropConnections()
    expect(await Promise.all(transactions)).toHaveLength(8)
  }
  // The last that were ended may not know it yet.
  await vi.waitFor(async () => expect(await db.work((tx) => tx`select 3 as three`)).toEqual([{ three: 3 }]))
}, 30_000)

test('a transaction that has lost its connection runs nothing on the one that others opened since', async () => {
  const pool = openPool(url, { connectionsMax: 1 })
  const { promise: reopened, resolve: goOn } = Promise.withResolvers<void>()
  const { promise: after, resolve: ran } = Promise.withResolvers<unknown>()
  const { promise: begun, resolve: begins } = Promise.withResolvers<void>()
  const transaction = pool.begin(async (tx) => {
    await tx`select 1`
    begins()
    await reopened
    ran(
      await tx`select 2`.then(
        () => 'answered',
        (error: { code?: string }) => error.code,
      ),
    )
  })
  const ended = transaction.catch((error: { code?: string }) => error.code)
  await begun
  await dropConnections()
  expect(await ended).toBe('CONNECTION_CLOSED')
  expect(await pool`select 3 as three`).toEqual([{ three: 3 }])
  goOn()
  expect(await after).toBe('CONNECTION_CLOSED')
  await pool.end()
})

test('a transaction that nobody goes on with gives its locks back', async () => {
  const [row] = await db.jobs<{ patience: string }[]>`
    select current_setting('idle_in_transaction_session_timeout') as patience`
  expect(row?.patience).toBe('30s')
})

test('one query reads as a caller: who is asking is set before any row is looked for, and gone afterwards', async () => {
  const owner = openPool(url, { connectionsMax: 1 })
  await owner`
    create table papers (account_id text not null, words text not null);
    alter table papers enable row level security;
    create policy own on papers using (account_id = current_account() or words = presented());
    grant select, insert on papers to agentctl_app;
    insert into papers values ('acc_a', 'one'), ('acc_b', 'two'), ('acc_b', 'three')`.simple()
  const words = (sql: Sql) => sql<{ words: string }[]>`select words from papers order by words`
  expect(await db.read({ account: 'acc_a' }, words)).toEqual([{ words: 'one' }])
  expect(await db.read({ account: 'acc_b' }, words)).toEqual([{ words: 'three' }, { words: 'two' }])
  expect(await db.read({ account: null, presented: 'two' }, words)).toEqual([{ words: 'two' }])
  expect(await db.read({ account: null }, words)).toEqual([])
  // However the planner goes about it: were a row looked for first, it would not be there.
  const shapes: ((sql: Sql) => PendingQuery<{ count: number }[]>)[] = [
    (sql) => sql`select count(*)::int as count from papers`,
    (sql) =>
      sql`select count(*)::int as count from papers a join papers b using (account_id) where a.words = b.words`,
    (sql) => sql`with mine as materialized (select * from papers) select count(*)::int as count from mine`,
    (sql) => sql`select (select count(*)::int from papers) as count`,
    (sql) =>
      sql`select count(*)::int as count from (select words from papers union select words from papers) u`,
    (sql) => sql`select 2 as count where exists (select 1 from papers) order by 1 limit 1`,
  ]
  for (const shape of shapes) expect(await db.read({ account: 'acc_b' }, shape)).toEqual([{ count: 2 }])
  const write = (sql: Sql) => sql`insert into papers values ('acc_a', 'four') returning words`
  await expect(db.read({ account: 'acc_a' }, write)).rejects.toMatchObject({ code: '42601' })
  await owner.end()
})

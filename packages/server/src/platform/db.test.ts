import { expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { openPool } from './db.ts'

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
  expect(await db.work((tx) => tx`select 3 as three`)).toEqual([{ three: 3 }])
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

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '@agentctl/localcloud/postgres.ts'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { openPool, type Pool, type Sql } from './db.ts'
import { createApi } from './http.ts'
import { silentLog } from './log.ts'

const { url } = await testDatabase()
const pool = openPool(url, { connectionsMax: 3 })
const dataDir = mkdtempSync(join(tmpdir(), 'agentctl-trouble-'))
afterAll(async () => {
  await pool.end()
  rmSync(dataDir, { recursive: true, force: true })
})

/** What a caller is answered whose request comes to this end. */
async function answerTo(work: () => PromiseLike<unknown>) {
  const api = createApi({
    gates: { caller: async () => undefined, machine: async () => undefined },
    log: silentLog,
    clientAddressHeader: undefined,
  })
  api.on('GET /v1/health', async () => {
    await work()
    return new Response('well')
  })
  const response = await api.app.request('/v1/health')
  const text = await response.text()
  return response.ok
    ? text
    : { status: response.status, code: JSON.parse(text).code, after: response.headers.get('retry-after') }
}

/** Waits until the database is at work on somebody's sleep. */
const sleeping = (observer: Pool) =>
  expect
    .poll(async () => {
      const rows = await observer`
        select from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and query like 'select pg_sleep%'
          and state = 'active'`
      return rows.length
    })
    .toBe(1)

const again = { status: 503, code: 'unavailable', after: '2' }
const broken = { status: 500, code: 'internal', after: null }

test('while the database is stopped callers are asked to try again, and once it is back they are served', async () => {
  const postgres = await startPostgres({ dataDir, log: () => {} })
  const there: Pool = openPool(postgres.url, { connectionsMax: 1 })
  try {
    expect(await answerTo(() => there`select 1`)).toBe('well')
    const under = answerTo(() => there`select pg_sleep(60)`)
    const observer = openPool(postgres.url, { connectionsMax: 1 })
    await sleeping(observer)
    await observer.end()
    await postgres.stop()
    expect(await under).toEqual(again)
    expect(await answerTo(() => there`select 1`)).toEqual(again)
    const next = await startPostgres({ dataDir, log: () => {} })
    try {
      expect(await answerTo(() => there`select 1`)).toBe('well')
    } finally {
      await next.stop()
    }
  } finally {
    await there.end({ timeout: 1 })
  }
}, 60_000)

test('a connection that is ended under a request', async () => {
  const victim = openPool(url, { connectionsMax: 1 })
  const [backend] = await victim<{ pid: number }[]>`select pg_backend_pid() as pid`
  const asked = answerTo(() => victim`select pg_sleep(60)`)
  await sleeping(pool)
  await pool`select pg_terminate_backend(${backend?.pid ?? 0})`
  expect(await asked).toEqual(again)
  await victim.end()
  // What a request meets that comes while the server itself stops.
  expect(await answerTo(() => victim`select 1`)).toEqual(again)
})

test('no connection is left', async () => {
  await pool.unsafe(`create role crowded login password 'x' connection limit 1`)
  const address = new URL(url)
  address.username = 'crowded'
  address.password = 'x'
  const [one, other] = [
    openPool(address.href, { connectionsMax: 1 }),
    openPool(address.href, { connectionsMax: 1 }),
  ]
  expect(await answerTo(() => one`select 1`)).toBe('well')
  expect(await answerTo(() => other`select 1`)).toEqual(again)
  await Promise.all([one.end(), other.end()])
  await pool`drop role crowded`
})

const patient = (run: (tx: Sql) => Promise<unknown>) => () => pool.begin(run)

test('what takes too long, a lock that is not to be had, and a deadlock', async () => {
  await pool`create table rows (id int primary key)`
  await pool`insert into rows values (1), (2)`
  expect(
    await answerTo(
      patient(async (tx) => {
        await tx`set local statement_timeout = 20`
        await tx`select pg_sleep(60)`
      }),
    ),
  ).toEqual(again)
  await pool.begin(async (holder) => {
    await holder`select from rows where id = 1 for update`
    expect(
      await answerTo(
        patient(async (tx) => {
          await tx`set local lock_timeout = 20`
          await tx`select from rows where id = 1 for update`
        }),
      ),
    ).toEqual(again)
  })
  const crossing = (first: number, second: number, meet: () => Promise<void>) =>
    answerTo(
      patient(async (tx) => {
        await tx`set local deadlock_timeout = 20`
        await tx`select from rows where id = ${first} for update`
        await meet()
        await tx`select from rows where id = ${second} for update`
      }),
    )
  let arrived = 0
  const { promise: both, resolve } = Promise.withResolvers<void>()
  const meet = async (): Promise<void> => {
    if (++arrived === 2) resolve()
    await both
  }
  const ends = await Promise.all([crossing(1, 2, meet), crossing(2, 1, meet)])
  expect(ends).toContainEqual(again)
  expect(ends).toContain('well')
})

test('what the database refuses for what was asked is a fault of ours, and not to be asked again', async () => {
  expect(await answerTo(() => pool`select * from no_such_table`)).toEqual(broken)
  expect(await answerTo(() => pool`select 1 / ${0}::int`)).toEqual(broken)
  expect(await answerTo(() => Promise.reject(new Error('ECONNREFUSED')))).toEqual(broken)
})

import { afterAll, beforeEach, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { secondsAfter } from '../platform/clock.ts'
import { openPool } from '../platform/db.ts'
import { type AnsweredRequest, createApi } from '../platform/http.ts'
import { newId } from '../platform/ids.ts'
import { jsonLog } from '../platform/log.ts'
import { DAY_SECONDS } from '../platform/retention.ts'
import { openRequestLog, ROWS_AT_ONCE } from './request-log.ts'
import { dropDays, listRequestsOf, oldestDay } from './request-log-store.ts'
import { visitPurge } from './retention.ts'

const { db, url } = await testDatabase()
const sql = openPool(url, { connectionsMax: 1 })
await sql`
  insert into accounts (id, created_at, terms_accepted_at)
  select id, 'epoch', 'epoch' from unnest(array['acc_alice', 'acc_bob']) as id`
let logged = ''
const log = jsonLog((line) => {
  logged += line
})
const begin = new Date('2027-03-01T09:00:00Z')
let now = begin
const clock = { now: () => now }
const pepper = { version: 1, versions: [1], hmac: (text: string) => Buffer.from(text.padEnd(32).slice(-32)) }
const requestLog = openRequestLog({ db, clock, log, pepper })
afterAll(async () => {
  await requestLog.stop()
  await sql.end({ timeout: 5 })
})

beforeEach(() => sql`truncate request_log`)

const answered = (overrides: Partial<AnsweredRequest> = {}): AnsweredRequest => ({
  at: now,
  requestId: newId('req'),
  route: 'GET /v1/account',
  status: 200,
  durationMs: 3,
  accountId: 'acc_alice',
  credentialId: 'ses_1',
  clientAddress: '192.0.2.7',
  ...overrides,
})
const rows = () => sql`select * from request_log order by account_id nulls first, request_id`
const shown = (account: string) => db.operate((tx) => listRequestsOf(tx, account, { now, limit: 100 }))

test('of a request its metadata is kept: nothing that was typed into it, and no address', async () => {
  const api = createApi({
    gates: {
      async caller() {
        return {
          accountId: 'acc_alice',
          via: 'session',
          credentialId: 'ses_1',
          scopes: 'all',
          namespaceId: null,
          authenticatedAt: null,
        }
      },
      machine: async () => ({ machineId: 'mac_1', agentId: 'agt_1' }),
    },
    log,
    clientAddressHeader: 'x-client',
    record: { clock, answered: [requestLog.record] },
  })
  api.on('GET /v1/agents/:agent', async () => {
    throw new TypeError('canary-of-a-fault')
  })
  api.on('POST /v1/logins/phone', async () => ({ challengeId: 'canary-answer' }) as never)
  api.on('POST /v1/runner/poll', async () => new Response(null, { status: 204 }))
  const headers = {
    authorization: 'Bearer canary-token',
    'x-client': '192.0.2.7',
    cookie: 'canary-cookie',
    'content-type': 'application/json',
  }
  const canary = JSON.stringify({ phone: '+821055550199' })
  const asked = [
    await api.app.request('/v1/agents/canary-path', { headers }),
    await api.app.request('/v1/agents/canary-path?canary=query', { headers }),
    await api.app.request('/v1/logins/phone', { method: 'POST', headers, body: canary }),
    await api.app.request('/v1/logins/phone', { method: 'POST', headers, body: '{"canary":1}' }),
    await api.app.request('/canary-nowhere', { headers }),
  ]
  await api.app.request('/v1/runner/poll', { method: 'POST', headers, body: '{}' })
  await requestLog.flush()
  const kept = await rows()
  const said = kept.map(({ route, status, account_id, credential_id }) => [
    route,
    status,
    account_id,
    credential_id,
  ])
  expect(said.toSorted()).toEqual(
    [
      ['GET /v1/agents/:agent', 400, 'acc_alice', 'ses_1'],
      ['GET /v1/agents/:agent', 500, 'acc_alice', 'ses_1'],
      ['POST /v1/logins/phone', 202, null, null],
      ['POST /v1/logins/phone', 400, null, null],
      ['', 404, null, null],
    ].toSorted(),
  )
  expect(kept.map((row) => row.request_id).toSorted()).toEqual(
    asked.map((answer) => answer.headers.get('x-request-id')).toSorted(),
  )
  const dump = JSON.stringify(kept, (_, value) =>
    value?.type === 'Buffer' ? Buffer.from(value.data).toString('latin1') : value,
  )
  expect(dump).not.toMatch(/canary|5555|Bearer/)
  expect(logged).not.toMatch(/canary|5555|192\.0\.2/)
})

test('a clean stop loses none, and a request that was sent twice is one row', async () => {
  const stopped = openRequestLog({ db, clock, log, pepper })
  const many = Array.from({ length: ROWS_AT_ONCE * 2 + 7 }, () => answered())
  for (const one of many) stopped.record(one)
  const flushing = stopped.flush()
  const late = answered()
  stopped.record(late)
  await Promise.all([flushing, stopped.stop()])
  const [count] = await sql`select count(*)::int as count from request_log`
  expect(count?.count).toBe(many.length + 1)
  requestLog.record(late)
  await requestLog.flush()
  const [again] = await sql`select count(*)::int as count from request_log`
  expect(again?.count).toBe(many.length + 1)
})

test('when the answer of the database is lost, what it wrote is not written again, and what came since is', async () => {
  let lost = 0
  const losing = (strings: TemplateStringsArray, ...values: never[]) => {
    const asked = sql(strings, ...values)
    if (!strings.join('').includes('insert into request_log')) return asked
    return asked.then((rows) => {
      lost += 1
      if (lost <= 2) throw new Error('the connection has ended')
      return rows
    })
  }
  const unsure = openRequestLog({ db: { ...db, jobs: losing as never }, clock, log, pepper })
  unsure.record(answered())
  await expect(unsure.flush()).rejects.toThrow('ended')
  unsure.record(answered())
  await expect(unsure.flush()).rejects.toThrow('ended')
  unsure.record(answered())
  await unsure.stop()
  expect(await rows()).toHaveLength(3)
  expect(logged).not.toContain('lost')
})

test("a request of an account that was erased before it was written down is nobody's", async () => {
  requestLog.record(answered({ accountId: 'acc_gone' }))
  requestLog.record(answered({ accountId: null, credentialId: null }))
  requestLog.record(answered())
  await requestLog.flush()
  expect((await rows()).map((row) => [row.account_id, row.credential_id])).toEqual([
    [null, null],
    [null, null],
    ['acc_alice', 'ses_1'],
  ])
})

test('while the database takes nothing requests wait, and are written when it does', async () => {
  await sql`alter table request_log rename to request_log_away`
  requestLog.record(answered())
  await expect(requestLog.flush()).rejects.toThrow()
  await sql`alter table request_log_away rename to request_log`
  await requestLog.flush()
  expect(await rows()).toHaveLength(1)
})

test('no request is ever older than 83 days, also when the work has stood still for two, so that backups of a week end at 90', async () => {
  const days = async () =>
    (
      await sql<{ name: string }[]>`
      select inhrelid::regclass::text as name from pg_inherits where inhparent = 'request_log'::regclass order by 1`
    ).map(({ name }) => name.slice(-8))
  await visitPurge({ db, clock })
  expect(await days()).toEqual(['20270301', '20270302', '20270303', '20270304'])
  requestLog.record(answered({ at: new Date('2027-03-01T00:00:00Z') }))
  await requestLog.flush()

  // It visits every ten minutes; the last visit before it stands still is right before the day would have gone.
  now = secondsAfter(new Date('2027-03-01T00:00:00Z'), 81 * DAY_SECONDS - 1)
  await visitPurge({ db, clock })
  expect(await rows()).toHaveLength(1)
  now = secondsAfter(now, 2 * DAY_SECONDS)
  expect(await shown('acc_alice')).toHaveLength(1)
  await visitPurge({ db, clock })
  expect(await days()).not.toContain('20270301')
  expect(await rows()).toHaveLength(0)

  // And if it stands still for longer, what is too old is shown to nobody.
  now = new Date('2027-06-10T12:00:00Z')
  requestLog.record(answered())
  await requestLog.flush()
  now = secondsAfter(now, 90 * DAY_SECONDS - 1)
  expect(await shown('acc_alice')).toHaveLength(1)
  now = secondsAfter(now, 1)
  expect(await shown('acc_alice')).toEqual([])
  expect(await rows()).toHaveLength(1)
  await visitPurge({ db, clock })
  expect(await rows()).toHaveLength(0)
})

test('days are dropped however the database goes about finding them', async () => {
  await visitPurge({ db, clock })
  // It reads the catalogue from end to end, as it may whenever there are many days.
  await sql.begin(async (tx) => {
    for (const way of ['nestloop', 'mergejoin', 'indexscan', 'indexonlyscan', 'bitmapscan']) {
      await tx`select set_config(${`enable_${way}`}, 'off', true)`
    }
    expect(await oldestDay(tx)).not.toBeNull()
    expect(await dropDays(tx, secondsAfter(now, 30 * DAY_SECONDS))).toBeGreaterThan(0)
    expect(await oldestDay(tx)).toBeNull()
  })
  await visitPurge({ db, clock })
})

test('that days are not dropped is said by the servers that write, in an hour at most', async () => {
  now = new Date('2028-01-10T12:00:00Z')
  requestLog.record(answered())
  await requestLog.flush()
  now = secondsAfter(now, 82 * DAY_SECONDS)
  const alarming = openRequestLog({ db, clock, log, pepper })
  await expect.poll(() => logged, { timeout: 10_000, interval: 50 }).toContain('look at the workers')
  await alarming.stop()
  await visitPurge({ db, clock })
})

test('an account sees its own requests of 90 days, an operator those of one account, and nobody else any', async () => {
  const DAY_MS = DAY_SECONDS * 1000
  const [young, old] = [new Date(Date.now() - 89 * DAY_MS), new Date(Date.now() - 91 * DAY_MS)]
  for (const accountId of ['acc_alice', 'acc_bob'])
    for (const at of [young, old]) requestLog.record(answered({ accountId, at }))
  await requestLog.flush()
  expect(await rows()).toHaveLength(4)
  const own = (account: string | null) =>
    db.as({ account }, (tx) => tx`select account_id, at from request_log`)
  expect(await own('acc_alice')).toEqual([{ account_id: 'acc_alice', at: young }])
  expect(await own(null)).toEqual([])
  expect(await db.operate((tx) => tx`select from request_log where at <= ${old}`)).toHaveLength(0)
  now = new Date()
  expect(await shown('acc_bob')).toMatchObject([
    { route: 'GET /v1/account', credentialId: 'ses_1', at: young },
  ])
  const day = `request_log_${young.toISOString().slice(0, 10).replaceAll('-', '')}`
  for (const read of [
    () => db.as({ account: 'acc_alice' }, (tx) => tx`select from ${tx(day)}`),
    () => db.operate((tx) => tx`select from ${tx(day)}`),
    () => db.as({ account: 'acc_alice' }, (tx) => tx`delete from request_log`),
    () => db.work((tx) => tx`update request_log set status = 200`),
  ])
    await expect(read()).rejects.toMatchObject({ code: '42501' })
})

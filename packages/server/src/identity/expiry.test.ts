import { expect, onTestFinished, test } from 'vitest'
import { openPool } from '../platform/db.ts'
import { onceForKey } from '../platform/idempotency.ts'
import { silentLog } from '../platform/log.ts'
import { finishOperation, startOperation, startWorker } from '../platform/operations.ts'
import { expireIdentityRows } from './expiry.ts'
import { identityWork, scheduleIdentityWork } from './operations.ts'
import { testIdentity } from './test-identity.ts'

const identity = await testIdentity()
const { call, clock } = identity
const DAY = 86_400

test('what may not be kept any longer is deleted, and nothing before its time', async () => {
  const { token, accountId } = await identity.newAccount()
  const [{ name } = { name: '' }] = (await call('GET /v1/namespaces', { token })).json.namespaces as {
    name: string
  }[]
  await call(`POST /v1/namespaces/${name}/invitations`, { token, body: { role: 'viewer' } })
  const phone = '+821044440001'
  const { json } = await call('POST /v1/logins/phone', { body: { phone } })
  const [code = ''] = await identity.codes(phone)
  const body = { challengeId: json.challengeId, code }
  expect((await call('POST /v1/logins/phone/verify', { body })).json.status).toBe('terms_required')
  const address = '0x0000000000000000000000000000000000000001'
  await call('POST /v1/logins/wallet', { body: { address } })

  const repeatable = {
    route: 'POST /v1/deploys' as const,
    accountId,
    key: 'once',
    request: {},
    now: clock.now(),
  }
  await identity.db.as({ account: accountId }, (tx) => onceForKey(tx, repeatable, async () => ({})))

  const sql = openPool(identity.databaseUrl, { connectionsMax: 1 })
  const left = async () => {
    const [row] = await sql`
      select (select count(*) from phone_challenges)::int as codes, (select count(*) from signups)::int as signups,
        (select count(*) from wallet_challenges)::int as messages, (select count(*) from sessions)::int as sessions,
        (select count(*) from invitations)::int as invitations, (select count(*) from login_limits)::int > 0 as limits,
        (select count(*) from sms_counts)::int as counts,
        (select count(*) from idempotency_keys)::int as answers`
    return row
  }
  const all = {
    codes: 1,
    signups: 1,
    messages: 1,
    sessions: 1,
    invitations: 1,
    limits: true,
    counts: 1,
    answers: 1,
  }
  expect(await expireIdentityRows(identity)).toBe(0)
  expect(await left()).toEqual(all)
  clock.advance(DAY)
  await expireIdentityRows(identity)
  expect(await left()).toEqual({ ...all, codes: 0, signups: 0, messages: 0, limits: false, answers: 0 })
  clock.advance(DAY + 300)
  await expireIdentityRows(identity)
  expect(await left()).toMatchObject({ counts: 0, sessions: 1, invitations: 1 })
  clock.advance(28 * DAY)
  await expireIdentityRows(identity)
  expect(await left()).toMatchObject({ sessions: 0, invitations: 0 })
  await sql.end()
})

test('work is forgotten 90 days after its end, and never before it has ended', async () => {
  const sql = openPool(identity.databaseUrl, { connectionsMax: 1 })
  const { db } = identity
  for (const subject of ['ended', 'open']) {
    await startOperation(db.jobs, { kind: 'test', subject, namespaceId: null, now: clock.now() })
  }
  await finishOperation(db.jobs, 'ended', clock.now())
  const left = async () =>
    (await sql<{ subject: string }[]>`select subject from operations where kind = 'test' order by 1`).map(
      (row) => row.subject,
    )
  clock.advance(89 * DAY)
  await expireIdentityRows(identity)
  expect(await left()).toEqual(['ended', 'open'])
  clock.advance(DAY)
  await expireIdentityRows(identity)
  expect(await left()).toEqual(['open'])
  await sql`delete from operations where kind = 'test'`
  await sql.end()
})

test('it happens by itself, and once for all the servers that start', async () => {
  const worker = startWorker(
    { db: identity.db, clock, log: silentLog, leaseSeconds: 5 },
    identityWork(identity),
  )
  const sql = openPool(identity.databaseUrl, { connectionsMax: 1 })
  onTestFinished(async () => {
    await (await worker).stop()
    await sql.end()
  })
  const address = '0x0000000000000000000000000000000000000002'
  await call('POST /v1/logins/wallet', { body: { address } })
  clock.advance(DAY)
  await scheduleIdentityWork(identity)
  await scheduleIdentityWork(identity)
  const scheduled = async () => [
    ...(await sql`
      select kind, lease_until as lease, last_error as error, run_at > clock_timestamp() + interval '5 minutes' as later
      from operations where state = 'pending'`),
  ]
  await expect
    .poll(scheduled, { timeout: 10_000, interval: 50 })
    .toEqual([{ kind: 'expire-identity', lease: null, error: null, later: true }])
  expect(await sql`select 1 from wallet_challenges`).toHaveLength(0)
})

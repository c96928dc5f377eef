import { expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { createApi } from './http.ts'
import { silentLog } from './log.ts'
import type { Problem } from './problem.ts'
import { openRequestLimits, type RequestLimits, type Turn } from './request-limits.ts'

const { db } = await testDatabase()
const quotas = { address: 10, account: 6, credential: 4, machine: 3 }
const pepperOf = (versions: number[]) => ({
  versions,
  hmac: (text: string, version = versions.at(-1)) => Buffer.from(`hash ${version} of ${text}`),
})
const minute = Date.parse('2027-03-01T10:00:00Z')
let nowMs = minute
const clock = { now: () => new Date(nowMs) }
const server = (peppers = [1]): RequestLimits =>
  openRequestLimits({ db, clock, log: silentLog, pepper: pepperOf(peppers) }, quotas)

/** How many turns are left to take. */
function turns(limits: RequestLimits, turn: Turn): number {
  for (let taken = 0; ; taken++) {
    try {
      limits.take(turn)
    } catch {
      return taken
    }
  }
}
function refusal(limits: RequestLimits, turn: Turn): Problem {
  try {
    limits.take(turn)
  } catch (error) {
    return error as Problem
  }
  throw new Error('It was let through.')
}

test('a minute has so many turns, however it is laid, and a refusal says when the next one comes', async () => {
  const limits = server()
  const turn: Turn = { quota: 'address', subject: '192.0.2.1' }
  nowMs = minute + 59_000
  expect(turns(limits, turn)).toBe(10)
  nowMs = minute + 61_000
  // Two seconds later all of them still count, but for the sixtieth part that has gone by.
  expect(turns(limits, turn)).toBe(0)
  const { code, retryAfterSeconds = 0 } = refusal(limits, turn)
  expect(code).toBe('rate_limited')
  expect(retryAfterSeconds).toBe(5)
  nowMs += retryAfterSeconds * 1000
  expect(turns(limits, turn)).toBe(1)
  nowMs = minute + 180_000
  expect(turns(limits, turn)).toBe(10)
  nowMs += 1000
  const again = refusal(limits, turn).retryAfterSeconds ?? 0
  nowMs += again * 1000 - 1
  expect(turns(limits, turn)).toBe(0)
  nowMs += 1
  expect(turns(limits, turn)).toBe(1)
  await limits.stop()
})

test('servers meet while a new pepper is rolled out', async () => {
  nowMs = minute + 1_200_000
  const [old, next] = [server(), server([1, 2])]
  const turn: Turn = { quota: 'account', subject: 'acc_peppered' }
  old.take(turn)
  old.take(turn)
  await old.flush()
  next.take(turn)
  await next.flush()
  expect(turns(next, turn)).toBe(3)
  await Promise.all([old.stop(), next.stop()])
})

test('several servers let through what one would, as soon as they have shared their counts', async () => {
  nowMs = minute + 600_000
  const [one, two] = [server(), server()]
  const turn: Turn = { quota: 'account', subject: 'acc_shared' }
  one.take(turn)
  one.take(turn)
  two.take(turn)
  await one.flush()
  await two.flush()
  expect(turns(two, turn)).toBe(3)
  await two.flush()
  one.take(turn)
  await one.flush()
  expect(refusal(one, turn).code).toBe('rate_limited')
  // The next minute knows of the one before at every server.
  nowMs += 60_000
  const three = server()
  expect(turns(three, turn)).toBe(6)
  await three.flush()
  expect(refusal(three, turn).code).toBe('rate_limited')
  await Promise.all([one.stop(), two.stop(), three.stop()])
})

test('nothing that names anybody is written down, and counts older than two minutes go', async () => {
  nowMs = minute + 6_000_000
  const limits = server()
  limits.take({ quota: 'address', subject: '192.0.2.77' })
  await limits.stop()
  const rows = await db.jobs<{ subject: Buffer; windowStart: Date }[]>`
    select subject, window_start as "windowStart" from request_counts`
  expect(rows).toEqual([
    { subject: Buffer.from('hash 1 of requests:address:192.0.2.77'), windowStart: new Date(nowMs) },
  ])
})

test('an answer tells what is left of each limit, and the refusal when to come again', async () => {
  nowMs = minute + 9_000_000 + 15_500
  const limits = server()
  const api = createApi({
    gates: {
      caller: async (bearer) =>
        bearer.startsWith('key_')
          ? {
              accountId: 'acc_1',
              via: 'key',
              credentialId: bearer,
              scopes: [],
              namespaceId: null,
              authenticatedAt: null,
            }
          : undefined,
      machine: async () => ({ machineId: 'mch_1', agentId: 'agt_1' }),
    },
    log: silentLog,
    clientAddressHeader: 'x-client',
    limits,
  })
  api.on('GET /v1/notices', async () => ({ notices: [] }))
  api.on('POST /v1/runner/reports', async () => undefined)
  const ask = (key: string, from: string, path = '/v1/notices') =>
    api.app.request(path, { headers: { authorization: `Bearer ${key}`, 'x-client': from } })

  const first = await ask('key_a', '198.51.100.1')
  expect(first.headers.get('ratelimit-policy')).toBe(
    '"address";q=10;w=60, "account";q=6;w=60, "credential";q=4;w=60',
  )
  expect(first.headers.get('ratelimit')).toBe('"address";r=9;t=45, "account";r=5;t=45, "credential";r=3;t=45')
  for (let turn = 0; turn < 3; turn++) expect((await ask('key_a', '198.51.100.2')).status).toBe(200)
  const byKey = await ask('key_a', '198.51.100.3')
  expect(byKey.status).toBe(429)
  expect(await byKey.json()).toMatchObject({ detail: 'This credential may send 4 requests a minute.' })
  expect(Number(byKey.headers.get('retry-after'))).toBe(60)
  expect(byKey.headers.get('ratelimit')).toContain('"credential";r=0;t=45')
  // Another key of the account has what is left to the account.
  expect((await ask('key_b', '198.51.100.4')).status).toBe(200)
  expect(await (await ask('key_c', '198.51.100.5')).json()).toMatchObject({
    detail: 'This account may send 6 requests a minute.',
  })
  // An address counts whoever comes from it: with a wrong key, to an address that is none, or with none.
  for (let turn = 0; turn < 10; turn++)
    await ask('wrong', '2001:db8::1', turn % 2 ? '/v1/nothing' : undefined)
  for (const path of ['/v1/notices', '/v1/nothing']) {
    const byAddress = await ask('wrong', '2001:db8::2', path)
    expect(byAddress.status).toBe(429)
    expect(byAddress.headers.get('ratelimit-policy')).toBe('"address";q=10;w=60')
  }
  const report = await api.app.request('/v1/runner/reports', {
    method: 'POST',
    headers: { authorization: 'Bearer m', 'x-client': '198.51.100.9', 'content-type': 'application/json' },
    body: JSON.stringify({ releaseId: 'rel_1', state: 'healthy' }),
  })
  expect(report.headers.get('ratelimit')).toBe('"address";r=9;t=45, "machine";r=2;t=45')
  await limits.stop()
})

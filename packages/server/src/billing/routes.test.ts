import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { endpoints } from '@agentctl/contract/api.ts'
import { verifyLedger } from '@agentctl/contract/ledger-export.ts'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Config } from '../platform/config.ts'
import { openPool } from '../platform/db.ts'
import { type Caller, createApi } from '../platform/http.ts'
import { newId } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import * as depositStore from './deposit-store.ts'
import * as ledger from './ledger.ts'
import { chargeMeters, setRate } from './meters.ts'
import { billingRoutes } from './routes.ts'
import { usageOf } from './usage.ts'

const { url, db } = await testDatabase()
const owner = openPool(url, { connectionsMax: 2 })
const folder = mkdtempSync(join(tmpdir(), 'agentctl-billing-'))
let now = new Date('2027-03-10T12:00:00.000Z')
const config: Pick<Config, 'deposits' | 'graceDays' | 'ledgerKeyFile'> = {
  graceDays: 14,
  ledgerKeyFile: join(folder, 'ledger-keys.json'),
  deposits: [
    {
      name: 'base',
      chainId: 8453,
      rpcUrl: 'https://rpc.example/with-a-key',
      publicRpcUrl: 'https://mainnet.base.org',
      address: '0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266',
      token: { symbol: 'USDC', address: '0x833589fcd6edb6e08f4c7c32d4f71b54bda02913', decimals: 6 },
      startBlock: undefined,
      windowBlocks: 2000,
      pollSeconds: 2,
    },
  ],
}
const api = createApi({
  gates: {
    caller: async (bearer) =>
      bearer.startsWith('acc_')
        ? ({
            accountId: bearer,
            via: 'session',
            credentialId: 'ses_1',
            scopes: 'all',
            namespaceId: null,
            authenticatedAt: now,
          } satisfies Caller)
        : undefined,
    machine: async () => undefined,
  },
  log: silentLog,
  clientAddressHeader: undefined,
})
billingRoutes(api, { db, clock: { now: () => now }, config: config as Config })
await db.work((tx) => chargeMeters(tx, now))
afterAll(async () => {
  await owner.end()
  rmSync(folder, { recursive: true })
})

async function account(): Promise<string> {
  const id = newId('acc')
  await owner`insert into accounts values (${id}, ${now}, ${now})`
  return id
}

async function ask(
  bearer: string,
  path: string,
  body?: object,
  key = newId('req'),
): Promise<{ status: number; body: unknown }> {
  const response = await api.app.request(`http://localhost${path}`, {
    method: body ? 'POST' : 'GET',
    headers: {
      ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
      ...(body ? { 'content-type': 'application/json', 'idempotency-key': key } : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  return { status: response.status, body: await response.json() }
}

let counter = 0
const deposit = (accountId: string, amountMicros: bigint, at = now) =>
  db.work(async (tx) =>
    ledger.post(tx, {
      key: `test:${++counter}`,
      kind: 'deposit',
      reference: `dep_${counter}`,
      ledgerAccount: await ledger.ledgerAccountOf(tx, accountId, at),
      amountMicros,
      against: 'sys_treasury',
      at,
    }),
  )
const burn = (accountId: string, subject: string, hourlyMicros: bigint) =>
  db.work((tx) => setRate(tx, { subject, accountId, namespaceId: 'ns_1', hourlyMicros, at: now }))

test('an account that never paid has nothing, and nothing burns', async () => {
  expect(await ask(await account(), '/v1/billing/balance')).toEqual({
    status: 200,
    body: {
      creditsMicros: '0',
      heldMicros: '0',
      hourlyMicros: '0',
      runwaySeconds: null,
      suspendsAt: null,
    },
  })
})

test('the balance is to the second, also between charges, and says when it ends', async () => {
  const who = await account()
  await deposit(who, 1_000_000n)
  await burn(who, 'agt_balance_a', 20_000n)
  now = secondsAfter(now, 3600)
  await burn(who, 'agt_balance_b', 80_000n)
  now = secondsAfter(now, 1800)
  const expected = {
    creditsMicros: String(1_000_000 - 30_000 - 40_000),
    heldMicros: '0',
    hourlyMicros: '100000',
    runwaySeconds: Math.floor((930_000 * 3600) / 100_000),
    suspendsAt: secondsAfter(now, 33_480).toISOString(),
  }
  expect((await ask(who, '/v1/billing/balance')).body).toEqual(expected)
  await db.work((tx) => chargeMeters(tx, now))
  expect((await ask(who, '/v1/billing/balance')).body).toEqual(expected)
  await burn(who, 'agt_balance_b', 0n)
  await burn(who, 'agt_balance_a', 0n)
  now = secondsAfter(now, 1800)
  expect((await ask(who, '/v1/billing/balance')).body).toMatchObject({
    creditsMicros: '930000',
    hourlyMicros: '0',
    runwaySeconds: null,
    suspendsAt: null,
  })
})

test('credits that have run out are zero, not less, and the moment of their end stays told', async () => {
  const who = await account()
  await deposit(who, 100n)
  await burn(who, 'agt_ended', 3_600n)
  const ends = secondsAfter(now, 100).toISOString()
  now = secondsAfter(now, 1000)
  expect((await ask(who, '/v1/billing/balance')).body).toMatchObject({
    creditsMicros: '0',
    runwaySeconds: 0,
    suspendsAt: ends,
  })
  await burn(who, 'agt_ended', 0n)
})

test('history comes in pages, newest first, and is filtered by time and kind', async () => {
  const who = await account()
  for (let day = 1; day <= 5; day++) {
    await deposit(who, BigInt(day), new Date(Date.UTC(2027, 0, day)))
  }
  const amounts = async (query: string) => {
    const { body } = await ask(who, `/v1/billing/history?${query}`)
    const page = body as { entries: { amountMicros: string }[]; nextCursor: string | null }
    return [page.entries.map((entry) => entry.amountMicros).join(' '), page.nextCursor]
  }
  expect(await amounts('')).toEqual(['5 4 3 2 1', null])
  expect(await amounts('limit=2')).toEqual(['5 4', '4'])
  expect(await amounts('limit=2&cursor=4')).toEqual(['3 2', '2'])
  expect(await amounts('limit=2&cursor=2')).toEqual(['1', null])
  expect(await amounts('since=2027-01-02T00:00:00Z&until=2027-01-04T00:00:00Z')).toEqual(['3 2', null])
  expect(await amounts('kind=charge')).toEqual(['', null])
  expect((await ask(who, '/v1/billing/history?cursor=x')).status).toBe(400)
  expect((await ask(await account(), '/v1/billing/history')).body).toEqual({ entries: [], nextCursor: null })
  const { body } = await ask(who, '/v1/billing/history?limit=1')
  expect(body).toMatchObject({ entries: [{ kind: 'deposit', amountMicros: '5', balanceMicros: '15' }] })
})

test('the exported ledger is verified with the keys that the service publishes', async () => {
  const who = await account()
  await deposit(who, 25n)
  const exported = await ask(who, '/v1/billing/ledger')
  const { body } = await ask('', '/v1/billing/ledger-keys')
  const { keys } = body as { keys: { publicKey: string }[] }
  const trusted = keys.map((key) => key.publicKey)
  expect(await verifyLedger(exported.body, trusted)).toMatchObject({ valid: true, balanceMicros: '25' })
})

test('usage is told by subject and day, and what the month will come to', async () => {
  const who = await account()
  await deposit(who, 10_000_000n)
  now = new Date('2027-04-10T23:00:00Z')
  await burn(who, 'agt_usage', 80_000n)
  now = new Date('2027-04-11T02:00:00Z')
  await burn(who, 'agt_usage', 1_000n)
  now = new Date('2027-04-11T03:00:00Z')
  expect(await db.as({ account: who }, (tx) => usageOf(tx, who, {}, now))).toEqual({
    since: '2027-04-01T00:00:00.000Z',
    until: now.toISOString(),
    totalMicros: '241000',
    forecastMicros: String(241_000 + 1_000 * (24 * 20 - 3)),
    creditsEndAt: null,
    rows: [
      {
        day: '2027-04-10',
        subject: 'agt_usage',
        namespace: null,
        seconds: 3600,
        chargedMicros: '80000',
      },
      {
        day: '2027-04-11',
        subject: 'agt_usage',
        namespace: null,
        seconds: 3 * 3600,
        chargedMicros: '161000',
      },
    ],
  })
  // Of a namespace in which nothing burns, nothing is to come either.
  expect(
    await db.as({ account: who }, (tx) => usageOf(tx, who, { namespace: 'another' }, now)),
  ).toMatchObject({ totalMicros: '0', forecastMicros: '0', rows: [] })
  // What the credits do not pay for is not forecast: a dollar an hour lasts for less than ten hours.
  await burn(who, 'agt_usage', 1_000_000n)
  const ending = await db.as({ account: who }, (tx) => usageOf(tx, who, {}, now))
  expect(ending.creditsEndAt).toMatch(/^2027-04-11T12:4/)
  expect(Number(ending.forecastMicros)).toBeGreaterThan(9_999_000)
  // The end is the second in which they end, so that it may be some of that more.
  expect(Number(ending.forecastMicros)).toBeLessThan(10_000_000 + 278)
  await burn(who, 'agt_usage', 0n)
})

test('deposit addresses name the wallets of the account, and never the URL that the service itself uses', async () => {
  const who = await account()
  const wallet = '0x52908400098527886E0F7030069857D2E4169EE7'
  await owner`insert into wallets values (${wallet.toLowerCase()}, ${who}, ${now})`
  const { body } = await ask(who, '/v1/billing/deposit-addresses')
  expect(JSON.stringify(body)).not.toContain('with-a-key')
  expect(body).toEqual({
    chains: [
      {
        chain: 'base',
        chainId: 8453,
        rpcUrl: 'https://mainnet.base.org',
        token: { symbol: 'USDC', address: '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913', decimals: 6 },
        address: '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266',
      },
    ],
    wallets: [wallet],
  })
})

test('a claim is answered at once, a repetition with the same deposit, a malformed hash or unknown chain with its problem', async () => {
  const who = await account()
  const txHash = `0x${'AB'.repeat(32)}`
  const first = await ask(who, '/v1/billing/deposits', { txHash })
  expect(first).toMatchObject({
    status: 202,
    body: {
      status: 'pending',
      reason: null,
      chain: 'base',
      txHash: txHash.toLowerCase(),
      creditsMicros: null,
    },
  })
  expect((await ask(who, '/v1/billing/deposits', { txHash: txHash.toLowerCase() })).body).toEqual(first.body)
  expect((await ask(who, '/v1/billing/deposits')).body).toEqual({ deposits: [first.body] })
  for (const wrong of ['0x12', `0x${'zz'.repeat(32)}`, 'ab'.repeat(32), `0x${'ab'.repeat(33)}`]) {
    expect((await ask(who, '/v1/billing/deposits', { txHash: wrong })).status).toBe(400)
  }
  expect((await ask(who, '/v1/billing/deposits', { txHash, chain: 'moon' })).body).toMatchObject({
    code: 'invalid_request',
    detail: 'Payments are taken on base.',
  })
  const id = (first.body as { id: string }).id
  const stranger = await account()
  const [theirs, nobodys] = await Promise.all([
    ask(stranger, `/v1/billing/deposits/${id}`),
    ask(stranger, '/v1/billing/deposits/dep_unknown'),
  ])
  const withoutId = (answer: { body: unknown }) => ({ ...(answer.body as object), requestId: '' })
  expect(withoutId(theirs)).toEqual(withoutId(nobodys))
  expect(theirs.status).toBe(404)
})

test('a claim under a key that was used is the first answer again, and another claim under it is refused', async () => {
  const who = await account()
  const claim = { txHash: `0x${'ef'.repeat(32)}` }
  const first = await ask(who, '/v1/billing/deposits', claim, 'one-key')
  await db.work((tx) => depositStore.rejectDeposit(tx, (first.body as { id: string }).id, 'not_found'))
  expect(await ask(who, '/v1/billing/deposits', claim, 'one-key')).toEqual(first)
  const other = await ask(who, '/v1/billing/deposits', { txHash: `0x${'fe'.repeat(32)}` }, 'one-key')
  expect(other).toMatchObject({ status: 422, body: { code: 'idempotency_mismatch' } })
  // The key of somebody else is another key.
  expect((await ask(await account(), '/v1/billing/deposits', claim, 'one-key')).status).toBe(202)
})

test('whoever waits for a deposit hears at once of its next status', async () => {
  const who = await account()
  const { body } = await ask(who, '/v1/billing/deposits', { txHash: `0x${'cd'.repeat(32)}` })
  const { id } = body as { id: string }
  const begun = performance.now()
  const waiting = ask(who, `/v1/billing/deposits/${id}?waitSeconds=20&status=pending`)
  // The announcement must not come before somebody listens; the wait looks at the row itself after it began to.
  await db.work((tx) => depositStore.rejectDeposit(tx, id, 'not_found'))
  expect((await waiting).body).toMatchObject({ status: 'rejected', reason: 'not_found' })
  expect(performance.now() - begun).toBeLessThan(10_000)
})

test('prices are told to anybody', async () => {
  const { body } = await ask('', '/v1/billing/prices')
  const { prices } = body as { prices: { size: string; hourlyMicros: string }[] }
  expect(prices.map(({ size, hourlyMicros }) => `${size} ${hourlyMicros}`)).toEqual([
    'nano 10000',
    'small 20000',
    'medium 40000',
    'large 80000',
    'stopped 1000',
    'suspended 0',
  ])
})

test('every answer has the shape that the contract declares', async () => {
  const who = await account()
  await deposit(who, 5_000_000n)
  await burn(who, 'agt_shapes', 20_000n)
  now = secondsAfter(now, 5000)
  await ask(who, '/v1/billing/deposits', { txHash: `0x${'ef'.repeat(32)}` })
  for (const route of [
    'GET /v1/billing/balance',
    'GET /v1/billing/history',
    'GET /v1/billing/prices',
    'GET /v1/billing/deposits',
    'GET /v1/billing/deposit-addresses',
    'GET /v1/billing/ledger-keys',
  ] as const) {
    const { body } = await ask(who, route.slice('GET '.length))
    expect(endpoints[route].response.safeParse(body), route).toMatchObject({ success: true })
  }
  await burn(who, 'agt_shapes', 0n)
})

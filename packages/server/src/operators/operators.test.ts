import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { visitConfirmations } from '../billing/confirm-operation.ts'
import { listDeposits } from '../billing/deposits.ts'
import { visitScan } from '../billing/scan-operation.ts'
import { payingChain } from '../billing/testing/paying.ts'
import { secondsAfter } from '../platform/clock.ts'
import { type Config, type DepositChain, readConfig } from '../platform/config.ts'
import { openPool } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import type { Pepper } from '../platform/keyring.ts'
import { type Lease, startOperation } from '../platform/operations.ts'
import { purge } from '../platform/purges.ts'
import { newToken } from '../platform/tokens.ts'
import { openTransfers } from '../providers/chain/transfers.ts'
import { openTransport } from '../providers/transport.ts'
import { actsOf, testOperators } from './test-operators.ts'

const DOLLAR = 1_000_000n
const reason = 'The payer asked for it.'
const { url, db } = await testDatabase()
const owner = openPool(url, { connectionsMax: 2 })
const chain = await payingChain()
const treasury = await chain.somebody(0n)
const here: DepositChain = {
  name: 'local',
  chainId: chain.local.chainId,
  rpcUrl: chain.local.rpcUrl,
  publicRpcUrl: chain.local.rpcUrl,
  address: treasury.address.toLowerCase(),
  token: { ...chain.local.token, address: chain.local.token.address.toLowerCase() },
  startBlock: 0n,
  windowBlocks: 100,
  pollSeconds: 1,
}
const transport = openTransport({ processors: [], infrastructure: [here.rpcUrl] })
const transfers = openTransfers(here, transport)
let now = new Date('2027-05-01T00:00:00Z')
const hashed = (text: string): Buffer => Buffer.alloc(32, text)
const pepper: Pepper = { version: 1, versions: [1], hmac: hashed }
const deps = {
  db,
  pepper,
  cards: undefined,
  // It never stands still, so that acts have an order.
  clock: {
    now: () => {
      now = new Date(now.getTime() + 1)
      return now
    },
  },
  config: { deposits: [here], phoneCountries: ['KR'] } as unknown as Config,
  transfers: [transfers],
}
const { app, as, alice, bob } = testOperators(deps)
const lease: Lease = { write: (run) => db.work(run), settle: async () => {} }
afterAll(async () => {
  await owner.end()
  await transport.close()
  await chain.stop()
})

async function look(): Promise<void> {
  now = secondsAfter(now, 1)
  await visitScan(deps, transfers, { attempts: 1 }, lease)
  await visitConfirmations(deps, transfers, lease)
}

async function account(): Promise<string> {
  const id = newId('acc')
  await owner`insert into accounts values (${id}, ${now}, ${now})`
  return id
}

/** A final payment of nobody's. */
async function unclaimed(dollars: bigint) {
  const payer = await chain.somebody(dollars * DOLLAR)
  const { hash, raw } = await chain.pay(payer, treasury.address, dollars * DOLLAR)
  await chain.mine(6)
  await look()
  const { body } = await alice('GET', '/v1/operator/payments')
  const payment = body.payments.find((one: { txHash: string }) => one.txHash === hash)
  return { id: String(payment.id), path: `/v1/operator/payments/${payment.id}`, payment, payer, raw, hash }
}

const credits = async (id: string): Promise<number> => {
  const { body } = await alice('POST', '/v1/operator/accounts/find', { account: id })
  return Number(body.creditsMicros) / 1_000_000
}

const books = async () => {
  const [row] = await owner<{ unclaimed: string; total: string }[]>`
    select coalesce(sum(amount_micros) filter (where ledger_account_id = 'sys_unclaimed'), 0)::text as unclaimed,
      sum(amount_micros)::text as total from ledger_entries`
  return row
}

async function sendBack(to: `0x${string}`, dollars: bigint, blocks = 6): Promise<string> {
  const { hash } = await chain.pay(treasury, to, dollars * DOLLAR)
  await chain.mine(blocks)
  return hash
}

test('without a credential of an operator every route of theirs is a route that there is not', async () => {
  const unknown = await app.request('/v1/operator/nothing')
  const body = (await unknown.json()) as object
  const expected = { status: 404, body: { ...body, requestId: expect.any(String) } }
  for (const token of [
    undefined,
    newToken('o').reveal(),
    newToken('s').reveal(),
    newToken('k').reveal(),
    'x',
  ]) {
    const stranger = as(token)
    expect(await stranger('GET', '/v1/operator/payments')).toEqual(expected)
    expect(await stranger('GET', '/v1/operator/payments?odd=1')).toEqual(expected)
    expect(await stranger('POST', '/v1/operator/payments/1/resolve', { wrong: true })).toEqual(expected)
    expect(await stranger('POST', '/v1/operator/accounts/find', 'x'.repeat(9_000_000))).toEqual(expected)
  }
  expect(await actsOf(deps)).toEqual([])
})

test('an account is found by its phone, its wallet and its id; what was typed in is nowhere in the log', async () => {
  const id = await account()
  const wallet = privateKeyToAccount(generatePrivateKey()).address
  await owner`insert into wallets values (${wallet.toLowerCase()}, ${id}, ${now})`
  await owner`
    insert into phones (phone_hmac, pepper_version, account_id, linked_at)
    values (${hashed('+821033334444')}, 1, ${id}, ${now})`
  const found = { status: 200, body: { id, creditsMicros: '0', loginMethods: ['phone', 'wallet'] } }
  const find = (body: unknown) => alice('POST', '/v1/operator/accounts/find', body)
  expect(await find({ phone: '+82 10-3333-4444' })).toMatchObject(found)
  expect(await find({ wallet })).toMatchObject(found)
  expect(await find({ account: id })).toMatchObject(found)
  expect(await find({ phone: '+821099998888' })).toMatchObject({ status: 404, body: { code: 'not_found' } })
  // Of a country to which no codes are sent, or not any more: looked for like any other.
  expect(await find({ phone: '+12025550123' })).toMatchObject({ status: 404, body: { code: 'not_found' } })
  expect(await find({ wallet, account: id })).toMatchObject({ status: 400 })
  const acts = await actsOf(deps)
  expect(acts).toEqual([
    ...Array(3).fill(`alice findAccount ${id} done`),
    ...Array(2).fill('alice findAccount  not_found'),
  ])
  expect(acts.join()).not.toMatch(/0x|\+\d|3333|5550/)
})

test('an unclaimed payment is credited to the account that an operator names, once, however often it is said', async () => {
  const { id, path, payment } = await unclaimed(12n)
  expect(payment).toMatchObject({ state: 'unclaimed', account: null, amountMicros: '12000000' })
  const whose = await account()
  const resolved = { status: 200, body: { id, state: 'credited', account: whose } }
  expect(await alice('POST', `${path}/resolve`, { account: whose })).toMatchObject(resolved)
  expect(await bob('POST', `${path}/resolve`, { account: whose })).toMatchObject(resolved)
  expect(await credits(whose)).toBe(12)
  const other = await account()
  expect(await bob('POST', `${path}/resolve`, { account: other })).toMatchObject({
    status: 409,
    body: { code: 'conflict', detail: `This payment is credited to ${whose}.` },
  })
  expect(await credits(other)).toBe(0)
  expect((await actsOf(deps)).slice(-3)).toEqual([
    expect.any(String),
    `bob resolvePayment ${id}>${other} conflict`,
    `alice findAccount ${other} done`,
  ])
  expect((await alice('GET', `/v1/operator/payments?account=${whose}`)).body.payments).toHaveLength(1)
})

test('of operators who say different things at the same time, one wins', async () => {
  const { path, payer } = await unclaimed(7n)
  const [first, second] = [await account(), await account()]
  const returnedBy = await sendBack(payer.address, 7n)
  const answers = await Promise.all([
    alice('POST', `${path}/resolve`, { account: first }),
    bob('POST', `${path}/resolve`, { account: second }),
    bob('POST', `${path}/resolve`, { returnedBy }),
  ])
  expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 409, 409])
  const won = answers.findIndex(({ status }) => status === 200)
  expect([await credits(first), await credits(second)]).toEqual([won === 0 ? 7 : 0, won === 1 ? 7 : 0])
  expect(await books()).toEqual({ unclaimed: '0', total: '0' })
})

test('an unknown account, payment and transaction are refused and leave the payment where it was', async () => {
  const { path, payer } = await unclaimed(5n)
  expect(await alice('POST', `${path}/resolve`, { account: newId('acc') })).toMatchObject({
    status: 404,
    body: { detail: 'There is no such account.' },
  })
  const unknown = `0x${'1'.repeat(64)}`
  for (const id of [`${here.chainId}:${unknown}:0`, 'nonsense', `1:${unknown}:0`]) {
    const resolve = `/v1/operator/payments/${id}/resolve`
    expect((await alice('POST', resolve, { account: await account() })).status).toBe(404)
  }
  const other = await sendBack(payer.address, 4n)
  for (const returnedBy of [unknown, other, (await unclaimed(5n)).hash]) {
    expect(await alice('POST', `${path}/resolve`, { returnedBy })).toMatchObject({ status: 409 })
  }
  expect((await alice('GET', '/v1/operator/payments')).body.payments).toHaveLength(2)
})

test('a payment is returned by a final transfer of its amount from our address, which returns no other', async () => {
  const [one, two] = [await unclaimed(9n), await unclaimed(9n)]
  const before = await books()
  const returnedBy = await sendBack(one.payer.address, 9n, 1)
  expect(await alice('POST', `${one.path}/resolve`, { returnedBy })).toMatchObject({
    status: 409,
    body: { detail: 'The transaction that returns it is not in a final block yet.' },
  })
  await chain.mine(6)
  const returned = { status: 200, body: { state: 'returned', returnedBy } }
  expect(await alice('POST', `${one.path}/resolve`, { returnedBy })).toMatchObject(returned)
  expect(await bob('POST', `${one.path}/resolve`, { returnedBy })).toMatchObject(returned)
  expect((await alice('POST', `${two.path}/resolve`, { returnedBy })).status).toBe(409)
  expect((await alice('POST', `${one.path}/resolve`, { account: await account() })).body.detail).toBe(
    'This payment was returned already.',
  )
  expect(BigInt(before?.unclaimed ?? 0) - BigInt((await books())?.unclaimed ?? 0)).toBe(9n * DOLLAR)
  // Whoever has that wallet by now has the money already.
  const late = await account()
  await owner`insert into wallets values (${one.payer.address.toLowerCase()}, ${late}, ${now})`
  await look()
  expect(await credits(late)).toBe(0)
})

test('a payment that was resolved and whose block then goes is taken back; if it comes again, it is credited again', async () => {
  const { path, raw, hash } = await unclaimed(3n)
  const whose = await account()
  await alice('POST', `${path}/resolve`, { account: whose })
  await chain.rpc('anvil_reorg', [6, []])
  await chain.node.dropTransaction({ hash }).catch(() => {})
  await chain.mine(2)
  await look()
  await look()
  expect(await credits(whose)).toBe(0)
  await chain.client.sendRawTransaction({ serializedTransaction: raw }).catch(() => {})
  await chain.mine(6)
  await look()
  await look()
  expect(await credits(whose)).toBe(3)
  expect((await books())?.total).toBe('0')
})

test('a credited payment is refunded once: out of the account, then returned; spent credits are not', async () => {
  const whose = await account()
  const payer = await chain.somebody(20n * DOLLAR)
  await owner`insert into wallets values (${payer.address.toLowerCase()}, ${whose}, ${now})`
  await chain.pay(payer, treasury.address, 20n * DOLLAR)
  await chain.mine(6)
  await look()
  const [payment] = (await alice('GET', `/v1/operator/payments?account=${whose}`)).body.payments
  const path = `/v1/operator/payments/${payment.id}`
  const both = await Promise.all([
    alice('POST', `${path}/refund`, { reason }),
    bob('POST', `${path}/refund`, { reason }),
  ])
  for (const answer of both) expect(answer).toMatchObject({ status: 200, body: { state: 'refunding' } })
  expect(await credits(whose)).toBe(0)
  const [deposit] = await listDeposits(deps, whose, 10)
  expect(deposit).toMatchObject({ status: 'rejected', reason: 'refunded', creditsMicros: null })
  // It is not claimed by itself again, although its sender is known.
  await look()
  expect(await credits(whose)).toBe(0)
  const returnedBy = await sendBack(payer.address, 20n)
  expect(await alice('POST', `${path}/resolve`, { returnedBy })).toMatchObject({
    status: 200,
    body: { state: 'returned', account: whose },
  })
  expect((await alice('POST', `${path}/refund`, { reason })).status).toBe(409)

  const spent = await unclaimed(6n)
  await alice('POST', `${spent.path}/resolve`, { account: whose })
  await owner`
    select ledger_post('spent:1', 'charge', '', ledger_account_id, 'sys_revenue', -1000000, ${now})
    from billing_accounts where account_id = ${whose}`
  expect(await alice('POST', `${spent.path}/refund`, { reason })).toMatchObject({
    status: 402,
    body: { code: 'insufficient_credits' },
  })
  expect(await credits(whose)).toBe(5)
})

test('work that fails again and again is listed, and other work is not', async () => {
  for (const [kind, attempts] of [
    ['slow', 1],
    ['stuck', 7],
  ] as const) {
    await owner`
      insert into operations (id, kind, subject, attempts, last_error, created_at)
      values (${newId('op')}, ${kind}, ${kind}, ${attempts}, 'TimeoutError', ${now})`
  }
  const { body } = await alice('GET', '/v1/operator/operations')
  expect(body.operations).toEqual([
    {
      id: expect.stringMatching(/^op_/),
      kind: 'stuck',
      subject: 'stuck',
      step: 'start',
      attempts: 7,
      lastError: 'TimeoutError',
      createdAt: expect.any(String),
    },
  ])
})

test('the log of acts is only added to, is shown, and forgets an act a year after it', async () => {
  const { body } = await bob('GET', '/v1/operator/acts')
  expect(body.acts[0]).toMatchObject({ operator: 'alice', act: 'listStuckOperations', outcome: 'done' })
  const tampering = [
    () => db.operate((tx) => tx`update operator_acts set operator = 'mallory'`),
    () => db.operate((tx) => tx`delete from operator_acts`),
    () => db.work((tx) => tx`update operator_acts set operator = 'mallory'`),
    () => db.as({ account: 'acc_a' }, (tx) => tx`select * from operator_acts`),
  ]
  for (const tamper of tampering) {
    await expect(tamper()).rejects.toMatchObject({ code: '42501' })
  }
  const count = async () => (await actsOf(deps)).length
  const before = await count()
  now = secondsAfter(now, 364 * 86_400)
  await purge(db.jobs, 'operatorActs', now, 5000)
  expect(await count()).toBe(before)
  now = secondsAfter(now, 2 * 86_400)
  await purge(db.jobs, 'operatorActs', now, 5000)
  expect(await count()).toBe(0)
})

test('an operator reaches money, and nothing of agents, machines, secrets and sessions', async () => {
  for (const table of ['agents', 'machines', 'secrets', 'agent_logs', 'sessions', 'api_keys', 'members']) {
    const reading = db.operate((tx) => tx`select 1 from ${tx(table)}`)
    await expect(reading, table).rejects.toMatchObject({ code: '42501' })
  }
  const other = { kind: 'release', subject: 'agent:x', namespaceId: null, now }
  await expect(db.operate((tx) => startOperation(tx, other))).rejects.toMatchObject({ code: '42501' })
})

test('a service with roles of its own names is not started without one for its operators', () => {
  const env = {
    DATABASE_URL: 'postgres://127.0.0.1/x',
    DATABASE_APP_URL: 'postgres://127.0.0.1/app',
    TWILIO_ACCOUNT_SID: 'x',
    TWILIO_AUTH_TOKEN: 'x',
    TWILIO_VERIFY_SERVICE_SID: 'x',
    PRIVACY_CONTACT: 'privacy@example.com',
    VULTR_API_KEY: 'x',
    CHAIN_RPC_URL: 'http://127.0.0.1:9',
    MACHINE_NODE_FILE: 'x',
    MACHINE_RUNNER_FILE: 'x',
  }
  const OPERATORS = `alice=${'a'.repeat(64)}`
  expect(readConfig(env).operators).toEqual([])
  expect(() => readConfig({ ...env, OPERATORS })).toThrow('DATABASE_OPERATOR_URL')
  expect(() => readConfig({ ...env, OPERATORS: 'alice=short' })).toThrow('name=hash')
  expect(() => readConfig({ ...env, OPERATORS: `${OPERATORS},${OPERATORS}` })).toThrow('twice')
  const own = readConfig({ ...env, OPERATORS, DATABASE_OPERATOR_URL: 'postgres://127.0.0.1/o' }).operators
  expect(own).toEqual([{ name: 'alice', tokenHash: Buffer.alloc(32, 0xaa) }])
})

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Answers, type FakeApi, startFakeApi } from './testing/fake-api.ts'
import { type Machine, newMachine } from './testing/run-cli.ts'

const credential = `actl_o_${'A'.repeat(36)}`
let machine: Machine
let api: FakeApi
let answers: Answers
beforeAll(async () => {
  machine = await newMachine()
})
afterAll(() => machine.remove())
beforeEach(async () => {
  answers = {}
  api = await startFakeApi(answers)
})
afterEach(() => api.close())

const run = (args: string[], input = '') =>
  machine.run(['operator', ...args], {
    input,
    env: {
      AGENTCTL_API_URL: api.url,
      AGENTCTL_API_KEY: `actl_k_${'B'.repeat(36)}`,
      AGENTCTL_OPERATOR_TOKEN: credential,
    },
  })

const account = 'acc_4k2x9wq7m1z8c5v3b6n0'
const payment = {
  id: '8453:0xab:0',
  chain: 'base',
  txHash: '0xab',
  sender: '0x52908400098527886e0f7030069857d2e4169ee7',
  amountMicros: '12000000',
  state: 'unclaimed' as const,
  account: null,
  returnedBy: null,
  seenAt: new Date(Date.now() - 3 * 86_400_000).toISOString(),
}

test('a payment is listed and resolved with the credential of an operator, and with no other', async () => {
  answers['GET /v1/operator/payments'] = () => ({ payments: [payment] })
  answers['POST /v1/operator/payments/:payment/resolve'] = () => ({ ...payment, state: 'credited', account })
  const listed = await run(['payments'])
  expect(listed.stdout).toMatchInlineSnapshot(`
    "STATE      AMOUNT  SEEN        SENDER                                      PAYMENT
    unclaimed  $12.00  3 days ago  0x52908400098527886e0f7030069857d2e4169ee7  8453:0xab:0
    "
  `)
  const resolved = await run(['resolve', payment.id, '--account', account])
  expect(resolved.stdout).toMatchInlineSnapshot(`
    "payment  8453:0xab:0
    amount   $12.00
    sender   0x52908400098527886e0f7030069857d2e4169ee7
    state    credited
    account  acc_4k2x9wq7m1z8c5v3b6n0
    seen     3 days ago
    "
  `)
  await run(['resolve', payment.id, '--returned', `0x${'c'.repeat(64)}`])
  expect(api.asked.map(({ headers }) => headers.authorization)).toEqual(Array(3).fill(`Bearer ${credential}`))
  expect(api.asked.slice(1).map(({ params, body }) => [params.payment, body])).toEqual([
    [payment.id, { account }],
    [payment.id, { returnedBy: `0x${'c'.repeat(64)}` }],
  ])
})

test('a payment on chain is refunded whole, and it is said what comes next', async () => {
  answers['POST /v1/operator/payments/:payment/refund'] = () => ({ ...payment, state: 'refunding', account })
  const { stdout, stderr, code } = await run(['refund', payment.id, '--reason', 'As you asked for.'])
  expect([code, stdout]).toEqual([0, expect.stringMatching(/state +refunding/)])
  expect(stderr).toBe(`Send it back, then: agentctl operator resolve ${payment.id} --returned HASH\n`)
  expect((await run(['refund', payment.id, '--amount', '5'])).code).toBe(2)
})

test('blank machines are shown with what they cost', async () => {
  const none = { wanted: 0, warm: 0, making: 0, leaving: 0, monthlyMicros: '0', held: null }
  answers['GET /v1/operator/warm-machines'] = () => ({
    sizes: [
      { ...none, size: 'nano', wanted: 1, held: { reason: 'sold_out', until: '2026-11-25T04:00:00.000Z' } },
      { ...none, size: 'small', wanted: 2, warm: 1, making: 1, monthlyMicros: '20000000' },
    ],
    spentMicros: '1250000',
    budgetMicros: '40000000',
  })
  expect((await run(['warm'])).stdout).toMatchInlineSnapshot(`
    "SIZE   WANTED  WARM  MAKING  LEAVING  A MONTH  HELD
    nano   1       0     0       0        $0.00    sold out until 2026-11-25T04:00:00.000Z
    small  2       1     1       0        $20.00   -

    This month: $1.25 of $40.00.
    "
  `)
})

test('a phone is read from stdin, sent in the body, and never repeated', async () => {
  answers['POST /v1/operator/accounts/find'] = () => ({
    id: account,
    createdAt: '2026-01-02T03:04:05Z',
    creditsMicros: '5000000',
    loginMethods: ['phone'],
    standing: null,
  })
  expect((await run(['find'], '+821012345678\n')).stdout).toContain(account)
  expect(api.asked[0]?.body).toEqual({ phone: '+821012345678' })
  for (const phone of ['01012345678', '+821012345678']) {
    const odd = await run(['find', phone])
    expect([odd.code, odd.stderr.includes('12345678')]).toEqual([2, false])
  }
  expect(api.asked).toHaveLength(1)
})

test('the help does not name it on the first page; agentctl commands does', async () => {
  expect((await machine.run(['--help'])).stdout).not.toContain('operator')
  const { commands } = JSON.parse((await machine.run(['commands'])).stdout)
  expect(commands.map((one: { command: string }) => one.command)).toContain('operator resolve')
})

const found = {
  id: account,
  createdAt: new Date(Date.now() - 86_400_000).toISOString(),
  creditsMicros: '5000000',
  loginMethods: ['phone' as const],
  standing: {
    state: 'suspended' as const,
    reason: 'Mining.',
    since: '2026-11-25T09:00:00Z',
    machinesMax: 2,
    hourlyMaxMicros: null,
    monthlyMaxMicros: '50000000',
  },
}

test('an account is suspended, banned and let go with a reason, without which nothing is asked for', async () => {
  answers['POST /v1/operator/accounts/:account/standing'] = () => found
  expect((await run(['suspend', account, '--reason', 'Mining.'])).stdout).toMatchInlineSnapshot(`
    "account     acc_4k2x9wq7m1z8c5v3b6n0
    made        24 h ago
    credits     $5.00
    logs in by  phone
    standing    suspended: Mining.
    may have    2 machines, $50.00 a month
    "
  `)
  await run(['ban', account, '--reason', 'Spam.'])
  await run(['unsuspend', account, '--reason', 'A mistake.'])
  expect(api.asked.map(({ params, body }) => [params.account, body])).toEqual([
    [account, { state: 'suspended', reason: 'Mining.' }],
    [account, { state: 'banned', reason: 'Spam.' }],
    [account, { state: 'good', reason: 'A mistake.' }],
  ])
  const without = await run(['ban', account])
  expect([without.code, without.stderr.includes('--reason')]).toEqual([2, true])
})

test('what an account may have and what it is given back are said in dollars', async () => {
  answers['POST /v1/operator/accounts/:account/caps'] = () => found
  answers['POST /v1/operator/accounts/:account/credits'] = () => found
  const why = ['--reason', 'In dispute.']
  expect((await run(['cap', account, '--machines', '2', '--monthly', '50', ...why])).code).toBe(0)
  await run(['cap', account, '--none', ...why])
  expect((await run(['credit', account, '5', ...why])).code).toBe(0)
  expect(api.asked.map(({ body }) => body)).toEqual([
    { machinesMax: 2, hourlyMaxMicros: null, monthlyMaxMicros: '50000000', reason: 'In dispute.' },
    { machinesMax: null, hourlyMaxMicros: null, monthlyMaxMicros: null, reason: 'In dispute.' },
    { id: expect.stringMatching(/^gbk_/), amountMicros: '5000000', reason: 'In dispute.' },
  ])
  expect((await run(['cap', account, ...why])).code).toBe(2)
})

test('stuck work is listed with the id by which it is tried again', async () => {
  answers['GET /v1/operator/operations'] = () => ({
    operations: [
      {
        id: 'op_1',
        kind: 'release',
        subject: 'agt_1',
        step: 'machine',
        attempts: 7,
        lastError: 'Problem provider_unavailable',
        createdAt: new Date(Date.now() - 7_200_000).toISOString(),
      },
    ],
  })
  answers['POST /v1/operator/operations/:operation/retry'] = () => ({
    id: 'op_1',
    kind: 'release',
    subject: 'agt_1',
  })
  expect((await run(['operations'])).stdout).toMatchInlineSnapshot(`
    "KIND     SUBJECT  STEP     ATTEMPTS  BEGUN    LAST ERROR                    OPERATION
    release  agt_1    machine  7         2 h ago  Problem provider_unavailable  op_1
    "
  `)
  expect((await run(['retry', 'op_1', '--reason', 'Vultr is back.'])).stdout).toBe(
    'op_1 is tried again: release of agt_1\n',
  )
})

test('the day on which a request came is one that there is', async () => {
  answers['POST /v1/operator/rights-requests'] = () => ({
    ...{ id: 'rrq_1', kind: 'access', cameBy: 'mail', account: null, outcome: null, answeredAt: null },
    ...{ receivedAt: '2026-02-28T00:00:00Z', dueAt: '2026-03-10T00:00:00Z', isOverdue: true },
  })
  const note = (day: string) => run(['note', 'access', '--by', 'mail', '--received', day])
  for (const day of ['2026-02-31', '5', 'yesterday', '2026-13-01', '2026-2-1'])
    expect([day, (await note(day)).code]).toEqual([day, 2])
  expect(api.asked).toEqual([])
  for (const day of ['2026-02-28', '2026-02-28T23:30:00-05:00']) expect((await note(day)).code, day).toBe(0)
  expect(api.asked.map(({ body }) => (body as { receivedAt: string }).receivedAt)).toEqual([
    '2026-02-28T00:00:00.000Z',
    '2026-03-01T04:30:00.000Z',
  ])
})

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
  const { stdout, stderr, code } = await run(['refund', payment.id])
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
  })
  expect((await run(['find'], '+821012345678\n')).stdout).toContain(account)
  expect(api.asked[0]?.body).toEqual({ phone: '+821012345678' })
  const odd = await run(['find', '01012345678'])
  expect([odd.code, odd.stderr.includes('12345678')]).toEqual([2, false])
})

test('the help does not name it on the first page; agentctl commands does', async () => {
  expect((await machine.run(['--help'])).stdout).not.toContain('operator')
  const { commands } = JSON.parse((await machine.run(['commands'])).stdout)
  expect(commands.map((one: { command: string }) => one.command)).toContain('operator resolve')
})

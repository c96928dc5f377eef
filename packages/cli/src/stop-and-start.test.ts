import type { Agent, Release } from '@agentctl/contract/agents.ts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Answers, type FakeApi, refusal, startFakeApi } from './testing/fake-api.ts'
import { type Machine, newMachine } from './testing/run-cli.ts'

const agent: Agent = {
  id: 'agt_1',
  name: 'bot',
  namespace: 'demo',
  url: 'http://bot-demo.agents.localhost:8788',
  status: 'stopped',
  size: 'small',
  region: 'icn',
  release: { id: 'rel_1', number: 1 },
  domains: [],
  suspendsAt: null,
  transfer: null,
  step: null,
  snapshotDeletedAt: null,
}
const release: Release = {
  id: 'rel_2',
  agentId: 'agt_1',
  number: 2,
  status: 'pending',
  step: 'restoring its disk',
  failure: null,
  timings: {},
  repeats: 'rel_1',
  files: 2,
  createdAt: '2026-11-23T00:00:00Z',
  liveAt: null,
}
const none = { vcpus: null, memoryMegabytes: null, diskGigabytes: null, transferTerabytes: null }

let machine: Machine
let api: FakeApi
let answers: Answers

beforeEach(async () => {
  machine = await newMachine()
  answers = {
    'POST /v1/agents/:agent/stop': () => agent,
    'GET /v1/billing/prices': () => ({
      currency: 'USD',
      prices: [{ size: 'stopped', hourlyMicros: '1000', ...none }],
      graceDays: 14,
    }),
    'POST /v1/agents/:agent/start': () => release,
    'GET /v1/releases/:release': () => ({
      ...release,
      status: 'live',
      step: null,
      liveAt: release.createdAt,
    }),
  }
  api = await startFakeApi(answers)
})
afterEach(async () => {
  await api.close()
  machine.remove()
})

const run = (...args: string[]) =>
  machine.run(['agents', ...args], { env: { AGENTCTL_API_URL: api.url, AGENTCTL_API_KEY: 'actl_k_1' } })

describe('agents stop', () => {
  test('says what is kept, and what that costs from now on', async () => {
    expect(await run('stop', 'bot', '-n', 'demo')).toMatchInlineSnapshot(`
      {
        "code": 0,
        "stderr": "Its address, secrets and configuration stay. To bring it back: agentctl agents start bot
      ",
        "stdout": "bot is stopped; a snapshot keeps its files, for $0.001 an hour.
      ",
      }
    `)
    const asked = api.asked.find(({ route }) => route === 'POST /v1/agents/:agent/stop')
    expect(asked).toMatchObject({ params: { agent: 'bot' }, query: { namespace: 'demo' } })
  })

  test('promises no snapshot that is not there yet', async () => {
    answers['POST /v1/agents/:agent/stop'] = () => ({ ...agent, step: 'Its files are being copied' })
    expect(await run('stop', 'bot')).toMatchInlineSnapshot(`
      {
        "code": 0,
        "stderr": "Its files are being copied. See how far it is: agentctl agents show bot
      Its address, secrets and configuration stay. To bring it back: agentctl agents start bot
      ",
        "stdout": "bot is stopped; a snapshot will keep its files, for $0.001 an hour.
      ",
      }
    `)
  })

  test('is done when the service says that it is stopped', async () => {
    answers['POST /v1/agents/:agent/stop'] = () => ({ ...agent, status: 'running' })
    let asks = 0
    answers['GET /v1/agents/:agent'] = ({ params }) => {
      expect(params).toEqual({ agent: 'agt_1' })
      return { ...agent, status: ++asks < 3 ? 'running' : 'stopped' }
    }
    const ran = await run('stop', 'bot', '--json')
    expect({ code: ran.code, status: JSON.parse(ran.stdout).status, asks }).toEqual({
      code: 0,
      status: 'stopped',
      asks: 3,
    })
  })

  test('that takes longer than --timeout is exit 8, with the agent on stdout', async () => {
    answers['POST /v1/agents/:agent/stop'] = () => ({ ...agent, status: 'running' })
    const ran = await run('stop', 'bot', '--timeout', '0s', '--json')
    expect(ran.code).toBe(8)
    expect(JSON.parse(ran.stdout)).toMatchObject({ id: 'agt_1', status: 'running' })
    expect(JSON.parse(ran.stderr).error).toMatchInlineSnapshot(`
      {
        "code": "still_in_progress",
        "fix": "It goes on. Wait on: agentctl agents stop bot",
        "message": "bot is not settled yet: bot is running, and being stopped",
        "next": [
          "agentctl agents stop bot",
        ],
        "requestId": null,
      }
    `)
  })

  test('with --no-wait does not wait', async () => {
    answers['POST /v1/agents/:agent/stop'] = () => ({ ...agent, status: 'running' })
    const ran = await run('stop', 'bot', '--no-wait')
    expect(ran).toMatchObject({ code: 0, stdout: expect.stringContaining('bot is being stopped') })
  })

  test('of a suspended one says that it stays so', async () => {
    answers['POST /v1/agents/:agent/stop'] = () => ({ ...agent, status: 'suspended' })
    expect((await run('stop', 'bot')).stdout).toBe(
      'bot stays suspended; a deposit will not start it by itself.\n',
    )
  })

  test('succeeds also where the price cannot be asked for', async () => {
    answers['GET /v1/billing/prices'] = () => refusal('unavailable', 'Down')
    const { code, stdout } = await run('stop', 'bot')
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'bot is stopped; a snapshot keeps its files.\n' })
  })

  test('of one that is being deployed is a conflict', async () => {
    answers['POST /v1/agents/:agent/stop'] = () => refusal('deploy_in_progress', 'It is being deployed')
    expect((await run('stop', 'bot')).code).toBe(1)
  })
})

describe('agents start', () => {
  test('waits until a release of it is live', async () => {
    expect(await run('start', 'bot')).toMatchInlineSnapshot(`
      {
        "code": 0,
        "stderr": "",
        "stdout": "bot is back, as release 2.
      ",
      }
    `)
  })

  test('says so when it runs already', async () => {
    answers['POST /v1/agents/:agent/start'] = () => ({ ...release, number: 1, status: 'live', step: null })
    expect((await run('start', 'bot')).stdout).toBe('bot runs already, as release 1.\n')
  })

  test('that takes longer than --timeout is exit 8, with the release on stdout', async () => {
    answers['GET /v1/releases/:release'] = () => release
    const ran = await run('start', 'bot', '--timeout', '0s', '--json')
    expect({ code: ran.code, id: JSON.parse(ran.stdout).id }).toEqual({ code: 8, id: 'rel_2' })
  })

  test('with --no-wait does not wait', async () => {
    const ran = await run('start', 'bot', '--no-wait')
    expect(ran).toMatchObject({ code: 0, stdout: 'bot starts as release 2.\n' })
    expect(api.asked.map(({ route }) => route)).not.toContain('GET /v1/releases/:release')
  })

  test('without credits is exit 5 and says how many are missing', async () => {
    answers['POST /v1/agents/:agent/start'] = () =>
      refusal('insufficient_credits', 'To run bot needs $0.025; $0.025 are missing.')
    expect(await run('start', 'bot')).toMatchInlineSnapshot(`
      {
        "code": 5,
        "stderr": "error: To run bot needs $0.025; $0.025 are missing.
      Top up: agentctl billing deposit 25
      ",
        "stdout": "",
      }
    `)
  })
})

test.each([
  ['2999-01-01T00:00:00Z', 'snapshot goes  in '],
  ['2020-01-01T00:00:00Z', 'snapshot went  '],
])('agents show says of %s whether it is still to come', async (snapshotDeletedAt, said) => {
  answers['GET /v1/agents/:agent'] = () => ({ ...agent, status: 'suspended', snapshotDeletedAt })
  expect((await run('show', 'bot')).stdout).toContain(said)
})

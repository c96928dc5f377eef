import type { Release } from '@agentctl/contract/agents.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Answers, type FakeApi, startFakeApi } from '../testing/fake-api.ts'
import { type Machine, newMachine } from '../testing/run-cli.ts'

const release: Release = {
  id: 'rel_1',
  agentId: 'agt_1',
  number: 2,
  status: 'pending',
  step: 'Making a machine',
  failure: null,
  timings: {},
  repeats: null,
  files: 2,
  createdAt: '2026-11-23T00:00:00Z',
  liveAt: null,
}

let machine: Machine
let api: FakeApi
let answers: Answers
beforeEach(async () => {
  machine = await newMachine()
  answers = { 'POST /v1/agents/:agent/start': () => release }
  api = await startFakeApi(answers)
})
afterEach(async () => {
  await api.close()
  machine.remove()
})

const start = (...flags: string[]) =>
  machine.run(['agents', 'start', 'hello', ...flags], {
    env: { AGENTCTL_API_URL: api.url, AGENTCTL_API_KEY: 'actl_k_1' },
  })
const fails = (reason: string, message: string): void => {
  answers['GET /v1/releases/:release'] = () => ({
    ...release,
    status: 'failed',
    step: null,
    failure: { reason, message, logTail: [] },
  })
}

test('a release that found no machine is exit 7: nothing is wrong with it, and the same later may do', async () => {
  fails('machines_sold_out', 'There is no small machine to be had in Seoul at the moment.')
  expect(await start()).toMatchInlineSnapshot(`
    {
      "code": 7,
      "stderr": "error: Release 2 of hello failed: There is no small machine to be had in Seoul at the moment.
    Try again in a few minutes, or choose another size: agentctl deploy --size SIZE
      agentctl agents show hello
    ",
      "stdout": "",
    }
  `)
  fails('provider_unavailable', 'The provider gave no machine within 10 minutes.')
  expect(await start()).toMatchInlineSnapshot(`
    {
      "code": 7,
      "stderr": "error: Release 2 of hello failed: The provider gave no machine within 10 minutes.
    Try again in a minute.
      agentctl agents show hello
    ",
      "stdout": "",
    }
  `)
  const { code, stdout, stderr } = await start('--json')
  expect(code).toBe(7)
  expect(JSON.parse(stdout)).toMatchObject({ id: 'rel_1', status: 'failed' })
  expect(JSON.parse(stderr).error).toMatchObject({
    code: 'provider_unavailable',
    next: ['agentctl agents show hello'],
  })
})

test('a machine that the provider refuses for good is exit 1', async () => {
  fails('machine_refused', 'The provider refused to make a machine: Invalid plan.')
  expect((await start()).code).toBe(1)
})

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DeployPlan, Release } from '@agentctl/contract/agents.ts'
import type { Domain } from '@agentctl/contract/domains.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Answers, type FakeApi, refusal, startFakeApi } from '../testing/fake-api.ts'
import { type Machine, newMachine } from '../testing/run-cli.ts'

const at = '2026-11-23T00:00:00Z'
const agent = {
  id: 'agt_1',
  name: 'bot',
  namespace: 'demo',
  url: 'http://bot-demo.agents.localhost:8788',
  status: 'running' as const,
  size: 'small' as const,
  region: 'icn',
  release: { id: 'rel_1', number: 1 },
  domains: [],
  suspendsAt: null,
  transfer: null,
  step: null,
  snapshotDeletedAt: null,
}
const live: Release = {
  id: 'rel_1',
  agentId: 'agt_1',
  number: 1,
  status: 'live',
  step: null,
  failure: null,
  timings: {},
  repeats: null,
  files: 2,
  createdAt: at,
  liveAt: at,
}
const price = { hourlyMicros: '20000' }
const balance = { creditsMicros: '5000000', runwaySeconds: null }
const domainOf = (hostname: string, status: Domain['status'] = 'pending'): Domain => ({
  id: `dom_${hostname.split('.')[0]}`,
  hostname,
  agent: { id: 'agt_1', name: 'bot' },
  namespace: 'demo',
  status,
  step: status === 'live' ? null : `${hostname} is not there.`,
  records: [{ type: 'CNAME', name: hostname, value: 'bot-demo.agents.localhost' }],
  isApex: false,
  failure: null,
  certificate: null,
  createdAt: at,
  checkedAt: at,
  liveAt: null,
  givenUpAt: null,
})

let machine: Machine
let api: FakeApi
let answers: Answers
let domains: Pick<DeployPlan['domains'], 'attach' | 'keep'>
beforeEach(async () => {
  machine = await newMachine()
  mkdirSync(join(machine.home, 'bot'))
  writeFileSync(join(machine.home, 'bot/agent.json'), '{"start":"./run","domains":["one.example.com"]}')
  answers = {
    'POST /v1/deploys/plan': () => ({
      agent: { name: 'bot', namespace: 'demo', url: agent.url, exists: true },
      changes: ['Files: 0 added, 1 changed, 0 removed.'],
      domains: { ...domains, refused: [] },
      upload: { files: 1, missing: [], missingBytes: 0 },
      price,
      balance,
      timeline: [{ state: 'running', at: null, hourlyMicros: '20000', consequence: 'serves' }],
    }),
    'POST /v1/deploys': () => ({ agent, release: live, price, balance }),
    'GET /v1/agents/:agent': () => agent,
    'POST /v1/domains': ({ body }) => domainOf((body as { hostname: string }).hostname),
  }
  api = await startFakeApi(answers)
})
afterEach(async () => {
  await api.close()
  machine.remove()
})

const deploy = (...flags: string[]) =>
  machine.run(['deploy', 'bot', ...flags], {
    env: { AGENTCTL_API_URL: api.url, AGENTCTL_API_KEY: 'actl_k_1' },
  })
const asked = (route: string) => api.asked.filter((one) => one.route === route)

test('the names of agent.json are asked about, attached once the release is live, and told with their records', async () => {
  domains = { attach: ['one.example.com'], keep: ['old.example.com'] }
  const { code, stdout, stderr } = await deploy()
  expect(code).toBe(0)
  expect(stdout).toBe('http://bot-demo.agents.localhost:8788\n')
  expect(stderr.slice(stderr.indexOf('old.'))).toMatchInlineSnapshot(`
    "old.example.com stays attached, though agent.json does not name it any more. To take it away: agentctl domains remove old.example.com
    one.example.com is attached. Create this record where the DNS of this name is kept:

      TYPE   NAME             VALUE
      CNAME  one.example.com  bot-demo.agents.localhost
    Then wait until it is served: agentctl domains wait one.example.com
    "
  `)
  expect(asked('POST /v1/deploys/plan')[0]?.body).toMatchObject({ config: { domains: ['one.example.com'] } })
  expect(asked('POST /v1/domains').map(({ body }) => body)).toEqual([
    { agent: 'agt_1', hostname: 'one.example.com' },
  ])
})

test('what is wrong with a name fails no release, and the others are attached all the same', async () => {
  domains = { attach: ['taken.example.com', 'one.example.com', 'live.example.com'], keep: [] }
  answers['POST /v1/domains'] = ({ body }) => {
    const { hostname } = body as { hostname: string }
    if (hostname.startsWith('taken'))
      return refusal('hostname_unavailable', `${hostname} cannot be attached.`)
    return domainOf(hostname, hostname.startsWith('live') ? 'live' : 'pending')
  }
  const { code, stdout } = await deploy('--json')
  expect(code).toBe(0)
  expect(JSON.parse(stdout).domains).toEqual([
    {
      hostname: 'taken.example.com',
      error: { code: 'hostname_unavailable', message: 'taken.example.com cannot be attached.' },
    },
    expect.objectContaining({ hostname: 'one.example.com', status: 'pending', records: [expect.anything()] }),
    expect.objectContaining({ hostname: 'live.example.com', status: 'live' }),
  ])
  const { stderr } = await deploy()
  expect(stderr).toContain(
    'The domain taken.example.com of agent.json was not attached: taken.example.com cannot be attached.',
  )
  expect(stderr).not.toContain('live.example.com is attached')
})

test('a key without the scope for domains deploys, and is told what it lacks', async () => {
  domains = { attach: ['one.example.com'], keep: [] }
  answers['POST /v1/domains'] = () => refusal('forbidden', 'This key lacks the scope domains:write.')
  const { code, stderr } = await deploy()
  expect(code).toBe(0)
  expect(stderr).toContain(
    'The domain one.example.com of agent.json was not attached: This key lacks the scope domains:write.',
  )
})

test('names that the service cannot take are attached by no dry run, which says what would be done', async () => {
  domains = { attach: ['one.example.com'], keep: [] }
  const { code } = await deploy('--dry-run')
  expect(code).toBe(3)
  expect(asked('POST /v1/domains')).toEqual([])
})

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Domain, Finding } from '@agentctl/contract/domains.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Answers, type FakeApi, refusal, startFakeApi } from './testing/fake-api.ts'
import { type Machine, newMachine } from './testing/run-cli.ts'

const domain: Domain = {
  id: 'dom_1',
  hostname: 'bot.example.com',
  agent: { id: 'agt_1', name: 'hello' },
  namespace: 'demo',
  status: 'pending',
  step: 'bot.example.com is not there.',
  records: [{ type: 'CNAME', name: 'bot.example.com', value: 'hello-demo.agents.localhost' }],
  isApex: false,
  failure: null,
  certificate: null,
  createdAt: '2026-11-23T00:00:00Z',
  checkedAt: '2026-11-23T00:00:00Z',
  liveAt: null,
  givenUpAt: null,
}
const live: Domain = {
  ...domain,
  status: 'live',
  step: null,
  certificate: { status: 'active', issuer: 'An Authority', expiresAt: null },
  liveAt: domain.createdAt,
}
const missing: Finding = {
  type: 'CNAME',
  name: 'bot.example.com',
  state: 'missing',
  expected: 'hello-demo.agents.localhost',
  found: [],
  message: 'bot.example.com is not there.',
  fix: 'Create the CNAME bot.example.com for hello-demo.agents.localhost.',
}

let machine: Machine
let api: FakeApi
let answers: Answers

beforeEach(async () => {
  machine = await newMachine()
  answers = {
    'POST /v1/domains': () => domain,
    'POST /v1/domains/:domain/check': () => ({ domain, findings: [missing] }),
    'GET /v1/domains/:domain': () => live,
    'DELETE /v1/domains/:domain': () => ({ ...live, step: 'It is being taken away from Cloudflare.' }),
  }
  api = await startFakeApi(answers)
})
afterEach(async () => {
  await api.close()
  machine.remove()
})

const run = (...args: string[]) =>
  machine.run(args, { env: { AGENTCTL_API_URL: api.url, AGENTCTL_API_KEY: 'actl_k_test' } })
const said = async (...args: string[]) => {
  const { code, stdout, stderr } = await run(...args)
  return `${stdout}${stderr}[exit ${code}]`
}

test('add prints the record to create, each value to be copied as it is', async () => {
  expect(await said('domains', 'add', 'bot.example.com', '--agent', 'hello')).toMatchInlineSnapshot(`
    "bot.example.com is attached to hello.
    Create this record where the DNS of this name is kept:

      TYPE   NAME             VALUE
      CNAME  bot.example.com  hello-demo.agents.localhost
    Then wait until it is served: agentctl domains wait bot.example.com
    [exit 0]"
  `)
  expect(api.asked[0]).toMatchObject({ body: { agent: 'hello', hostname: 'bot.example.com' } })
})

test('records that are wider than the page stand by themselves, and an apex is told what it needs', async () => {
  const hostname = 'xn--bcher-kva.de'
  answers['POST /v1/domains'] = () => ({
    ...domain,
    hostname,
    isApex: true,
    records: [
      { type: 'CNAME', name: hostname, value: 'hello-demo.agents.localhost' },
      {
        type: 'TXT',
        name: `_cf-custom-hostname.${hostname}`,
        value: '5f0a7a43-2a7e-4a3c-9d3c-7b1b3c1d9f10',
      },
    ],
  })
  const shown = await said('domains', 'add', 'bücher.de', '--agent', 'hello')
  expect(shown).toMatchInlineSnapshot(`
    "bücher.de (xn--bcher-kva.de) is attached to hello.
    Create these records where the DNS of this name is kept:

      type   CNAME
      name   xn--bcher-kva.de
      value  hello-demo.agents.localhost

      type   TXT
      name   _cf-custom-hostname.xn--bcher-kva.de
      value  5f0a7a43-2a7e-4a3c-9d3c-7b1b3c1d9f10

    At the apex of a zone a CNAME cannot stand as it is: it has to be flattened,
    which some call ALIAS or ANAME.
    Then wait until it is served: agentctl domains wait xn--bcher-kva.de
    [exit 0]"
  `)
  for (const line of shown.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
})

test('add takes the agent of agent.json, and without either says which flag is missing', async () => {
  expect(await said('domains', 'add', 'bot.example.com')).toMatchInlineSnapshot(`
    "error: There is no agent.json here that says which agent is meant
    Give --agent NAME
    [exit 2]"
  `)
  const folder = join(machine.home, 'bot')
  mkdirSync(folder)
  writeFileSync(join(folder, 'agent.json'), '{"name":"from-file","namespace":"team","start":"x"}')
  await machine.run(['domains', 'add', 'bot.example.com', '--json'], {
    cwd: folder,
    env: { AGENTCTL_API_URL: api.url, AGENTCTL_API_KEY: 'actl_k_test' },
  })
  expect(api.asked[0]).toMatchObject({ body: { agent: 'from-file', namespace: 'team' } })
})

test('add --json has the id, the status and the records; a refusal has its exit code', async () => {
  const { stdout, code } = await run('domains', 'add', 'bot.example.com', '--agent', 'hello', '--json')
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({
    id: 'dom_1',
    hostname: 'bot.example.com',
    status: 'pending',
    records: domain.records,
  })
  answers['POST /v1/domains'] = () => refusal('hostname_unavailable', 'bot.example.com cannot be attached.')
  expect(await said('domains', 'add', 'bot.example.com', '--agent', 'hello')).toMatchInlineSnapshot(`
    "error: bot.example.com cannot be attached.
    Use another name. If it is yours, make sure that it is not attached elsewhere, then try again.
    [exit 1]"
  `)
  answers['POST /v1/domains'] = () => refusal('invalid_hostname', 'localhost has no dot.')
  expect((await run('domains', 'add', 'localhost', '--agent', 'hello')).code).toBe(2)
})

test('a name that is refused at once is told, with its ids', async () => {
  answers['POST /v1/domains'] = () => ({ ...domain, checkedAt: null })
  answers['GET /v1/domains/:domain'] = () => ({
    ...domain,
    status: 'failed',
    step: null,
    failure: { reason: 'blocked', message: 'Cloudflare has blocked this name.' },
  })
  const { code, stdout, stderr } = await run(
    'domains',
    'add',
    'bot.example.com',
    '--agent',
    'hello',
    '--json',
  )
  expect(code).toBe(1)
  expect(JSON.parse(stdout).id).toBe('dom_1')
  expect(JSON.parse(stderr).error.message).toBe(
    'bot.example.com cannot be used. Cloudflare has blocked this name.',
  )
})

test('check says what is wrong in words and exits 1, or 7 when DNS could not be asked', async () => {
  expect(await said('domains', 'check', 'bot.example.com')).toMatchInlineSnapshot(`
    "domain  bot.example.com
    agent   hello in demo
    status  pending
    id      dom_1

    CNAME bot.example.com: wrong
      bot.example.com is not there.
      Create the CNAME bot.example.com for hello-demo.agents.localhost.
    error: The DNS of bot.example.com is not right yet
    Correct the records that the message names; changes may take as long as the TTL of the old record.
    [exit 1]"
  `)
  answers['POST /v1/domains/:domain/check'] = () => ({
    domain,
    findings: [{ ...missing, state: 'not_answered', message: 'DNS could not be asked.' }],
  })
  const unanswered = await run('domains', 'check', 'bot.example.com')
  expect(unanswered.code).toBe(7)
  expect(unanswered.stdout).toContain('CNAME bot.example.com: not known\n')
  answers['POST /v1/domains/:domain/check'] = () => ({
    domain: live,
    findings: [{ ...missing, state: 'right', fix: null }],
  })
  expect(await said('domains', 'check', 'bot.example.com')).toMatchInlineSnapshot(`
    "domain       bot.example.com
    agent        hello in demo
    status       live
    certificate  active by An Authority
    id           dom_1

    CNAME bot.example.com: right
    [exit 0]"
  `)
  answers['POST /v1/domains/:domain/check'] = () => ({
    domain: { ...domain, status: 'failed', failure: { reason: 'expired', message: 'It took too long.' } },
    findings: [{ ...missing, state: 'right', fix: null }],
  })
  expect(await said('domains', 'check', 'bot.example.com')).toContain(
    'It was given up. To try again: agentctl domains add bot.example.com --agent hello\n',
  )
})

test('what DNS holds is shown, not obeyed, and keeps to the page', async () => {
  const found = `${'a'.repeat(60)}\u001b[2J`
  answers['POST /v1/domains/:domain/check'] = () => ({
    domain,
    findings: [
      {
        ...missing,
        state: 'other_value',
        found: [found],
        message: `bot.example.com is a CNAME for ${found} instead of hello-demo.agents.localhost.`,
        fix: 'A CNAME cannot be there: flatten one for hello-demo.agents.localhost (some call it ALIAS or ANAME).',
      },
    ],
  })
  for (const command of ['check', 'wait']) {
    const { stdout, stderr } = await run('domains', command, 'bot.example.com')
    expect(stdout + stderr).not.toContain('\u001b')
    expect(stdout + stderr).toContain('aaa\ufffd[2J')
    const quoting = `${stdout}${stderr}`.split('\n').filter((line) => /CNAME|ALIAS|instead/.test(line))
    for (const line of quoting) expect(line.length, line).toBeLessThanOrEqual(80)
  }
})

test('wait ends when it is live, with 8 when the time is up, with 1 when it was given up', async () => {
  expect(await said('domains', 'wait', 'bot.example.com')).toMatchInlineSnapshot(`
    "https://bot.example.com
    bot.example.com is not there.
    Create the CNAME bot.example.com for hello-demo.agents.localhost.
    bot.example.com is live.
    [exit 0]"
  `)
  answers['GET /v1/domains/:domain'] = () => domain
  const late = await run('domains', 'wait', 'bot.example.com', '--timeout', '0s', '--json')
  expect(late.code).toBe(8)
  expect(JSON.parse(late.stdout).id).toBe('dom_1')
  answers['POST /v1/domains/:domain/check'] = () => ({
    domain: { ...domain, hostname: 'xn--bcher-kva.de' },
    findings: [],
  })
  expect(await said('domains', 'wait', 'bücher.de', '--timeout', '0s', '--quiet')).toMatch(
    /^error: bücher\.de \(xn--bcher-kva\.de\) is not settled yet: /,
  )
  answers['GET /v1/domains/:domain'] = () => ({
    ...domain,
    status: 'failed',
    failure: { reason: 'expired', message: 'It was not live within seven days.' },
  })
  const failed = await said('domains', 'wait', 'bot.example.com', '--quiet')
  expect(failed).toMatchInlineSnapshot(`
    "error: bot.example.com was given up. It was not live within seven days.
    When that is set right: agentctl domains add bot.example.com --agent hello
    [exit 1]"
  `)
})

test('remove asks, waits until it is gone, and says what is left to do', async () => {
  expect((await run('domains', 'remove', 'bot.example.com')).code).toBe(2)
  let asked = 0
  answers['GET /v1/domains/:domain'] = () =>
    asked++ === 0 ? live : { ...live, status: 'removed', step: null }
  expect(await said('domains', 'remove', 'bot.example.com', '--yes')).toMatchInlineSnapshot(`
    "bot.example.com is removed from hello.
    Remove its records from your DNS as well.
    [exit 0]"
  `)
})

test('list shows names as people write them', async () => {
  answers['GET /v1/domains'] = () => ({ domains: [live, { ...domain, hostname: 'xn--bcher-kva.de' }] })
  expect(await said('domains', 'list')).toMatchInlineSnapshot(`
    "DOMAIN                        AGENT  NAMESPACE  STATUS   CERTIFICATE
    bot.example.com               hello  demo       live     -
    bücher.de (xn--bcher-kva.de)  hello  demo       pending  -
    [exit 0]"
  `)
})

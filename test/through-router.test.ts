import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { systemClock } from '@agentctl/server/platform/clock.ts'
import { readConfig } from '@agentctl/server/platform/config.ts'
import { silentLog } from '@agentctl/server/platform/log.ts'
import { type Router, startRouter } from '@agentctl/server/router/router.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { manySided } from '../packages/runner/test/test-agents.ts'
import { bundleRunner, removeBundles, TestMachine, until } from '../packages/runner/test/test-machine.ts'
import { testDatabase } from './database.ts'
import { type RoutedAgent, routedAgents } from './routed-agents.ts'

const database = await testDatabase()
let bundle: string
let machine: TestMachine
let router: Router
let agent: RoutedAgent

// The real router, the real runner as a process, and an agent that it started.
beforeAll(async () => {
  bundle = await bundleRunner()
  machine = new TestMachine(bundle)
  await machine.boot()
  const { server } = machine
  server.desire(
    server.release(
      'rel_1',
      { 'index.js': manySided },
      { start: 'node index.js', health: { path: '/health', timeoutSeconds: 20 } },
    ),
  )
  await machine.reported('rel_1', 'healthy')
  const agents = await routedAgents(database)
  agent = await agents.add({ port: machine.port, credential: server.routerCredential })
  const unused = 'unused'
  const config = readConfig({
    DATABASE_URL: 'postgres://127.0.0.1/unused',
    ROUTER_PORT: '0',
    TWILIO_ACCOUNT_SID: unused,
    TWILIO_AUTH_TOKEN: unused,
    TWILIO_VERIFY_SERVICE_SID: unused,
    PRIVACY_CONTACT: 'privacy@example.com',
    VULTR_API_KEY: unused,
    CHAIN_RPC_URL: unused,
    MACHINE_NODE_FILE: unused,
    MACHINE_RUNNER_FILE: unused,
  })
  router = await startRouter({
    db: database.db,
    config,
    clock: systemClock,
    log: silentLog,
    keyring: agents.keyring,
  })
}, 60_000)

afterAll(async () => {
  await router.close(0)
  await machine.shutDown()
  removeBundles()
})

function ask(path: string, method = 'GET', headers: Record<string, string> = {}) {
  const asking = request({
    host: '127.0.0.1',
    port: router.port,
    path,
    method,
    agent: false,
    headers: { host: `${agent.label}.agents.localhost`, ...headers },
  })
  const answer = once(asking, 'response').then(([message]) => message as IncomingMessage)
  return { asking, answer }
}

test.each(['/early', '/keep-and-refuse'])(
  'a large upload that the agent refuses at its beginning gets the refusal (%s)',
  async (path) => {
    const body = Buffer.alloc(8 * 1024 * 1024)
    for (let times = 0; times < 5; times++) {
      const { asking, answer } = ask(path, 'POST')
      asking.end(body)
      const message = await answer
      expect(message.statusCode).toBe(413)
      expect(await text(message)).toBe('too much')
    }
  },
)

test('trailers arrive on both sides', async () => {
  const { asking, answer } = ask('/trailers', 'POST', { trailer: 'x-own-sum', te: 'trailers' })
  asking.write('body')
  asking.addTrailers({ 'x-own-sum': '42' })
  asking.end()
  const message = await answer
  expect(await text(message)).toBe('body')
  expect(message.trailers).toEqual({ 'x-sum': 'got 42 for one who takes trailers' })
})

test('a runner that replaces itself is noticed by nobody', async () => {
  const { server } = machine
  const before = machine.starts
  const next = Buffer.concat([readFileSync(bundle), Buffer.from('\n// another one\n')])
  server.desireRunner(next)
  const statuses = new Set<number>()
  let asked = 0
  await until('the other runner', async () => {
    for (const method of ['GET', 'POST']) {
      const { asking, answer } = ask(method === 'GET' ? '/health' : '/echo', method)
      asking.end(method === 'POST' ? 'kept' : undefined)
      const message = await answer
      statuses.add(message.statusCode ?? 0)
      expect(await text(message)).toBe(method === 'POST' ? 'kept' : 'ok')
      asked++
    }
    return machine.starts > before && server.polls.at(-1)?.runnerSha256 === server.desired.runner.sha256
  })
  expect([...statuses]).toEqual([200])
  expect(asked).toBeGreaterThan(2)
})

import { describe, expect, test } from 'vitest'
import { type Architecture, violations } from './architecture-rules.ts'
import { repository } from './repository.ts'

const architecture: Architecture = {
  packages: {
    contract: { name: '@agentctl/contract', imports: [], libraries: ['zod'], node: false },
    cli: { name: 'agentctl', imports: ['contract'], node: true },
    server: { name: '@agentctl/server', imports: ['contract'], node: true },
    runner: { name: '@agentctl/runner', imports: [], types: ['contract'], libraries: [], node: true },
    localcloud: { name: '@agentctl/localcloud', imports: [], node: true },
  },
  rooms: {
    platform: [],
    providers: ['platform'],
    identity: ['providers'],
    billing: ['identity'],
    agents: ['identity', 'billing'],
    domains: ['agents'],
    operators: ['agents'],
    router: ['agents', 'domains'],
    privacy: ['router', 'operators'],
    console: ['privacy'],
  },
  roomless: {
    'main.ts': { typesFor: 'none' },
    'server.ts': { typesFor: 'none' },
    'app.ts': { typesFor: 'none' },
    'deps.ts': { typesFor: 'rooms above providers' },
  },
  mounts: 'app.ts',
  outlets: {
    reaching: {
      ...Object.fromEntries(
        ['tls', 'http', 'https', 'http2', 'dgram', 'dns', 'dns/promises', 'child_process'].map((name) => [
          `node:${name}`,
          { harmless: ['STATUS_CODES'] },
        ]),
      ),
      'node:net': { harmless: ['isIP', 'isIPv4', 'isIPv6', 'BlockList'] },
      ...Object.fromEntries(
        ['undici', 'twilio', 'stripe', 'cloudflare', 'ethers', 'ws', '@hono/node-server'].map((name) => [
          name,
          { harmless: [] },
        ]),
      ),
      aws4fetch: { harmless: ['AwsV4Signer'] },
      postgres: { harmless: [] },
      siwe: { harmless: ['SiweMessage'] },
      viem: {
        reaching: ['createClient', 'createPublicClient', 'createWalletClient', 'createTransport'].concat([
          'http',
          'webSocket',
          'fallback',
          'custom',
        ]),
      },
    },
    allowed: {
      'platform/http-server.ts': ['node:http', '@hono/node-server'],
      'platform/health.ts': ['node:http'],
      'platform/db.ts': ['postgres'],
      // To machines, at the addresses that the database has for them.
      'router/router.ts': ['node:http', 'node:net'],
      'router/exchange.ts': ['node:http'],
      'providers/transport.ts': ['undici'],
      // To hosts that users choose, at public addresses only.
      'providers/webhooks/webhooks.ts': ['node:http', 'node:https', 'node:dns/promises'],
      'providers/webhooks/public-address.ts': ['node:net'],
      // To our own edge, at the addresses that our own zone names.
      'providers/dns/edge-probe.ts': ['node:http', 'node:tls'],
      'providers/dns/live-dns.ts': ['node:dns/promises'],
      // Each of these has the transport put under it, and cannot do without: `providers/egress.test.ts`.
      'providers/sms/twilio.ts': ['twilio'],
      'providers/cards/stripe.ts': ['stripe'],
      'providers/dns/cloudflare-call.ts': ['cloudflare', 'fetch'],
      'providers/chain/evm.ts': ['viem'],
      'providers/chain/transfers.ts': ['viem'],
    },
    printing: ['main.ts', 'operators/new-credential.ts'],
    // What is wrong with the operator's own zone.
    quoting: ['providers/dns/keep-preparing.ts'],
  },
}

test('the tree keeps to the table of rooms and packages', () => {
  const tree = repository()
  expect(tree.has('packages/server/src/platform/db.ts')).toBe(true)
  expect(violations(tree, architecture)).toEqual([])
})

test('every package of the repository is in the table, with no dependency on another that it must not know', () => {
  for (const [path, text] of repository()) {
    const [, directory] = /^packages\/([^/]+)\/package\.json$/.exec(path) ?? []
    if (directory === undefined) continue
    const manifest: { name: string; dependencies?: Record<string, string> } = JSON.parse(text)
    const rule = architecture.packages[directory]
    expect(manifest.name).toBe(rule?.name)
    const known = Object.entries(architecture.packages)
      .filter(([, { name }]) => name in (manifest.dependencies ?? {}))
      .map(([name]) => name)
    expect(rule?.imports, path).toEqual(expect.arrayContaining(known))
  }
})

describe('a planted violation is found:', () => {
  const server = 'packages/server/src'
  const plant = (path: string, text: string, others: Record<string, string> = {}): string[] =>
    violations(new Map([...Object.entries(others), [path, text]]), architecture)

  test.each<[string, string, string]>([
    [
      'a room that imports the one above it',
      `${server}/billing/ledger.ts`,
      "import { x } from '../agents/agents.ts'",
    ],
    ['the same for a type', `${server}/billing/ledger.ts`, "import type { X } from '../agents/agents.ts'"],
    [
      'the same at run time',
      `${server}/billing/ledger.ts`,
      "const { x } = await import('../agents/agents.ts')",
    ],
    [
      'the same over several lines',
      `${server}/billing/a.ts`,
      "import {\n  x,\n  y,\n} from '../agents/agents.ts'",
    ],
    ['the same as an export', `${server}/billing/a.ts`, "export { x } from '../agents/agents.ts'"],
    ['the same for its effects', `${server}/billing/a.ts`, "import '../agents/agents.ts'"],
    [
      'a provider that knows another',
      `${server}/providers/sms/twilio.ts`,
      "import { x } from '../machines/vultr.ts'",
    ],
    [
      'the platform that knows a provider',
      `${server}/platform/db.ts`,
      "import { x } from '../providers/transport.ts'",
    ],
    [
      'the platform that knows everything',
      `${server}/platform/db.ts`,
      "import type { Deps } from '../deps.ts'",
    ],
    ['a room that imports the whole app', `${server}/agents/a.ts`, "import { createApp } from '../app.ts'"],
    ['the values of deps', `${server}/agents/a.ts`, "import { deps } from '../deps.ts'"],
    ['a room that is not in the table', `${server}/mailing/letters.ts`, 'export const x = 1'],
    ['a file beside the rooms', `${server}/extra.ts`, 'export const x = 1'],
    ["another folder's store", `${server}/agents/a.ts`, "import { x } from '../identity/store.ts'"],
    [
      "another folder's second store",
      `${server}/agents/a.ts`,
      "import { x } from '../identity/key-store.ts'",
    ],
    ["another folder's routes", `${server}/agents/a.ts`, "import { x } from '../identity/routes.ts'"],
    ['a store that the app reaches for', `${server}/app.ts`, "import { x } from './identity/store.ts'"],
    [
      'its own package by name',
      `${server}/agents/a.ts`,
      "import { x } from '@agentctl/server/identity/store.ts'",
    ],
    [
      'a package that it must not know',
      `${server}/agents/a.ts`,
      "import { x } from '@agentctl/localcloud/chain.ts'",
    ],
    ['the same by path', `${server}/agents/a.ts`, "import { x } from '../../../localcloud/src/chain.ts'"],
    [
      'the server in the CLI',
      'packages/cli/src/main.ts',
      "import type { App } from '@agentctl/server/app.ts'",
    ],
    ['a library in the contract', 'packages/contract/src/a.ts', "import { Hono } from 'hono'"],
    ['Node in the contract', 'packages/contract/src/a.ts', "import { join } from 'node:path'"],
    ['a library in the runner', 'packages/runner/src/main.ts', "import { request } from 'undici'"],
    [
      'the contract in a stand-in',
      'packages/localcloud/src/a.ts',
      "import { x } from '@agentctl/contract/problems.ts'",
    ],
    ['SQL in a rule', `${server}/billing/ledger.ts`, 'const rows = await tx`select 1`'],
    ['SQL with its type', `${server}/billing/ledger.ts`, 'const rows = await tx<Row[]>`\n    select 1`'],
    [
      'SQL behind a comment of its own',
      `${server}/billing/a.ts`,
      'await sql`\n -- Why.\n  update a set b = 1`',
    ],
    ['SQL as plain text', `${server}/billing/ledger.ts`, "await pool.unsafe('select 1')"],
    ["the database's clock", `${server}/billing/store.ts`, 'await tx`select now()`'],
    ['the same by its other name', `${server}/billing/store.ts`, 'await tx`select current_timestamp`'],
    [
      'the same in a migration',
      'packages/server/migrations/0009_x.sql',
      'create table x (at timestamptz default now());',
    ],
    ["the system's clock", `${server}/billing/ledger.ts`, 'const at = new Date()'],
    ["the system's clock as a number", `${server}/platform/operations.ts`, 'const at = Date.now()'],
    ['the environment in the server', `${server}/platform/db.ts`, 'const url = process.env.DATABASE_URL'],
    ['the environment in a command', 'packages/cli/src/commands/deploy.ts', 'if (process.env.CI) return'],
    ['a command that runs another', 'packages/cli/src/commands/a.ts', "import { x } from './agents/show.ts'"],
    ['a file of odds and ends', 'packages/cli/src/string-utils.ts', 'export const x = 1'],
    ['a folder of odds and ends', `${server}/agents/shared/a.ts`, 'export const x = 1'],
    ['a barrel by name', 'packages/contract/src/index.ts', 'export const x = 1'],
    ['a barrel by deed', 'packages/contract/src/all.ts', "export * from './agents.ts'"],
    ['an empty name of a class', `${server}/agents/a.ts`, 'export class MachineManager {}'],
    ['what is for tests alone', `${server}/agents/a.ts`, "import { x } from './test-agents.ts'"],
    ['the same from its folder', 'packages/cli/src/a.ts', "import { x } from './testing/fake-api.ts'"],
    ['an empty name of a value', `${server}/agents/a.ts`, 'const data = await answer.json()'],
    ['a connection past the transport', `${server}/agents/a.ts`, "import { connect } from 'node:net'"],
    ['the same for TLS', `${server}/billing/a.ts`, "import { connect } from 'node:tls'"],
    ['the same for HTTP', `${server}/agents/a.ts`, "import { request } from 'node:https'"],
    ['the same by its namespace', `${server}/agents/a.ts`, "import * as http from 'node:http'"],
    ['the same by its default', `${server}/agents/a.ts`, "import net from 'node:net'"],
    ['the same when it is needed', `${server}/agents/a.ts`, "const { request } = await import('undici')"],
    ['a program that calls', `${server}/agents/a.ts`, "import { spawn } from 'node:child_process'"],
    ['a fetch', `${server}/agents/a.ts`, "const answer = await fetch('https://example.com')"],
    ['the same handed on', `${server}/agents/a.ts`, 'const client = open({ fetch: globalThis.fetch })'],
    ['a WebSocket', `${server}/router/a.ts`, "const socket = new WebSocket('wss://example.com')"],
    ["a vendor's client elsewhere", `${server}/billing/a.ts`, "import Stripe from 'stripe'"],
    ['a client of a chain elsewhere', `${server}/billing/a.ts`, "import { http } from 'viem'"],
    [
      'a provider with more than its own',
      `${server}/providers/sms/twilio.ts`,
      "import { request } from 'undici'",
    ],
    ['what is printed past the log', `${server}/agents/a.ts`, 'console.log(phone)'],
    ['the same on the other stream', `${server}/agents/a.ts`, 'process.stderr.write(phone)'],
    ['a message of a log that is put together', `${server}/agents/a.ts`, 'log.error(`To $' + '{phone}`)'],
    ['the same from a variable', `${server}/agents/a.ts`, "deps.log.warn(error.message, { step: 'send' })"],
    ['the same by a plus', `${server}/agents/a.ts`, "log.error('To ' + phone)"],
    ['a path of one machine', 'README.md', `run it in ${['', 'work', 'main'].join('/')}`],
  ])('%s', (_, path, text) => {
    expect(plant(path, text)).not.toEqual([])
  })

  test('zod loaded by the CLI at its start, or by the runner at all', () => {
    const contract = {
      'packages/contract/src/deep.ts': "import { z } from 'zod'\nexport const Deep = z.string()",
      'packages/contract/src/shape.ts': "import { Deep } from './deep.ts'\nexport const Shape = Deep",
    }
    const cli = 'packages/cli/src/a.ts'
    const runner = 'packages/runner/src/a.ts'
    expect(plant(cli, "import { Shape } from '@agentctl/contract/shape.ts'", contract)).not.toEqual([])
    expect(plant(runner, "import { Shape } from '@agentctl/contract/shape.ts'", contract)).not.toEqual([])
    expect(plant(runner, "await import('@agentctl/contract/shape.ts')", contract)).not.toEqual([])
    expect(plant(cli, "await import('@agentctl/contract/shape.ts')", contract)).toEqual([])
    expect(plant(runner, "import type { Shape } from '@agentctl/contract/shape.ts'", contract)).toEqual([])
  })
})

describe('what the table allows is not complained about:', () => {
  const server = 'packages/server/src'
  test.each<[string, string, string]>([
    ['a room that imports one far below', `${server}/router/a.ts`, "import { x } from '../platform/db.ts'"],
    ['the type of deps', `${server}/agents/a.ts`, "import type { Deps } from '../deps.ts'"],
    ['its own store', `${server}/agents/a.ts`, "import { x } from './store.ts'"],
    ['routes in the app', `${server}/app.ts`, "import { x } from './agents/routes.ts'"],
    ['what providers have in common', `${server}/providers/sms/a.ts`, "import { x } from '../transport.ts'"],
    ['SQL in a store', `${server}/agents/machine-store.ts`, 'await tx`select 1`'],
    ['the injected clock', `${server}/agents/a.ts`, 'const at = clock.now()'],
    ['a lease', `${server}/platform/operations.ts`, 'await tx`select clock_timestamp()`'],
    ["a vendor's types", `${server}/billing/a.ts`, "import type Stripe from 'stripe'"],
    ['a look at an address', `${server}/agents/a.ts`, "import { isIP } from 'node:net'"],
    ['arithmetic of a chain', `${server}/billing/a.ts`, "import { getAddress } from 'viem'"],
    ['a message of a log', `${server}/agents/a.ts`, "log.error('It failed', { fault: faultOf(error) })"],
    [
      'a rule named in a comment',
      `${server}/agents/a.ts`,
      '// Never new Date(), nor process.env.\nexport const x = 1',
    ],
    [
      'constants in the runner',
      'packages/runner/src/a.ts',
      "import { x } from '@agentctl/contract/constants.ts'",
    ],
  ])('%s', (_, path, text) => {
    expect(violations(new Map([[path, text]]), architecture)).toEqual([])
  })
})

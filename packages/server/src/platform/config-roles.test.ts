import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Role, readConfig, readOwnerUrl } from './config.ts'
import { ConfigError } from './config-error.ts'

const DATABASE = {
  DATABASE_APP_URL: 'postgres://app:a@db.example.com/x?sslmode=verify-full',
  DATABASE_JOBS_URL: 'postgres://jobs:j@db.example.com/x?sslmode=verify-full',
}
const API = {
  ...DATABASE,
  TWILIO_ACCOUNT_SID: 'AC1',
  TWILIO_AUTH_TOKEN: 'secret',
  TWILIO_VERIFY_SERVICE_SID: 'VA1',
  PRIVACY_CONTACT: 'privacy@example.com',
  CHAIN_RPC_URL: 'https://chain.example.com',
  MACHINE_NODE_FILE: 'node',
  MACHINE_RUNNER_FILE: 'runner.cjs',
}
const WORKER = {
  DATABASE_JOBS_URL: DATABASE.DATABASE_JOBS_URL,
  VULTR_API_KEY: 'secret',
  CHAIN_RPC_URL: 'https://chain.example.com',
  MACHINE_NODE_FILE: 'node',
  MACHINE_RUNNER_FILE: 'runner.cjs',
}
const ROUTER = { DATABASE_JOBS_URL: DATABASE.DATABASE_JOBS_URL }

test.each<[Role, Record<string, string>]>([
  ['api', API],
  ['router', ROUTER],
  ['worker', WORKER],
])('a server that is %s alone needs just what it uses', (role, needed) => {
  expect(readConfig(needed, [role])).toBeDefined()
  for (const name of Object.keys(needed)) {
    expect(() => readConfig({ ...needed, [name]: undefined }, [role])).toThrow(
      new ConfigError(`Set these environment variables: ${name}.`),
    )
  }
})

test('a server does not even take what its roles do not use', () => {
  const everything = { ...API, ...WORKER }
  expect(readConfig(everything, ['api']).vultr.apiKey.reveal()).toBe('')
  expect(readConfig(everything, ['router']).twilio.authToken.reveal()).toBe('')
  expect(readConfig(everything, ['worker']).databaseAppUrl).toBeUndefined()
  expect(readConfig(everything, ['worker']).vultr.apiKey.reveal()).toBe('secret')
})

test('machines that are kept ready are named by size, within bounds, and cost nothing unless they are', () => {
  const { warm } = readConfig({ ...WORKER, WARM_MACHINES: 'nano=1, small=2', WARM_BUDGET: '40' }, ['worker'])
  expect(warm).toEqual({ sizes: { nano: 1, small: 2 }, monthlyBudgetMicros: 40_000_000n })
  expect(readConfig(WORKER, ['worker']).warm).toEqual({ sizes: {}, monthlyBudgetMicros: undefined })
  for (const wrong of ['small', 'tiny=1', 'small=21', 'small=1,small=2', 'small=-1', 'small=1;nano=2']) {
    expect(() => readConfig({ ...WORKER, WARM_MACHINES: wrong }, ['worker'])).toThrow(
      'WARM_MACHINES must be size=number, each size once and at most 20 of it, like nano=1,small=2.',
    )
  }
  expect(() => readConfig({ ...WORKER, WARM_BUDGET: '$40' }, ['worker'])).toThrow('WARM_BUDGET must be')
})

test('what several roles share, the others do not take either', () => {
  const folder = mkdtempSync(join(tmpdir(), 'agentctl-config-'))
  const shared = {
    ...API,
    ...WORKER,
    STRIPE_SECRET_KEY: 'secret',
    STRIPE_WEBHOOK_SECRET: 'secret',
    CLOUDFLARE_API_TOKEN: 'secret',
    CLOUDFLARE_ZONE_ID: 'z',
    CLOUDFLARE_ZONE_NAME: 'agents.localhost',
    CLOUDFLARE_FALLBACK_ORIGIN: 'origin.agents.localhost',
    BLOBS_S3_ENDPOINT: 'https://s3.example.com',
    BLOBS_S3_BUCKET: 'blobs',
    BLOBS_S3_REGION: 'x',
    BLOBS_S3_ACCESS_KEY_ID: 'x',
    BLOBS_S3_SECRET_ACCESS_KEY: 'secret',
    CHAIN_ID: '8453',
    DEPOSIT_ADDRESS: `0x${'1'.repeat(40)}`,
    DATABASE_OPERATOR_URL: 'postgres://operator:o@db.example.com/x?sslmode=verify-full',
    OPERATORS: `alice=${'a'.repeat(64)}`,
    // Files that only the api has: naming them to another role must not keep it from starting.
    PEPPER_FILE: join(folder, 'absent.json'),
    LEDGER_KEY_FILE: join(folder, 'absent.json'),
  }
  for (const role of ['router', 'worker'] as const) {
    expect(readConfig(shared, [role])).toMatchObject({ operators: [], databaseOperatorUrl: undefined })
  }
  expect(readConfig(shared, ['router'])).toMatchObject({
    stripe: undefined,
    cloudflare: undefined,
    blobs: undefined,
    deposits: [],
  })
  const worker = readConfig(shared, ['worker'])
  expect(worker.cloudflare?.apiToken.reveal()).toBe('secret')
  expect(() => readConfig({ ...shared, CLOUDFLARE_API_TOKEN: '' }, ['worker'])).toThrow(
    'CLOUDFLARE_API_TOKEN',
  )
  expect(worker.deposits).toHaveLength(1)
  expect(() => readConfig(shared, ['api'])).toThrow('PEPPER_FILE names')
  const { PEPPER_FILE: _, LEDGER_KEY_FILE: __, ...api } = shared
  expect(readConfig(api, ['api']).operators.map(({ name }) => name)).toEqual(['alice'])
  expect(readConfig(api, ['api']).cloudflare?.apiToken.reveal()).toBe('')
  rmSync(folder, { recursive: true })
})

test('the owner of the tables, who migrates at the start, stands in for both roles', () => {
  const owner = { ...API, ...WORKER, DATABASE_URL: 'postgres://127.0.0.1/x' }
  const config = readConfig({ ...owner, DATABASE_APP_URL: undefined, DATABASE_JOBS_URL: undefined })
  expect(config.databaseUrl?.reveal()).toBe('postgres://127.0.0.1/x')
  expect(readConfig({ ...API, ...WORKER }).databaseUrl).toBeUndefined()
  expect(readOwnerUrl(owner)).toBe('postgres://127.0.0.1/x')
  expect(() => readOwnerUrl({})).toThrow('Set DATABASE_URL')
})

test('every URL of a database elsewhere is checked, by its name and without its password', () => {
  // In pieces, so that it is not taken for a password that was left here.
  const plain = `postgres://owner:${'swordfish'}@db.example.com/x`
  for (const name of ['DATABASE_URL', 'DATABASE_APP_URL', 'DATABASE_JOBS_URL']) {
    const read = () => readConfig({ ...API, ...WORKER, [name]: plain })
    expect(read).toThrow(ConfigError)
    expect(read).toThrow(new RegExp(`^${name} needs sslmode=verify-full(?!.*swordfish)`))
  }
  expect(() => readOwnerUrl({ DATABASE_URL: plain })).toThrow('DATABASE_URL needs sslmode=verify-full')
})

test('a key file that is named must be there; one that is not named is made', () => {
  const folder = mkdtempSync(join(tmpdir(), 'agentctl-config-'))
  const there = join(folder, 'there.json')
  writeFileSync(there, '{}')
  for (const name of ['KEYRING_FILE', 'PEPPER_FILE', 'LEDGER_KEY_FILE']) {
    expect(() => readConfig({ ...API, [name]: join(folder, 'absent.json') }, ['api'])).toThrow(
      `${name} names ${join(folder, 'absent.json')}, where no file is. Restore it from its backup.`,
    )
    expect(readConfig({ ...API, [name]: there }, ['api'])).toBeDefined()
  }
  expect(readConfig({ ...API, DATA_DIR: folder }, ['api']).keyringFile).toBe(join(folder, 'keyring.json'))
  rmSync(folder, { recursive: true })
})

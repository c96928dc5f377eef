import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { readKeptFile } from '@agentctl/localcloud/kept-file.ts'
import { isRunning, type ProcessIdentity, signal } from '@agentctl/localcloud/process-identity.ts'
import { startVultr } from '@agentctl/localcloud/vultr/vultr.ts'
import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import { silentLog } from '@agentctl/server/platform/log.ts'
import { Secret } from '@agentctl/server/platform/secret.ts'
import { openMachines } from '@agentctl/server/providers/machines/vultr.ts'
import { openTransport } from '@agentctl/server/providers/transport.ts'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from './database.ts'
import { testThoroughly } from './thorough.ts'

const root = dirname(import.meta.dirname)
const folder = mkdtempSync(join(tmpdir(), 'agentctl-test-live-smoke-'))
const vultr = await startVultr({ dataDir: folder, log: () => {} })
const transport = openTransport({ processors: [vultr.url], infrastructure: [] })
const dataDirs: string[] = []
afterAll(async () => {
  // A run that a failed test has left in the middle.
  for (const dataDir of dataDirs) {
    const record = readKeptFile(join(dataDir, 'server-process.json'))
    const left: ProcessIdentity | null = JSON.parse(record ?? 'null')
    if (left && isRunning(left)) signal(left.pid, 'SIGTERM')
  }
  await transport.close()
  await vultr.stop()
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
})
const machinesOf = (environment: string) =>
  openMachines(
    { vultr: { baseUrl: vultr.url, apiKey: new Secret(vultr.apiKey), environment } },
    { transport, log: silentLog },
  )
const ours = machinesOf('live-smoke')
const others = machinesOf('prod')
const order = (label: string) => ({ label, plan: 'vc2-1c-1gb', userData: '#!/bin/sh\n' })

interface Run {
  child: ChildProcess
  said(): string
  ended: Promise<number>
}

function run(settings: Record<string, string>): Run {
  const { VULTR_API_KEY: _, LIVE_SMOKE_URL: __, ...environment } = process.env
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'scripts/live-smoke.ts'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...environment, ...settings },
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      text += chunk
    })
  }
  const ended = new Promise<number>((done) => child.on('close', (code) => done(code ?? -1)))
  return { child, said: () => text, ended }
}

async function freePort(): Promise<number> {
  return new Promise((done) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => done(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

async function settings(more: Record<string, string> = {}): Promise<Record<string, string>> {
  const port = await freePort()
  const { url } = await testDatabase()
  const dataDir = join(folder, `run-${port}`)
  dataDirs.push(dataDir)
  return {
    VULTR_API_KEY: vultr.apiKey,
    VULTR_BASE_URL: vultr.url,
    LIVE_SMOKE_URL: `http://127.0.0.1:${port}`,
    PORT: String(port),
    DATABASE_URL: url,
    AGENTCTL_DATA_DIR: dataDir,
    ...more,
  }
}

test('without keys it asks nothing of anybody and says that it was skipped, and why', async () => {
  const { said, ended } = run({ VULTR_BASE_URL: vultr.url })
  expect(await ended).toBe(0)
  expect(said()).toMatch(
    /^Skipped: VULTR_API_KEY and LIVE_SMOKE_URL not set\. Nothing was asked of Vultr\.\n/,
  )
  const dear = run(await settings({ LIVE_SMOKE_MAX_USD: '0.01' }))
  expect(await dear.ended).toBe(1)
  expect(dear.said()).toBe('error: It would cost about $0.017, more than LIVE_SMOKE_MAX_USD=0.01.\n')
  expect(await ours.listOurs()).toEqual([])
  for (const line of said().split('\n').slice(1)) expect(line.length).toBeLessThanOrEqual(80)
})

test('settings that cannot work are refused before anything is asked or started, and how to mend them is said', async () => {
  const real = { VULTR_API_KEY: 'key', LIVE_SMOKE_URL: 'https://smoke.example.com' }
  const said = async (settings: Record<string, string>): Promise<string> => {
    const { said, ended } = run(settings)
    expect(await ended, said()).toBe(2)
    return said()
  }
  const answers: string[] = []
  for (const settings of [
    { LIVE_SMOKE_URL: 'https://smoke.example.com' },
    { VULTR_API_KEY: 'key' },
    { ...real, VULTR_API_KEY: 'key\n' },
    { ...real, LIVE_SMOKE_URL: 'smoke.example.com' },
    { ...real, LIVE_SMOKE_URL: 'https://smoke.example.com/path' },
    { ...real, LIVE_SMOKE_URL: 'http://smoke.example.com' },
    { ...real, LIVE_SMOKE_URL: 'https://localhost:8797' },
    { ...real, LIVE_SMOKE_URL: 'https://192.168.0.7' },
    { ...real, VULTR_BASE_URL: 'vultr' },
    { ...real, LIVE_SMOKE_MAX_USD: 'ten' },
    { ...real, PORT: '99999' },
    { ...real, DATABASE_URL: 'mysql://127.0.0.1/x' },
  ]) {
    answers.push(await said(settings))
  }
  const lines = answers.join('').trim().split('\n')
  expect(lines).toMatchInlineSnapshot(`
    [
      "error: VULTR_API_KEY is not set.",
      "  Set it to a key of the account that pays.",
      "error: LIVE_SMOKE_URL is not set.",
      "  Set it to an address that leads to this machine: LIVE_SMOKE_URL=https://NAME",
      "error: VULTR_API_KEY has white space in it.",
      "  Set it to the key alone.",
      "error: LIVE_SMOKE_URL is no plain address: 'smoke.example.com'",
      "  Give scheme and name alone: LIVE_SMOKE_URL=https://NAME",
      "error: LIVE_SMOKE_URL is no plain address: 'https://smoke.example.com/path'",
      "  Give scheme and name alone: LIVE_SMOKE_URL=https://NAME",
      "error: LIVE_SMOKE_URL is not https: credentials of machines would be readable.",
      "  Use an https address, such as that of a tunnel: LIVE_SMOKE_URL=https://NAME",
      "error: LIVE_SMOKE_URL leads to localhost: no machine at Vultr gets there.",
      "  Use a public address, such as that of a tunnel: LIVE_SMOKE_URL=https://NAME",
      "error: LIVE_SMOKE_URL leads to 192.168.0.7: no machine at Vultr gets there.",
      "  Use a public address, such as that of a tunnel: LIVE_SMOKE_URL=https://NAME",
      "error: VULTR_BASE_URL is no plain address: 'vultr'",
      "  Give scheme and name alone: VULTR_BASE_URL=https://NAME",
      "error: LIVE_SMOKE_MAX_USD=ten is no number of dollars.",
      "  Use one such as LIVE_SMOKE_MAX_USD=0.10",
      "error: PORT=99999 is not a port.",
      "  Use a number from 1024 to 65535: PORT=8797 npm run live-smoke",
      "error: DATABASE_URL must be a postgres:// URL.",
      "  Correct it, or leave it out: then a database is started.",
    ]
  `)
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80)
}, 60_000)

test('it deploys, snapshots, restores and deletes; what an earlier run left goes, what is of others stays', async () => {
  await ours.create(order('left-over'))
  await others.create(order('not-ours'))
  const { said, ended } = run(await settings())
  expect(await ended, said()).toBe(0)
  expect(said()).toMatch(/An earlier run left: machine left-over /)
  expect(said().match(/at Vultr: .*/g)).toEqual([
    'at Vultr: {"machines":0,"snapshots":0}',
    'at Vultr: {"machines":0,"snapshots":0}',
    'at Vultr: {"machines":1,"snapshots":0}',
    'at Vultr: {"machines":0,"snapshots":1}',
    'at Vultr: {"machines":1,"snapshots":0}',
    'at Vultr: {"machines":0,"snapshots":0}',
  ])
  expect(said()).not.toContain(vultr.apiKey)
  expect([...(await ours.listOurs()), ...(await ours.listOurSnapshots())]).toEqual([])
  expect((await others.listOurs()).map(({ label }) => label)).toEqual(['not-ours'])
}, 180_000)

testThoroughly(
  'Ctrl-C in the middle of a boot leaves nothing; what a killed run leaves, its server too, the next one ends',
  async () => {
    await fetch(`${vultr.url}/_local/settings`, { method: 'POST', body: '{"bootSeconds":3600}' })
    const same = await settings()
    const killed = run(same)
    const [left] = await machinesBesides(killed, [])
    // Its end, not that of its output, which the CLI that it started still has.
    const exited = once(killed.child, 'exit')
    killed.child.kill('SIGKILL')
    await exited
    const server: { pid: number } = JSON.parse(
      readFileSync(join(same.AGENTCTL_DATA_DIR ?? '', 'server-process.json'), 'utf8'),
    )
    expect(() => process.kill(server.pid, 0)).not.toThrow()

    const { url } = await testDatabase()
    const next = run({ ...same, DATABASE_URL: url })
    await machinesBesides(next, [left ?? ''])
    expect(next.said()).toContain(`An earlier run left: machine ${left}`)
    expect(() => process.kill(server.pid, 0)).toThrow()
    next.child.kill('SIGINT')
    expect(await next.ended, next.said()).toBe(130)
    expect(next.said()).toMatch(/Removed: machine op_/)
    expect(await ours.listOurs()).toEqual([])
  },
  180_000,
)

/** Labels of its machines, once there is one that is not among these. */
async function machinesBesides({ child, said }: Run, known: readonly string[]): Promise<string[]> {
  let labels: string[] = []
  const look = async (): Promise<boolean> => {
    labels = (await ours.listOurs()).map(({ label }) => label).filter((label) => !known.includes(label))
    return labels.length > 0 || child.exitCode !== null
  }
  await waitUntil(look, { withinMs: 90_000, everyMs: 50 })
  expect(labels, said()).not.toEqual([])
  return labels
}

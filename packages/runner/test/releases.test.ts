import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { answering, manySided } from './test-agents.ts'
import { bundleRunner, removeBundles, TestMachine, until } from './test-machine.ts'

afterAll(removeBundles)

let bundle: string
let machine: TestMachine

beforeAll(async () => {
  bundle = await bundleRunner()
})

beforeEach(async () => {
  machine = new TestMachine(bundle)
  await machine.boot()
})

afterEach(async () => {
  await machine.shutDown()
  expect(machine.server.violations).toEqual([])
})

/** A first release that works; what fails afterwards must leave it serving. */
async function deployFirst(): Promise<void> {
  const { server } = machine
  server.desire(server.release('rel_good', { 'index.js': answering('good') }, { start: 'node index.js' }))
  await machine.reported('rel_good', 'healthy')
  expect(await (await machine.fetch()).text()).toBe('good')
}

/** What the many-sided agent says about itself. */
async function environmentSeen(): Promise<{
  env: Record<string, string>
  uid: number
  gids: number[]
  cwd: string
}> {
  const response = await machine.fetch('/environment')
  return JSON.parse(await response.text())
}

const reportOf = (id: string, state: string) =>
  machine.server.reports.find((report) => report.releaseId === id && report.state === state)

test('a release is fetched, installed, started, and serves once it is healthy', async () => {
  const { server } = machine
  expect((await machine.fetch()).status).toBe(503)
  server.desire(
    server.release(
      'rel_1',
      {
        'src/index.js': manySided,
        'bin/tool': { text: '#!/bin/sh\necho tool\n', executable: true },
      },
      {
        install: './bin/tool > installed.txt; echo installing',
        start: 'node src/index.js',
        health: { path: '/health', timeoutSeconds: 20 },
      },
    ),
  )
  await machine.reported('rel_1', 'healthy')
  const states = server.reportsOf('rel_1')
  // A step that was over before it could be told is left out.
  const steps = (['fetching', 'installing', 'starting', 'healthy'] as const).filter((one) =>
    states.includes(one),
  )
  expect(steps).toEqual(states)
  expect(states.at(-1)).toBe('healthy')
  const timings = reportOf('rel_1', 'healthy')?.timings
  expect(Object.keys(timings ?? {}).sort()).toEqual([
    'fetchMs',
    'healthMs',
    'installMs',
    'startMs',
    'switchMs',
  ])
  const folder = join(machine.base, 'releases', 'rel_1')
  expect(readFileSync(join(folder, 'installed.txt'), 'utf8')).toBe('tool\n')
  expect(statSync(join(folder, 'bin/tool')).mode & 0o777).toBe(0o755)
  expect(statSync(join(folder, 'src/index.js')).mode & 0o777).toBe(0o644)
  expect((await machine.fetch('/health')).status).toBe(200)
  await until('its log lines', () => server.lines.some((line) => line.text === 'many-sided agent listens'))
  expect(server.lines.some((line) => line.text === 'installing' && line.releaseId === 'rel_1')).toBe(true)
})

test('a redeploy under load fails no request, and the old process ends', async () => {
  const { server } = machine
  await deployFirst()
  const oldPid = machine.agentPid()
  let going = true
  const seen = new Map<string, number>()
  const load = async () => {
    while (going) {
      const response = await machine.fetch()
      const key = `${response.status} ${await response.text()}`
      seen.set(key, (seen.get(key) ?? 0) + 1)
    }
  }
  const running = Promise.all(Array.from({ length: 8 }, load))
  server.desire(server.release('rel_new', { 'index.js': answering('new') }, { start: 'node index.js' }))
  await machine.reported('rel_new', 'healthy')
  await until('requests on the new release', () => (seen.get('200 new') ?? 0) > 50)
  going = false
  await running
  expect([...seen.keys()].sort()).toEqual(['200 good', '200 new'])
  await until('the end of the old process', () => !existsSync(`/proc/${oldPid}`))
})

test('a request that began before the switch is answered by the old release', async () => {
  const { server } = machine
  const slow = `require('node:http').createServer((request, response) => {
    if (request.url === '/slow') { started = response; return }
    if (request.url === '/finish') started.end('old, to the end')
    response.end('old')
  }).listen(process.env.PORT); let started`
  server.desire(server.release('rel_old', { 'index.js': slow }, { start: 'node index.js' }))
  await machine.reported('rel_old', 'healthy')
  const agentPort = JSON.parse(readFileSync(join(machine.run, 'agent.json'), 'utf8')).processes[0].serving
    .port
  const open = machine.fetch('/slow')
  await until('the request at the agent', async () => {
    const lines = execFileSync('cat', ['/proc/net/tcp', '/proc/net/tcp6'], { encoding: 'utf8' })
    return lines.includes(`:${agentPort.toString(16).toUpperCase().padStart(4, '0')} 01`)
  })
  server.desire(server.release('rel_new', { 'index.js': answering('new') }, { start: 'node index.js' }))
  await machine.reported('rel_new', 'healthy')
  expect(await (await machine.fetch()).text()).toBe('new')
  await fetch(`http://127.0.0.1:${agentPort}/finish`)
  expect(await (await open).text()).toBe('old, to the end')
})

test('a Python agent is healthy when its port accepts connections', async ({ skip }) => {
  try {
    execFileSync('python3', ['--version'])
  } catch {
    skip('python3 is not on this machine')
  }
  const { server } = machine
  server.desire(
    server.release('rel_py', { 'hello.txt': 'from python' }, { start: 'exec python3 -m http.server $PORT' }),
  )
  await machine.reported('rel_py', 'healthy')
  expect(await (await machine.fetch('/hello.txt')).text()).toBe('from python')
})

const failures: [
  name: string,
  expected: { reason: string; message: RegExp; exitCode?: number },
  files: Record<string, string>,
  config: { start: string; install?: string; health?: { path: string | null; timeoutSeconds: number } },
][] = [
  [
    'a start command that does not exist',
    {
      reason: 'start_failed',
      message: /`nonsuch --port` could not be started: command not found/,
      exitCode: 127,
    },
    {},
    { start: 'nonsuch --port' },
  ],
  [
    'a process that exits at once',
    { reason: 'exited', message: /ended with exit code 7 .* before it was healthy/, exitCode: 7 },
    {},
    { start: 'echo the last words >&2; exit 7' },
  ],
  [
    'a process that goes to the background',
    { reason: 'exited', message: /exit code 0.*must stay in the foreground/, exitCode: 0 },
    {},
    { start: 'sleep 60 & true' },
  ],
  [
    'a process that never listens',
    { reason: 'not_listening', message: /did not listen on any port within 1 seconds/ },
    {},
    { start: 'echo thinking; sleep 60', health: { path: null, timeoutSeconds: 1 } },
  ],
  [
    'a process that listens on another port',
    { reason: 'wrong_port', message: /listens on port \d+, not on the port in \$PORT \(here \d+\)/ },
    { 'index.js': `require('node:http').createServer().listen(0)` },
    { start: 'node index.js', health: { path: null, timeoutSeconds: 2 } },
  ],
  [
    'a health path that answers 500',
    { reason: 'unhealthy', message: /GET \/health answered 500/ },
    {
      'index.js': `require('node:http').createServer((q, r) => { r.statusCode = 500; r.end() }).listen(process.env.PORT)`,
    },
    { start: 'node index.js', health: { path: '/health', timeoutSeconds: 2 } },
  ],
  [
    'an install command that fails',
    { reason: 'install_failed', message: /`echo no network; exit 9` ended with exit code 9/, exitCode: 9 },
    {},
    { start: 'true', install: 'echo no network; exit 9' },
  ],
]

test.each(failures)(
  '%s is told apart, and the release before goes on serving',
  async (_name, expected, files, config) => {
    const { server } = machine
    await deployFirst()
    server.desire(server.release('rel_bad', files, config))
    await machine.reported('rel_bad', 'failed')
    const report = reportOf('rel_bad', 'failed')
    expect(report?.reason).toBe(expected.reason)
    expect(report?.message).toMatch(expected.message)
    if (expected.exitCode !== undefined) expect(report?.exitCode).toBe(expected.exitCode)
    expect(await (await machine.fetch()).text()).toBe('good')
    const record = JSON.parse(readFileSync(join(machine.run, 'agent.json'), 'utf8'))
    expect(record.processes).toHaveLength(1)
  },
)

test('a failed release is reported with its last twenty log lines', async () => {
  const { server } = machine
  server.desire(server.release('rel_bad', {}, { start: 'seq 1 50; exit 1' }))
  await machine.reported('rel_bad', 'failed')
  const tail = reportOf('rel_bad', 'failed')?.logTail
  expect(tail).toEqual(Array.from({ length: 20 }, (_, at) => String(31 + at)))
  const response = await machine.fetch()
  expect(response.status).toBe(503)
  expect(response.headers.get('x-agentctl-reason')).toBe('no_release')
  expect(await response.json()).toMatchObject({ code: 'agent_not_running' })
})

test('a manifest that leaves its folder is refused and writes nothing', async () => {
  const { server } = machine
  for (const [index, path] of [
    '../escaped.txt',
    '/tmp/escaped.txt',
    'a/../../escaped.txt',
    'a//b',
  ].entries()) {
    const release = server.release(`rel_${index}`, { file: 'text' }, { start: 'true' })
    const files = release.files.map((file) => ({ ...file, path }))
    // The contract's own schema would refuse such a manifest; here the server has gone wrong.
    server.desire({ ...release, files })
    await machine.reported(release.id, 'failed')
    expect(reportOf(release.id, 'failed')).toMatchObject({
      reason: 'fetch_failed',
      message: expect.stringContaining('leaves its folder'),
    })
  }
  expect(existsSync(join(machine.base, 'releases', 'escaped.txt'))).toBe(false)
  expect(existsSync('/tmp/escaped.txt')).toBe(false)
  expect(readdirSync(join(machine.base, 'releases'))).toEqual([])
})

test('a blob with other bytes than its hash says is refused', async () => {
  const { server } = machine
  const release = server.release('rel_1', { 'index.js': answering('x') }, { start: 'node index.js' })
  const hash = release.files[0]?.sha256 ?? ''
  server.blobs.set(hash, Buffer.from('something else'))
  server.desire(release)
  await machine.reported('rel_1', 'failed')
  expect(reportOf('rel_1', 'failed')).toMatchObject({
    reason: 'fetch_failed',
    message: expect.stringContaining('has another hash'),
  })
  expect(readdirSync(join(machine.base, 'blobs'))).toEqual([])
})

test('a crash is reported and the agent started again', async () => {
  const { server } = machine
  server.desire(server.release('rel_1', { 'index.js': manySided }, { start: 'node index.js' }))
  await machine.reported('rel_1', 'healthy')
  await machine.fetch('/crash')
  await machine.reported('rel_1', 'crashed')
  expect(reportOf('rel_1', 'crashed')).toMatchObject({
    exitCode: 3,
    message: expect.stringContaining('exit code 3'),
  })
  await machine.reported('rel_1', 'healthy', 2)
  expect((await machine.fetch('/health')).status).toBe(200)
})

test('a release that is desired no more is stopped, and its folder stays', async () => {
  const { server } = machine
  await deployFirst()
  const pid = machine.agentPid()
  server.desire(null)
  await until('the end of the process', () => !existsSync(`/proc/${pid}`))
  const response = await machine.fetch()
  expect(response.status).toBe(503)
  expect(response.headers.get('x-agentctl-reason')).toBe('stopped')
  expect(existsSync(join(machine.base, 'releases', 'rel_good'))).toBe(true)
})

test('a newer wish calls off a release that is still starting', async () => {
  const { server } = machine
  server.desire(server.release('rel_slow', {}, { start: 'sleep 600' }))
  await machine.reported('rel_slow', 'starting')
  await deployFirst()
  expect(server.reportsOf('rel_slow')).not.toContain('failed')
})

test('only the files of this release and the one before stay on the disk', async () => {
  const { server } = machine
  for (const number of [1, 2, 3]) {
    server.desire(
      server.release(`rel_${number}`, { 'index.js': answering(`v${number}`) }, { start: 'node index.js' }),
    )
    await machine.reported(`rel_${number}`, 'healthy')
  }
  await until('the old folders to go', () => readdirSync(join(machine.base, 'releases')).length === 4)
  expect(readdirSync(join(machine.base, 'releases')).sort()).toEqual([
    'rel_2',
    'rel_2.ready',
    'rel_3',
    'rel_3.ready',
  ])
  // Back to the one before: no file travels again.
  server.blobs.clear()
  server.desire({
    ...server.release('rel_2', { 'index.js': answering('v2') }, { start: 'node index.js' }),
    number: 2,
  })
  server.blobs.clear()
  await machine.reported('rel_2', 'healthy', 2)
  expect(await (await machine.fetch()).text()).toBe('v2')
})

test('the agent sees what is declared and nothing of the runner', async () => {
  const { server } = machine
  server.desire(
    server.release(
      'rel_1',
      { 'index.js': manySided },
      { start: 'node index.js', env: { GREETING: 'hi', PORT: '1' } },
      { API_KEY: 'canary-secret' },
    ),
  )
  await machine.reported('rel_1', 'healthy')
  const seen = await environmentSeen()
  const names = Object.keys(seen.env).filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name))
  expect(names.sort()).toEqual(['API_KEY', 'GREETING', 'HOME', 'LANG', 'PATH', 'PORT', 'USER'])
  expect(seen.env).toMatchObject({
    GREETING: 'hi',
    API_KEY: 'canary-secret',
    HOME: join(machine.base, 'home'),
  })
  expect(seen.env.PORT).not.toBe('1')
  expect(seen.cwd).toBe(join(machine.base, 'releases', 'rel_1'))
  // On the disk there is no secret, and what is on tmpfs is the runner's alone.
  expect(() => execFileSync('grep', ['-r', 'canary-secret', machine.base])).toThrow()
  for (const name of readdirSync(machine.run)) {
    expect(statSync(join(machine.run, name)).mode & 0o077).toBe(0)
  }
})

test('another secret for the same release starts it anew, without a gap', async () => {
  const { server } = machine
  const release = server.release(
    'rel_1',
    { 'index.js': manySided },
    { start: 'node index.js' },
    { KEY: 'one' },
  )
  server.desire(release)
  await machine.reported('rel_1', 'healthy')
  server.desire({ ...release, environment: { KEY: 'two' } })
  await machine.reported('rel_1', 'healthy', 2)
  expect((await environmentSeen()).env.KEY).toBe('two')
})

test('a wish for the release that serves already is answered, without another start', async () => {
  const { server } = machine
  const files = { 'index.js': answering('good'), 'other.txt': 'other' }
  const release = server.release('rel_good', files, { start: 'node index.js' }, { ONE: '1', TWO: '2' })
  server.desire(release)
  await machine.reported('rel_good', 'healthy')
  const pid = machine.agentPid()
  // The same in another order, as a database may answer.
  const { environment, ...rest } = release
  server.desire({
    environment: Object.fromEntries(Object.entries(environment).reverse()),
    ...rest,
    files: rest.files.toReversed(),
  })
  await machine.reported('rel_good', 'healthy', 2)
  expect(machine.agentPid()).toBe(pid)
})

test('a wish for a release that failed is answered with its failure, without another try', async () => {
  const { server } = machine
  server.desire(server.release('rel_bad', {}, { start: 'echo once >> $HOME/tries; exit 4' }))
  await machine.reported('rel_bad', 'failed')
  server.desire(server.desired.release)
  await machine.reported('rel_bad', 'failed', 2)
  const [first, second] = server.reports.filter((report) => report.state === 'failed')
  expect(second).toEqual(first)
  expect(readFileSync(join(machine.base, 'home/tries'), 'utf8')).toBe('once\n')
})

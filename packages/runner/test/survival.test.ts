import { spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
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

async function deploy(id = 'rel_1'): Promise<void> {
  const { server } = machine
  server.desire(server.release(id, { 'index.js': manySided }, { start: 'node index.js' }))
  await machine.reported(id, 'healthy')
}

const answers = async (): Promise<boolean> => {
  try {
    return (await machine.fetch('/health')).ok
  } catch {
    return false
  }
}

/** Kills the runner without a chance to tidy up, and waits for the one that follows. */
async function killRunner(): Promise<void> {
  const polls = machine.server.polls.length
  machine.runner?.kill('SIGKILL')
  await until('the next runner', () => machine.server.polls.length > polls)
}

test('a runner killed with -9 adopts the agent, which keeps its pid, its port and its log', async () => {
  await deploy()
  const pid = machine.agentPid()
  const port = machine.port
  await killRunner()
  await until('answers', answers)
  expect(machine.agentPid()).toBe(pid)
  expect(machine.port).toBe(port)
  expect(machine.server.hellos).toHaveLength(1)
  await machine.fetch('/log?lines=3')
  await until('its lines', () => machine.server.lines.some((line) => line.text === 'line 2'))
  const sequences = machine.server.lines.map((line) => line.sequence)
  expect(new Set(sequences).size).toBe(sequences.length)
  // Adopted, it is still stopped like any other when something else is desired.
  machine.server.desire(
    machine.server.release('rel_2', { 'index.js': answering('two') }, { start: 'node index.js' }),
  )
  await machine.reported('rel_2', 'healthy')
  await until('the end of the adopted process', () => !existsSync(`/proc/${pid}`))
})

test('what an agent writes while there is no runner is not lost', async () => {
  await deploy()
  const agentPort = JSON.parse(readFileSync(join(machine.run, 'agent.json'), 'utf8')).processes[0].serving
    .port
  machine.supervised = false
  machine.runner?.kill('SIGKILL')
  await until('the end of the runner', () => machine.runner?.signalCode)
  expect((await fetch(`http://127.0.0.1:${agentPort}/log?lines=100`)).ok).toBe(true)
  machine.supervised = true
  machine.startRunner()
  await until('the last line', () => machine.server.lines.some((line) => line.text === 'line 99'))
})

test('an adopted agent that crashes is started again, also while the server is away', async () => {
  await deploy()
  await killRunner()
  await machine.server.stop()
  await until('answers', answers)
  const pid = machine.agentPid()
  await machine.fetch('/crash')
  await until('another process', () => {
    try {
      return machine.agentPid() !== pid
    } catch {
      return false
    }
  })
  await until('answers', answers)
  await machine.server.start()
  // That it is healthy may also be said again for other reasons; what counts is that it follows the crash.
  await until('the recovery is told after the crash', () => {
    const reports = machine.server.reportsOf('rel_1')
    return reports.includes('crashed') && reports.lastIndexOf('healthy') > reports.indexOf('crashed')
  })
})

test('a stranger with the pid of the agent is never adopted, nor harmed', async () => {
  await deploy()
  machine.supervised = false
  machine.runner?.kill('SIGKILL')
  await until('the end of the runner', () => machine.runner?.signalCode)
  const stranger = spawn('sleep', ['600'], { detached: true })
  try {
    const file = join(machine.run, 'agent.json')
    const record = JSON.parse(readFileSync(file, 'utf8'))
    const { pid } = record.processes[0].identity
    record.processes[0].identity.pid = stranger.pid
    process.kill(pid, 'SIGKILL')
    writeFileSync(file, JSON.stringify(record))
    machine.supervised = true
    machine.startRunner()
    await machine.reported('rel_1', 'healthy', 2)
    await until('answers', answers)
    expect(machine.agentPid()).not.toBe(stranger.pid)
    expect(stranger.exitCode ?? stranger.signalCode).toBe(null)
    expect(existsSync(`/proc/${stranger.pid}`)).toBe(true)
  } finally {
    stranger.kill('SIGKILL')
  }
})

test('after a reboot the desired release runs again, by a new credential', async () => {
  await deploy()
  const home = join(machine.base, 'home', 'state.txt')
  writeFileSync(home, 'kept')
  machine.supervised = false
  process.kill(machine.agentPid(), 'SIGKILL')
  machine.runner?.kill('SIGKILL')
  await until('the end of the runner', () => machine.runner?.signalCode)
  // tmpfs is empty after a reboot; the machine's script has put a fresh token there.
  rmSync(machine.run, { recursive: true })
  mkdirSync(machine.run, { mode: 0o700 })
  machine.server.bootstrapToken = 'bootstrap-2'
  writeFileSync(join(machine.run, 'bootstrap'), 'bootstrap-2\n', { mode: 0o600 })
  machine.supervised = true
  machine.startRunner()
  await machine.reported('rel_1', 'healthy', 2)
  await until('answers', answers)
  expect(machine.server.hellos).toEqual(['bootstrap-1', 'bootstrap-2'])
  expect(readFileSync(home, 'utf8')).toBe('kept')
  expect(existsSync(join(machine.run, 'bootstrap'))).toBe(false)
})

test('a half-started release of a killed runner leaves no process behind', async () => {
  const { server } = machine
  server.desire(server.release('rel_slow', {}, { start: 'sleep 599' }))
  await machine.reported('rel_slow', 'starting')
  const record = await until('the record', () => {
    const text = existsSync(join(machine.run, 'agent.json'))
      ? readFileSync(join(machine.run, 'agent.json'), 'utf8')
      : ''
    return text.includes('"identity"') && JSON.parse(text)
  })
  const { pid } = record.processes[0].identity
  server.desire(server.release('rel_1', { 'index.js': manySided }, { start: 'node index.js' }))
  await killRunner()
  await machine.reported('rel_1', 'healthy')
  await until('the end of the half-started process', () => !existsSync(`/proc/${pid}`))
})

test('a failed release is not tried again by the next runner', async () => {
  const { server } = machine
  server.desire(server.release('rel_bad', {}, { start: 'echo once >> $HOME/tries; exit 4' }))
  await machine.reported('rel_bad', 'failed')
  await killRunner()
  await deploy('rel_good')
  expect(readFileSync(join(machine.base, 'home/tries'), 'utf8')).toBe('once\n')
})

test('the runner replaces itself by another that the server names, and the agent notices nothing', async () => {
  await deploy()
  const pid = machine.agentPid()
  const next = Buffer.from(`${readFileSync(bundle, 'utf8')}\n// Another version.\n`)
  machine.server.desireRunner(next)
  const hash = machine.server.desired.runner.sha256
  await until('a poll by the new runner', () => machine.server.polls.at(-1)?.runnerSha256 === hash)
  expect(realpathSync(join(machine.base, 'runner', 'current'))).toBe(
    join(machine.base, 'runner', `${hash}.cjs`),
  )
  await until('answers', answers)
  expect(machine.agentPid()).toBe(pid)
  expect(machine.starts).toBe(2)
})

test('a runner with a wrong hash, or one that cannot start, is not taken', async () => {
  await deploy()
  const before = realpathSync(join(machine.base, 'runner', 'current'))
  const { server } = machine
  const tampered = Buffer.from(`${readFileSync(bundle, 'utf8')}\n// Tampered with.\n`)
  server.desireRunner(Buffer.from('what was promised'))
  server.assets.set(server.desired.runner.sha256, tampered)
  await until('the refusal in its log', () =>
    machine.output.includes('the downloaded runner has another hash'),
  )
  await killRunner()
  server.desireRunner(Buffer.from('this is no program'))
  await until('the other refusal', () => machine.output.includes('Command failed'))
  expect(realpathSync(join(machine.base, 'runner', 'current'))).toBe(before)
  expect(await answers()).toBe(true)
  expect(machine.starts).toBe(2)
})

test('reports wait for a server that is away, and come in their order, without the steps that are over', async () => {
  const { server } = machine
  server.refusing.set('/v1/runner/reports', 503)
  server.desire(server.release('rel_1', { 'index.js': manySided }, { start: 'node index.js' }))
  await until('answers', answers)
  await killRunner()
  await until('answers', answers)
  server.refusing.clear()
  await machine.reported('rel_1', 'healthy')
  expect(server.reportsOf('rel_1').slice(0, 2)).toEqual(['fetching', 'healthy'])
})

test('a release comes through although the server restarts while its files travel', async () => {
  const { server } = machine
  server.refusing.set('/v1/runner/blobs', 502)
  server.desire(server.release('rel_1', { 'index.js': manySided }, { start: 'node index.js' }))
  await machine.reported('rel_1', 'fetching')
  await server.stop()
  server.refusing.clear()
  await server.start()
  await machine.reported('rel_1', 'healthy')
})

test('a server that refuses the machine leaves the agent running, and is asked again', async () => {
  const { server } = machine
  await deploy()
  server.refusing.set('/v1/runner/poll', 401)
  server.cut()
  await until('its word', () => machine.output.includes('the server refuses this machine; the agent goes on'))
  expect(await answers()).toBe(true)
  server.refusing.clear()
  server.desire(null)
  await until('the stop that was desired', async () => (await machine.fetch('/health')).status === 503)
})

test('log lines come in batches of at most 200, complete and in order', async () => {
  await deploy()
  await machine.fetch('/log?lines=1000')
  await until('the last line', () => machine.server.lines.some((line) => line.text === 'line 999'))
  const texts = machine.server.lines.filter((line) => /^line \d+$/.test(line.text)).map((line) => line.text)
  expect(texts).toEqual(Array.from({ length: 1000 }, (_, at) => `line ${at}`))
  expect(Math.max(...machine.server.batches)).toBe(200)
  const sequences = machine.server.lines.map((line) => line.sequence)
  expect(sequences).toEqual([...sequences].sort((a, b) => a - b))
})

test('while the server is away the newest 10,000 lines are kept, and a line says how many were dropped', async () => {
  await deploy()
  await until('the line of its start', () => machine.server.lines.length > 0)
  machine.server.refusing.set('/v1/runner/logs', 503)
  await machine.fetch('/log?lines=30000')
  // The agent waits for its pipe to be read, so an answer to the next request means that all was written.
  await until('answers', answers)
  machine.server.refusing.clear()
  await until('the last line', () => machine.server.lines.some((line) => line.text === 'line 29999'))
  const { lines } = machine.server
  const note = lines.find((line) => line.stream === 'platform' && line.text.includes('were dropped'))
  const dropped = Number(note?.text.split(' ')[0])
  const kept = lines.filter((line) => /^line \d+$/.test(line.text)).length
  expect(kept).toBeLessThan(11_000)
  expect(kept + dropped).toBe(30_000)
  expect(new Set(lines.map((line) => line.sequence)).size).toBe(lines.length)
})

test('SIGTERM lets the agent finish and leaves nothing running', async () => {
  const { server } = machine
  const polite = `process.on('SIGTERM', () => { console.log('good bye'); process.exit(0) });
    require('node:http').createServer((q, r) => r.end()).listen(process.env.PORT)`
  server.desire(server.release('rel_1', { 'index.js': polite }, { start: 'node index.js' }))
  await machine.reported('rel_1', 'healthy')
  const pid = machine.agentPid()
  machine.supervised = false
  machine.runner?.kill('SIGTERM')
  await until('the end of the runner', () => machine.runner?.exitCode === 0)
  expect(existsSync(`/proc/${pid}`)).toBe(false)
  expect(server.lines.some((line) => line.text === 'good bye')).toBe(true)
})

test('told to forget, it has ended the agent, and nothing secret is on tmpfs or disk, when it says so', async () => {
  const { server } = machine
  const secrets = ['sesame-of-the-agent', 'machine-token-1', server.routerCredential]
  const start = { start: 'node index.js' }
  server.desire(server.release('rel_1', { 'index.js': manySided }, start, { TOKEN: secrets[0] ?? '' }))
  await machine.reported('rel_1', 'healthy')
  const pid = machine.agentPid()
  expect(holding(machine.run, secrets)).toContain('credential.json')
  machine.supervised = false
  server.desireForgetting()
  await until('that it says so', () => server.polls.some(({ emptied }) => emptied))
  expect(existsSync(`/proc/${pid}`)).toBe(false)
  expect(readdirSync(machine.run).filter((name) => name !== 'lock')).toEqual([])
  // Its disk is what is copied.
  expect(holding(machine.base, secrets)).toEqual([])
})

/** Files of a folder that hold one of these texts. */
function holding(folder: string, texts: readonly string[]): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .filter(({ parentPath, name }) => {
      const content = readFileSync(join(parentPath, name), 'latin1')
      return texts.some((text) => content.includes(text))
    })
    .map(({ name }) => name)
}

test('a second runner takes the place of the first, and the agent notices nothing', async () => {
  await deploy()
  const pid = machine.agentPid()
  const first = machine.runner
  const polls = machine.server.polls.length
  machine.startRunner()
  await until('the end of the first', () => first?.signalCode === 'SIGKILL')
  await until('a poll of the second', () => machine.server.polls.length > polls)
  await until('answers', answers)
  expect(machine.agentPid()).toBe(pid)
  expect(machine.starts).toBe(2)
})

test('a runner whose log nobody reads any more goes on, and at rest', async () => {
  await deploy()
  const pid = machine.runner?.pid
  const writes = (): number => Number(/syscw: (\d+)/.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1])
  machine.runner?.stdout?.destroy()
  const before = writes()
  // Both its loss and its return are said.
  await machine.server.stop()
  const polls = machine.server.polls.length
  await machine.server.start()
  await until('the next poll', () => machine.server.polls.length > polls)
  await until('its agent', answers)
  // One that fails to log that it failed to log does so tens of thousands of times a second.
  expect(writes() - before).toBeLessThan(1000)
  expect(machine.runner?.pid).toBe(pid)
})

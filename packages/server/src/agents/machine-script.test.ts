import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type MachineScript, renderMachineScript } from './machine-script.ts'

const run = promisify(execFile)
const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex')

// A stand-in for Node of a few bytes: the script only asks its version and starts the runner with it.
const fakeNode = Buffer.from(`#!/bin/sh
if [ "$1" = --version ]; then echo v24.99.0; exit 0; fi
exec /bin/sh "$@"
`)
const fakeRunner = Buffer.from(`echo "started $*"; env | cut -d= -f1 | sort | tr '\\n' ' '; exec sleep 600\n`)

const assets = new Map([fakeNode, fakeRunner].map((bytes) => [sha256(bytes), bytes]))
const served: string[] = []
let spoiled: string | undefined
let refuseFirst = 0
let apiUrl: string
let folder: string
const started: ChildProcess[] = []

const server = http.createServer((request, response) => {
  const hash = request.url?.replace('/v1/runner/assets/', '') ?? ''
  served.push(hash)
  if (refuseFirst > 0) {
    refuseFirst--
    response.writeHead(503).end('busy')
    return
  }
  const bytes = assets.get(hash)
  if (!bytes) response.writeHead(404).end()
  else response.end(hash === spoiled ? Buffer.concat([bytes, Buffer.from('#')]) : bytes)
})

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  apiUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterAll(() => {
  server.close()
})

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'agentctl-script-'))
  served.length = 0
  spoiled = undefined
  refuseFirst = 0
})

afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    await ended
  }
  rmSync(folder, { recursive: true, force: true })
})

const script = (change: Partial<MachineScript> = {}): string =>
  renderMachineScript({
    apiUrl,
    bootstrapToken: 'agb_one-time.token',
    routers: ['10.8.96.5', 'fd00:8::/64'],
    port: 7070,
    node: { sha256: sha256(fakeNode), version: '24.99.0' },
    runner: { sha256: sha256(fakeRunner) },
    ...change,
  })

const base = () => join(folder, 'base')
const runFolder = () => join(folder, 'run')

interface Booted {
  child: ChildProcess
  output(): string
  until(text: string): Promise<void>
  ended(): Promise<number | null>
}

/** Runs a script as a machine without systemd does. `only` leaves it these programs and no others. */
function boot(text: string, only?: string[]): Booted {
  let body = text
  if (only) {
    const bin = join(folder, 'bin')
    rmSync(bin, { recursive: true, force: true })
    mkdirSync(bin)
    for (const name of only)
      symlinkSync(execFileSync('which', [name], { encoding: 'utf8' }).trim(), join(bin, name))
    body = text.replace(/^export PATH=.*$/m, `export PATH=${bin}`)
    expect(body).not.toBe(text)
  }
  const child = spawn('/bin/bash', ['-c', body], {
    env: { AGENTCTL_BASE: base(), AGENTCTL_RUN: runFolder(), CANARY: 'leak' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  started.push(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  }
  const exit = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  return {
    child,
    output: () => output,
    ended: () => exit,
    async until(wanted) {
      const deadline = Date.now() + 20_000
      while (!output.includes(wanted)) {
        if (Date.now() > deadline) throw new Error(`no “${wanted}” in: ${output}`)
        await delay(10)
      }
    },
  }
}

const basics = [
  'bash sh env id mkdir chmod chown printf cat rm mv ln sleep sha256sum cmp flock cut sort tr seq',
].flatMap((names) => names.split(' ').filter((name) => name !== 'printf'))

test('is a bash script that a shell can read, however it is quoted', async () => {
  const { stderr } = await run('/bin/bash', ['-n', '-c', script()])
  expect(stderr).toBe('')
  expect(script()).toMatch(/^#!\/bin\/bash\nset -eu\n/)
})

test('nothing that could end a quotation gets into it', () => {
  const nasty = "x'; rm -rf /; '"
  expect(() => script({ bootstrapToken: nasty })).toThrow('bootstrapToken cannot stand')
  expect(() => script({ bootstrapToken: nasty })).not.toThrow(/rm -rf/)
  expect(() => script({ apiUrl: `http://example.com/$(id)` })).toThrow('apiUrl cannot stand')
  expect(() => script({ apiUrl: 'file:///etc/passwd' })).toThrow('not an http address')
  expect(() => script({ runner: { sha256: '../../x' } })).toThrow('runner.sha256 cannot stand')
  expect(() => script({ routers: ['10.0.0.1', '10.0.0.2 accept; #'] })).toThrow('routers cannot stand')
  expect(() => script({ node: { sha256: sha256(''), version: '24' } })).toThrow('node.version cannot stand')
})

const branches: [name: string, programs: string[]][] = [
  ['curl', ['curl']],
  ['wget', ['wget']],
  ['bash alone', []],
]

test.for(branches)(
  'fetches Node and the runner with %s and starts the runner',
  async ([, programs], { skip }) => {
    const missing = programs.find((program) => !existsSync(`/usr/bin/${program}`))
    if (missing) skip(`${missing} is not on this machine`)
    const machine = boot(script(), [...basics, ...programs])
    await machine.until('started ')
    const node = join(base(), 'node', sha256(fakeNode), 'bin/node')
    expect(readFileSync(node)).toEqual(fakeNode)
    expect(statSync(node).mode & 0o777).toBe(0o755)
    expect(readlinkSync(join(base(), 'runner/current'))).toBe(`${sha256(fakeRunner)}.cjs`)
    expect(readFileSync(join(base(), 'runner/current'))).toEqual(fakeRunner)
    expect(machine.output()).toContain(`started --api ${apiUrl} --base ${base()} --run ${runFolder()}`)
  },
)

test('npm, when it is named, lies beside Node and is unpacked once', async () => {
  const packed = join(folder, 'packed')
  mkdirSync(join(packed, 'package/bin'), { recursive: true })
  for (const name of ['npm', 'npx']) {
    writeFileSync(join(packed, `package/bin/${name}-cli.js`), `#!/bin/sh\necho ${name} $*\n`, { mode: 0o755 })
  }
  const archive = execFileSync('tar', ['-czf', '-', '-C', packed, 'package'])
  assets.set(sha256(archive), archive)
  const change = { npm: { sha256: sha256(archive) } }
  const first = boot(script(change))
  await first.until('started ')
  const npm = join(base(), 'node', sha256(fakeNode), 'bin/npm')
  expect(execFileSync(npm, ['ci'], { encoding: 'utf8' })).toBe('npm ci\n')
  first.child.kill('SIGTERM')
  await first.ended()
  served.length = 0
  await boot(script(change)).until('started ')
  expect(served).toEqual([])
  expect(execFileSync(npm, ['ci'], { encoding: 'utf8' })).toBe('npm ci\n')
})

test('the bootstrap token is readable by its owner alone, and no file of the disk holds it', async () => {
  await boot(script()).until('started ')
  const token = join(runFolder(), 'bootstrap')
  expect(readFileSync(token, 'utf8')).toBe('agb_one-time.token\n')
  expect(statSync(token).mode & 0o777).toBe(0o600)
  expect(statSync(runFolder()).mode & 0o777).toBe(0o700)
  expect(() => execFileSync('grep', ['-r', 'agb_one-time', base()])).toThrow()
})

test('nothing of the environment of the script reaches the runner', async () => {
  const machine = boot(script())
  await machine.until('PATH')
  expect(machine.output()).toMatch(/HOME (OLDPWD )?PATH (PWD )?/)
  expect(machine.output()).not.toContain('CANARY')
})

test('a program with another hash is refused, and nothing is started', async () => {
  spoiled = sha256(fakeRunner)
  const machine = boot(script())
  expect(await machine.ended()).toBe(1)
  expect(machine.output()).toContain('has another hash')
  expect(machine.output()).not.toContain('started')
  expect(readdirSync(join(base(), 'runner'))).toEqual([])
  expect(existsSync(join(runFolder(), 'bootstrap'))).toBe(false)
})

test('an API that is not ready yet is asked again', async () => {
  refuseFirst = 2
  await boot(script()).until('started ')
  expect(served.length).toBe(4)
})

test('a second run fetches nothing, and while the first one lives it leaves the runner to it', async () => {
  await boot(script()).until('started ')
  served.length = 0
  const second = boot(script())
  expect(await second.ended()).toBe(0)
  expect(second.output()).toContain('is running already')
  expect(served).toEqual([])
})

test('a machine that was paused keeps its credential and the newer runner that it has', async () => {
  const first = boot(script())
  await first.until('started ')
  first.child.kill('SIGTERM')
  await first.ended()
  writeFileSync(join(base(), 'runner', 'newer.cjs'), 'echo "the newer one runs"; exec sleep 600\n')
  rmSync(join(base(), 'runner/current'))
  symlinkSync('newer.cjs', join(base(), 'runner/current'))
  rmSync(join(runFolder(), 'bootstrap'))
  writeFileSync(join(runFolder(), 'credential.json'), '{}')
  await boot(script()).until('the newer one runs')
  expect(existsSync(join(runFolder(), 'bootstrap'))).toBe(false)
  expect(readlinkSync(join(base(), 'runner/current'))).toBe('newer.cjs')
})

test('a machine restored from a snapshot gets the fresh token and the pinned runner, and keeps its files', async () => {
  const first = boot(script())
  await first.until('started ')
  first.child.kill('SIGTERM')
  await first.ended()
  writeFileSync(join(base(), 'home', 'state'), 'kept')
  rmSync(runFolder(), { recursive: true })
  served.length = 0
  await boot(script({ bootstrapToken: 'second' })).until('started ')
  expect(readFileSync(join(runFolder(), 'bootstrap'), 'utf8')).toBe('second\n')
  expect(readFileSync(join(base(), 'home', 'state'), 'utf8')).toBe('kept')
  expect(served).toEqual([])
})

test('the runner is started again when it ends, and ends with the script', async () => {
  const machine = boot(script())
  await machine.until('started ')
  const { pid } = machine.child
  const pidOf = () => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number)
  const [runner] = pidOf()
  if (runner) process.kill(runner, 'SIGKILL')
  const deadline = Date.now() + 10_000
  while (machine.output().split('started ').length < 3) {
    if (Date.now() > deadline) throw new Error(machine.output())
    await delay(10)
  }
  const [second] = pidOf()
  machine.child.kill('SIGTERM')
  expect(await machine.ended()).toBe(0)
  expect(second && existsSync(`/proc/${second}`) && stateOf(second) !== 'Z').toBeFalsy()
})

const stateOf = (pid: number): string | undefined => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0]
  } catch {
    return undefined
  }
}

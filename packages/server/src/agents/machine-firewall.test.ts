import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from './test-cloud.ts'
import { networkHindrance, TestNetwork } from './test-network.ts'
import { greetingScript, serveGreeting, TestSystem } from './test-system.ts'

const hindrance = networkHindrance()
const network = new TestNetwork()
const folder = mkdtempSync(join(tmpdir(), 'agentctl-test-firewall-'))
let a: TestSystem
let b: TestSystem
const running: ChildProcess[] = []

// The router's host is also the rest of the world: the API, mail servers, the provider's metadata.
const WORLD = '203.0.113.1'
const WORLD_6 = '2001:db8::1'
const METADATA = '169.254.169.254'
const PLATFORM_PORT = 5432
const world = `
import http.server, socket, threading
def greet(port):
    listener = socket.create_server(('::', port), family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        caller = listener.accept()[0]
        caller.sendall(b'hello\\n')
        caller.close()
for port in (25, 80, 443, 465, 587, ${PLATFORM_PORT}):
    threading.Thread(target=greet, args=(port,), daemon=True).start()
http.server.ThreadingHTTPServer(('${WORLD}', 8080), http.server.SimpleHTTPRequestHandler).serve_forever()
`
const script = greetingScript(`http://${WORLD}:8080`, ['10.64.0.1', 'fd00:64::1'])

beforeAll(async () => {
  if (hindrance) return
  a = new TestSystem(join(folder, 'a'), { systemd: false })
  b = new TestSystem(join(folder, 'b'), { systemd: false })
  await network.open()
  await network.attach('router', [
    ...['10.64.0.1/24', `${WORLD}/32`, `${METADATA}/32`],
    ...['fd00:64::1/64', `${WORLD_6}/128`],
  ])
  const gateways = ['10.64.0.1', 'fd00:64::1']
  await network.attach('a', ['10.64.0.11/24', 'fd00:64::11/64'], gateways)
  await network.attach('b', ['10.64.0.12/24', 'fd00:64::12/64'], gateways)
  await network.attach('neighbour', ['10.64.0.13/24', 'fd00:64::13/64'], gateways)
  serveGreeting(folder)
  start('router', ['python3', '-c', world])
  await eventually(async () => ((await network.reaches('a', WORLD, 443)) ? true : undefined))
  await Promise.all([boots('a', a), boots('b', b)])
}, 60_000)

afterAll(async () => {
  for (const child of running) {
    const ended = new Promise((resolve) => child.once('exit', resolve))
    if (child.exitCode === null && child.kill('SIGKILL')) await ended
  }
  await network.close()
  rmSync(folder, { recursive: true, force: true })
})

function start(host: string, command: string[]): { output: string } {
  const child = spawn(...network.on(host, command), { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  running.push(child)
  const printed = { output: '' }
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      printed.output += chunk
    })
  }
  return printed
}

/** Runs the machine script as root of a system of its own, until its runner serves. */
async function boots(host: string, system: TestSystem): Promise<void> {
  const printed = start(host, system.command(script))
  await eventually(async () => (printed.output.includes('greeting') ? true : undefined)).catch(() => {
    throw new Error(printed.output)
  })
}

test.skipIf(hindrance)(
  'a machine is reached by the router alone, and only at the port of its runner',
  async () => {
    for (const address of ['10.64.0.12', 'fd00:64::12']) {
      const [router, machine, neighbour, otherPort, ssh] = await Promise.all([
        network.reaches('router', address, 7070),
        network.reaches('a', address, 7070),
        network.reaches('neighbour', address, 7070),
        network.reaches('router', address, 8081),
        network.reaches('neighbour', address, 22),
      ])
      const seen = { router, machine, neighbour, otherPort, ssh }
      expect(seen, address).toEqual({
        ...{ router: true, machine: false, neighbour: false, otherPort: false, ssh: false },
      })
    }
    // It is the filter that keeps them apart: on the machine itself all of this is open.
    for (const port of [22, 7070, 8081]) expect(await network.reaches('b', '127.0.0.1', port)).toBe(true)
  },
)

test.skipIf(hindrance)(
  'an agent reaches the world, but no metadata, no mail server and no private network',
  async () => {
    const reached = async (address: string, port: number) => ({
      agent: await network.reaches('a', address, port, a.agentUid),
      root: await network.reaches('a', address, port),
    })
    const open = { agent: true, root: true }
    const closed = { agent: false, root: true }
    expect(a.agentUid).toBeGreaterThan(0)
    for (const address of [WORLD, WORLD_6]) {
      expect(await reached(address, 443)).toEqual(open)
      for (const port of [25, 465, 587])
        expect(await reached(address, port), `${address} ${port}`).toEqual(closed)
    }
    expect(await reached(METADATA, 80)).toEqual(closed)
    expect(await reached('10.64.0.1', PLATFORM_PORT)).toEqual(closed)
    expect(await reached('fd00:64::1', PLATFORM_PORT)).toEqual(closed)
    expect((await reached('127.0.0.1', 8081)).agent).toBe(true)
  },
)

test.skipIf(hindrance)(
  'a second run of the script leaves the same filter, and what is connected stays connected',
  async () => {
    const rules = () => network.run('b', ['nft', 'list', 'ruleset'])
    const before = await rules()
    const held = spawn(
      ...network.on('b', [
        'bash',
        '-c',
        `exec 3<>/dev/tcp/${WORLD}/8080; read -r go; printf 'GET /v1/ HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3`,
      ]),
      { stdio: ['pipe', 'pipe', 'inherit'] },
    )
    running.push(held)
    const again = start('b', b.command(script))
    await eventually(async () => (again.output.includes('is running already') ? true : undefined))
    expect(await rules()).toBe(before)
    const answer = new Promise<string>((resolve) =>
      held.stdout.once('data', (chunk) => resolve(String(chunk))),
    )
    held.stdin.end('go\n')
    expect(await answer).toContain('200 OK')
  },
)

test.skipIf(hindrance)('without a packet filter nothing is started', async () => {
  const bare = new TestSystem(join(folder, 'bare'), { systemd: false })
  bare.stub('nft', 'exit 1')
  const printed = start('neighbour', bare.command(script))
  await eventually(async () => (running.at(-1)?.exitCode === null ? undefined : true))
  expect(running.at(-1)?.exitCode).not.toBe(0)
  expect(printed.output).not.toContain('greeting')
})

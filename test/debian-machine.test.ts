import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { renderMachineScript } from '@agentctl/server/agents/machine-script.ts'
import { networkHindrance, TestNetwork } from '@agentctl/server/agents/test-network.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundleRunner, removeBundles, until } from '../packages/runner/test/test-machine.ts'
import { routerHeader, sha256, TestServer } from '../packages/runner/test/test-server.ts'

// The machine script on real Debian systems, booted by their own systemd, run by their own cloud-init, each in a
// network of its own. Ubuntu's archive is not asked: what is known to differ there is that it has ufw, unattended
// upgrades and needrestart from the start, each of which machine-script-system.test.ts puts before the script.
const RELEASES = ['bookworm', 'trixie'] as const
const execute = promisify(execFile)
const rootOf = (release: string) =>
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'agentctl', `debian-${release}`)
const API = '203.0.113.1:8080'
const MACHINE = '10.64.0.11'

const hindrance = networkHindrance() ?? nspawnHindrance()
const folder = mkdtempSync(join(tmpdir(), 'agentctl-test-debian-'))
const network = new TestNetwork()
const running: ChildProcess[] = []
const mounts: string[] = []
let runner: Buffer

function nspawnHindrance(): string | undefined {
  if (existsSync('/usr/bin/systemd-nspawn')) return undefined
  process.stderr.write('Skipped, for systemd-nspawn is not installed (systemd-container).\n')
  return 'no systemd-nspawn'
}

function rootHindrance(release: string): boolean {
  if (existsSync(rootOf(release))) return false
  // The second release doubles what the test costs; one of them is always tried.
  if (process.env.CI && release === 'bookworm')
    throw new Error('There is no Debian to try machine scripts on.')
  process.stderr.write(`Skipped, for there is no Debian ${release} here: test/make-debian-roots ${release}\n`)
  return true
}

beforeAll(async () => {
  if (hindrance) return
  runner = readFileSync(await bundleRunner())
  await network.open()
  await network.attach('router', ['10.64.0.1/24', '203.0.113.1/32'])
  await network.attach('neighbour', ['10.64.0.13/24'], ['10.64.0.1'])
  const relay = `
import socket, threading
def pipe(source, sink):
    try:
        while part := source.recv(65536): sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)
    except OSError: pass
listener = socket.create_server(('203.0.113.1', 8080))
while True:
    near = listener.accept()[0]
    far = socket.socket(socket.AF_UNIX)
    far.connect('${join(folder, 'api')}')
    for ends in ((near, far), (far, near)): threading.Thread(target=pipe, args=ends, daemon=True).start()
`
  running.push(spawn(...network.on('router', ['python3', '-c', relay]), { stdio: 'inherit' }))
}, 60_000)

afterAll(async () => {
  for (const child of running) await end(child, 'SIGKILL')
  await network.close()
  for (const mount of mounts.reverse()) await execute('umount', [mount])
  rmSync(folder, { recursive: true, force: true })
  removeBundles()
})

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill(signal)
  await ended
}

/** The machine's server, at an address of the machine's own network. */
async function serve(server: TestServer): Promise<() => Promise<void>> {
  await server.start()
  server.listenAddress = MACHINE
  const port = Number(new URL(server.url).port)
  const relay = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    near.pipe(far).pipe(near)
    for (const side of [near, far]) side.on('error', () => [near, far].map((one) => one.destroy()))
  })
  rmSync(join(folder, 'api'), { force: true })
  await new Promise<void>((resolve) => relay.listen(join(folder, 'api'), resolve))
  return async () => {
    await server.stop()
    await new Promise((resolve) => relay.close(resolve))
  }
}

/** The release's system with a layer of its own on top, so that the root itself stays as it is. */
async function disk(release: string): Promise<{ root: string; layer: string }> {
  const place = join(folder, release)
  mkdirSync(place)
  // A layer may not lie on another overlay, as a container's disk is one.
  await execute('mount', ['-t', 'tmpfs', 'tmpfs', place])
  mounts.push(place)
  const [layer, work, root] = ['layer', 'work', 'root'].map((name) => join(place, name)) as [
    string,
    string,
    string,
  ]
  for (const path of [layer, work, root]) mkdirSync(path)
  const options = `lowerdir=${rootOf(release)},upperdir=${layer},workdir=${work}`
  await execute('mount', ['-t', 'overlay', 'overlay', '-o', options, root])
  mounts.push(root)
  writeFileSync(join(root, 'etc/resolv.conf'), 'nameserver 127.0.0.1\n')
  return { root, layer }
}

/** Boots it as a provider does, who hands the script to cloud-init; another instance is a restored snapshot. */
function boot(
  root: string,
  namespace: string,
  { instance, script }: { instance: string; script: string },
): ChildProcess {
  const seed = join(root, 'var/lib/cloud/seed/nocloud')
  mkdirSync(seed, { recursive: true })
  writeFileSync(join(seed, 'meta-data'), `instance-id: ${instance}\n`)
  writeFileSync(join(seed, 'user-data'), script)
  mkdirSync(join(root, 'etc/cloud/cloud.cfg.d'), { recursive: true })
  writeFileSync(
    join(root, 'etc/cloud/cloud.cfg.d/10-test.cfg'),
    'datasource_list: [NoCloud]\nnetwork: {config: disabled}\n',
  )
  const machine = spawn(
    'systemd-nspawn',
    [
      ...[
        '--quiet',
        '--register=no',
        '--keep-unit',
        '--resolv-conf=off',
        '--boot',
        '--console=pipe',
        '--capability=CAP_NET_ADMIN',
      ],
      // Newer releases refuse the control groups of older hosts unless told.
      ...[
        '--setenv=SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1',
        `--network-namespace-path=/run/netns/${namespace}`,
      ],
      ...['--directory', root],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  for (const stream of [machine.stdout, machine.stderr])
    stream.on('data', (chunk) => process.env.DEBUG_BOOT && process.stderr.write(chunk))
  running.push(machine)
  return machine
}

const agent = `
const http = require('node:http'), fs = require('node:fs'), { execSync } = require('node:child_process')
const file = process.env.HOME + '/boots'
fs.appendFileSync(file, 'x')
http.createServer((_, response) => response.end(JSON.stringify({
  uid: process.getuid(),
  boots: fs.readFileSync(file, 'utf8').length,
  noNewPrivileges: /NoNewPrivs:\\s+1/.test(fs.readFileSync('/proc/self/status', 'utf8')),
  npm: execSync('npm --version', { encoding: 'utf8' }).trim(),
  python: execSync('.venv/bin/python -c "print(6 * 7)"', { encoding: 'utf8' }).trim(),
}))).listen(process.env.PORT)
`
const lock = { name: 'agent', lockfileVersion: 3, packages: { '': { name: 'agent' } } }

test.for(RELEASES)(
  'a stock Debian %s becomes the machine of an agent',
  { timeout: 240_000 },
  async (release, { skip }) => {
    if (hindrance || rootHindrance(release)) return skip('see above')
    const server = new TestServer()
    const stop = await serve(server)
    const node = readFileSync(process.execPath)
    const npm = readFileSync(join(import.meta.dirname, '../packages/runner/dist/npm.tgz'))
    for (const asset of [node, runner, npm]) server.assets.set(sha256(asset), asset)
    server.desired.runner = { sha256: sha256(runner) }
    server.desire(
      server.release(
        'rel_1',
        { 'index.js': agent, 'package.json': '{"name":"agent"}', 'package-lock.json': JSON.stringify(lock) },
        {
          install: 'npm ci && python3 -m venv .venv',
          start: 'node index.js',
          health: { path: '/', timeoutSeconds: 60 },
        },
        { TOKEN: 'sesame-of-the-agent' },
      ),
    )
    const script = (bootstrapToken: string) =>
      renderMachineScript({
        apiUrl: `http://${API}`,
        bootstrapToken,
        routers: ['10.64.0.1'],
        port: 7070,
        node: { sha256: sha256(node), version: process.versions.node },
        runner: { sha256: sha256(runner) },
        npm: { sha256: sha256(npm) },
      })
    const host = `m-${release}`
    const namespace = await network.attach(host, [`${MACHINE}/24`], ['10.64.0.1'])
    const { root, layer } = await disk(release)
    // What is asked while the runner comes up is asked again.
    const answer = () =>
      until('an answer of the agent', async () => {
        const header = Object.entries(routerHeader(server)).map(([name, value]) => `${name}: ${value}`)
        const asked = [
          'curl',
          '--silent',
          '--max-time',
          '5',
          '--header',
          header.join(),
          `http://${MACHINE}:7070/`,
        ]
        const told = JSON.parse(await network.run('router', asked).catch(() => '{}'))
        return typeof told.boots === 'number' ? told : undefined
      })
    const runnerPid = async () => {
      const pids = (await execute('ip', ['netns', 'pids', namespace])).stdout.trim().split('\n').map(Number)
      return pids.find((pid) => commandOf(pid).includes('/runner/current'))
    }

    const first = boot(root, namespace, { instance: 'one', script: script(server.bootstrapToken) })
    await until('the first release', () => server.reportsOf('rel_1').includes('healthy'), 150)
    const uid = Number(/^agent:x:(\d+):/m.exec(readFileSync(join(root, 'etc/passwd'), 'utf8'))?.[1])
    expect(await answer()).toEqual({
      ...{ uid, boots: 1, noNewPrivileges: true, npm: expect.stringMatching(/^11\./), python: '42' },
    })
    expect(uid).toBeGreaterThan(0)
    expect(await network.run(host, ['nft', 'list', 'ruleset'])).toContain('policy drop')
    const shut = network.run('neighbour', ['curl', '--silent', '--max-time', '1', `http://${MACHINE}:7070/`])
    await expect(shut).rejects.toThrow()

    // Whoever kills the runner finds it started again, and the agent untouched.
    const before = await runnerPid()
    process.kill(before ?? 0, 'SIGKILL')
    await until('another runner', async () => {
      const now = await runnerPid()
      return now !== undefined && now !== before
    })
    expect(await answer()).toMatchObject({ boots: 1 })

    await until('the upkeep', () => existsSync(join(root, 'etc/apt/apt.conf.d/52agentctl')), 120)
    expect(existsSync(join(root, 'usr/bin/unattended-upgrade'))).toBe(true)
    const periodic = await execute('chroot', [root, 'apt-config', 'dump', 'APT::Periodic'])
    expect(periodic.stdout).toContain('Unattended-Upgrade "1"')
    await execute('chroot', [root, 'logrotate', '--debug', '/etc/logrotate.conf'])

    // Restored from a snapshot: the files are there, nothing secret is, and a fresh token makes a fresh credential.
    await end(first, 'SIGTERM')
    for (const secret of ['machine-token-1', server.routerCredential, 'sesame-of-the-agent']) {
      await expect(
        execute('grep', ['-r', '--binary-files=text', '-l', secret, layer]),
        secret,
      ).rejects.toThrow()
    }
    server.bootstrapToken = 'bootstrap-2'
    const second = boot(root, namespace, { instance: 'two', script: script('bootstrap-2') })
    await until('the restored machine', () => server.hellos.includes('bootstrap-2'), 120)
    await until('its agent', async () => (await answer().catch(() => ({}))).boots === 2, 60)
    await end(second, 'SIGTERM')
    expect(server.violations).toEqual([])
    await stop()
  },
)

const commandOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

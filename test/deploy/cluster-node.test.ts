import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { networkHindrance, TestNetwork } from '@agentctl/server/agents/test-network.ts'
import { expect, test } from 'vitest'
import { parse } from 'yaml'

const script = join(import.meta.dirname, '../../deploy/k3s/machines/cluster-node.sh')
const settings = {
  K3S_VERSION: 'v1.34.2+k3s1',
  K3S_SHA256: 'a'.repeat(64),
  K3S_TOKEN: 'b'.repeat(64),
}
const joining = { ...settings, K3S_URL: 'https://10.64.0.3:6443' }
const run = (role: string, environment: Record<string, string>) =>
  spawnSync('bash', [script, role], { encoding: 'utf8', env: { PATH: process.env.PATH, ...environment } })

function filesOf(role: string, environment: Record<string, string>): Map<string, string> {
  const { stdout, status } = run(role, environment)
  expect(status).toBe(0)
  const { write_files } = parse(stdout) as { write_files: { path: string; content: string }[] }
  return new Map(write_files.map(({ path, content }) => [path, content]))
}

test('the first server makes a cluster, others join it, and all speak over the private network', () => {
  const configOf = (role: string, environment: Record<string, string>) =>
    parse(filesOf(role, environment).get('/etc/rancher/k3s/config.yaml') ?? '')
  expect(configOf('server', settings)).toMatchObject({
    'cluster-init': true,
    'node-ip': 'ADDRESS',
    'bind-address': 'ADDRESS',
    'flannel-iface': 'PRIVATE',
    'flannel-backend': 'wireguard-native',
    'secrets-encryption': true,
  })
  const second = configOf('server', joining)
  expect(second).toMatchObject({ server: joining.K3S_URL })
  expect(second).not.toHaveProperty('cluster-init')
  expect(configOf('agent', joining)).toEqual({
    token: settings.K3S_TOKEN,
    server: joining.K3S_URL,
    'node-ip': 'ADDRESS',
    'flannel-iface': 'PRIVATE',
    'kubelet-arg': ['container-log-max-size=10Mi', 'container-log-max-files=5'],
  })
})

test('what is missing or is no version, hash, token or private address is refused', () => {
  for (const [role, environment] of [
    ['', settings],
    ['master', settings],
    ['agent', settings],
    ['server', { ...settings, K3S_VERSION: 'latest' }],
    ['server', { ...settings, K3S_SHA256: '' }],
    ['server', { ...settings, K3S_TOKEN: 'short' }],
    ['agent', { ...settings, K3S_URL: 'https://203.0.113.1:6443' }],
    ['server', { ...settings, K3S_TOKEN: `${'b'.repeat(32)}'; rm -rf /` }],
  ] as const) {
    const { status, stdout, stderr } = run(role, environment)
    expect([status, stdout], stderr).toEqual([2, ''])
    expect(stderr).toMatch(/^error: (Set|Say)/)
  }
})

test('programs on the machine are whole, and a K3s with another hash is not run', () => {
  const files = filesOf('server', settings)
  const join = files.get('/usr/local/sbin/join-cluster') ?? ''
  execFileSync('bash', ['-n'], { input: join })
  const checked = join.indexOf(`echo '${settings.K3S_SHA256}  /usr/local/bin/k3s.new' | sha256sum -c`)
  expect(checked).toBeGreaterThan(join.indexOf('curl'))
  expect(checked).toBeLessThan(join.indexOf('mv /usr/local/bin/k3s.new'))
  expect(join).toContain('releases/download/v1.34.2%2Bk3s1/k3s')
  expect(files.get('/etc/nftables.conf')).toMatch(/tcp dport 443 accept[\s\S]*iifname "PUBLIC" drop/)
})

test('no line of a pod stays on a machine for 90 days, however little the pod says', () => {
  const folder = mkdtempSync(join(tmpdir(), 'agentctl-pods-'))
  const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000)
  const line = (days: number) => `${daysAgo(days).toISOString()} stderr F {"msg":"a line"}\n`
  const program = filesOf('agent', joining).get('/usr/local/sbin/end-old-logs') ?? ''
  const end = () => execFileSync('bash', ['-s', folder], { input: program })
  try {
    const quiet = line(32) + line(1)
    writeFileSync(join(folder, 'quiet.log'), quiet)
    writeFileSync(join(folder, 'busy.log'), line(2))
    writeFileSync(join(folder, 'empty.log'), '')
    writeFileSync(join(folder, 'quiet.log.20260101-000000'), line(70))
    utimesSync(join(folder, 'quiet.log.20260101-000000'), daysAgo(32), daysAgo(32))
    end()
    expect(readFileSync(join(folder, 'quiet.log'), 'utf8')).toBe('')
    expect(readFileSync(join(folder, 'busy.log'), 'utf8')).toContain('a line')
    const ended = readdirSync(folder).filter((name) => /^quiet\.log\./.test(name))
    expect(ended).toEqual([expect.stringMatching(/^quiet\.log\.\d{8}-\d{6}$/)])
    expect(readFileSync(join(folder, ended[0] ?? ''), 'utf8')).toBe(quiet)
    utimesSync(join(folder, ended[0] ?? ''), daysAgo(32), daysAgo(32))
    end()
    expect(readdirSync(folder).sort()).toEqual(['busy.log', 'empty.log', 'quiet.log'])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test.skipIf(networkHindrance())(
  'a node takes HTTPS from Cloudflare alone, and what machines of agents ask for is not Traefik',
  async () => {
    const network = new TestNetwork()
    try {
      await network.open()
      await network.attach('node', ['10.64.0.3/20', '203.0.113.3/24', '173.245.48.1/20'])
      await network.attach('machine', ['10.64.0.9/20'])
      await network.attach('stranger', ['203.0.113.9/24'])
      await network.attach('cloudflare', ['173.245.48.9/20'])
      const rules = filesOf('server', settings).get('/etc/nftables.conf') ?? ''
      const ways: Record<string, [from: string, address: string, port: number]> = {
        cloudflare: ['cloudflare', '173.245.48.1', 443],
        stranger: ['stranger', '203.0.113.3', 443],
        machine: ['machine', '10.64.0.3', 443],
        nodePort: ['machine', '10.64.0.3', 31443],
        kubernetes: ['machine', '10.64.0.3', 6443],
      }
      const reached = async () =>
        Object.fromEntries(
          await Promise.all(
            Object.entries(ways).map(async ([name, way]) => [name, await network.reaches(...way)]),
          ),
        )
      const greet = `
import socket, threading
def greet(port):
    listener = socket.create_server(('0.0.0.0', port))
    while True: listener.accept()[0].sendall(b'hello\\n')
for port in (443, 31443, 6443): threading.Thread(target=greet, args=(port,)).start()`
      const listening = spawn(...network.on('node', ['python3', '-c', greet]))
      try {
        await expect.poll(() => network.reaches('machine', '10.64.0.3', 443)).toBe(true)
        // Here both sides are one interface, so the rules of the public side are tried first and then taken away.
        const load = (text: string) =>
          network.run('node', ['bash', '-c', `nft -f - <<'RULES'\n${text}\nRULES`])
        await load(rules.replaceAll('"PUBLIC"', '"eth0"'))
        expect(await reached()).toMatchObject({ cloudflare: true, stranger: false })
        await load(rules.replaceAll('"PUBLIC"', '"elsewhere"'))
        expect(await reached()).toMatchObject({ machine: false, nodePort: false, kubernetes: true })
      } finally {
        listening.kill('SIGKILL')
      }
    } finally {
      await network.close()
    }
  },
)

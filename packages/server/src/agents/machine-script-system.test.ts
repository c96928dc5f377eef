import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { networkHindrance, TestNetwork } from './test-network.ts'
import { greetingScript, serveGreeting, TestSystem } from './test-system.ts'

const execute = promisify(execFile)
const hindrance = networkHindrance()
const network = new TestNetwork()
const folder = mkdtempSync(join(tmpdir(), 'agentctl-test-system-'))

beforeAll(async () => {
  if (hindrance) return
  await network.open()
  await network.attach('machine', [])
  serveGreeting(folder)
})

afterAll(async () => {
  await network.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Runs the script in a network of its own, where its API is a folder on loopback. */
async function boot(system: TestSystem): Promise<string> {
  const api = 'python3 -m http.server --bind 127.0.0.1 8080 >/dev/null 2>&1 & trap "kill $!" EXIT'
  const script = greetingScript('http://127.0.0.1:8080', ['10.8.96.5'])
  const [command, args] = network.on('machine', [
    'bash',
    '-c',
    `${api}; "$@"`,
    'boot',
    ...system.command(script),
  ])
  const { stdout } = await execute(command, args, { cwd: folder })
  return stdout
}

test.skipIf(hindrance)('as root with systemd the system becomes the machine of an agent', async () => {
  const system = new TestSystem(join(folder, 'machine'), { systemd: true })
  const printed = await boot(system)
  expect(printed).toContain('in the hands of systemd')
  expect(printed).toContain('ufw filters here no more')
  const user = /^agent:.*$/m.exec(system.read('etc/passwd'))?.[0]
  expect(user).toMatch(/^agent:x:\d+:\d+::\/opt\/agentctl\/home:\/usr\/sbin\/nologin$/)
  expect(statSync(join(system.folder, 'opt/agentctl/home')).uid).toBe(system.agentUid)
  expect(statSync(join(system.folder, 'opt/agentctl/runner')).uid).toBe(0)
  const unit = system.read('etc/systemd/system/agentctl-runner.service')
  expect(unit.replaceAll(/[0-9a-f]{64}/g, 'HASH')).toMatchInlineSnapshot(`
    "[Unit]
    Description=agentctl runner
    Requires=agentctl-firewall.service
    Wants=network-online.target
    After=agentctl-firewall.service network-online.target
    StartLimitIntervalSec=0

    [Service]
    ExecStart=/opt/agentctl/node/HASH/bin/node /opt/agentctl/runner/current --api http://127.0.0.1:8080 --base /opt/agentctl --run /run/agentctl
    Restart=always
    RestartSec=100ms
    # The agent outlives the runner: the next runner adopts it.
    KillMode=process
    TimeoutStopSec=75
    # Also for the agent, which inherits them: no program makes it somebody else, and its memory is not left on the disk.
    NoNewPrivileges=yes
    LimitCORE=0
    LimitNOFILE=1048576
    UMask=0022

    [Install]
    WantedBy=multi-user.target
    "
  `)
  expect(system.read('etc/systemd/system/agentctl-firewall.service')).toMatchInlineSnapshot(`
    "[Unit]
    Description=agentctl packet filter
    DefaultDependencies=no
    Wants=network-pre.target
    Before=network-pre.target shutdown.target
    Conflicts=shutdown.target
    After=local-fs.target

    [Service]
    Type=oneshot
    RemainAfterExit=yes
    ExecStart=/usr/sbin/nft --file /etc/agentctl/firewall.nft

    [Install]
    WantedBy=sysinit.target
    "
  `)
  const calls = system.calls.filter((call) => call.startsWith('systemctl') && !call.includes('is-enabled'))
  expect(calls).toMatchInlineSnapshot(`
    [
      "systemctl mask --quiet swap.target",
      "systemctl disable --quiet --now ufw.service",
      "systemctl daemon-reload",
      "systemctl enable --quiet agentctl-firewall.service",
      "systemctl daemon-reload",
      "systemctl enable --quiet agentctl-runner.service",
      "systemctl start --no-block agentctl-runner.service",
      "systemctl restart systemd-journald.service",
    ]
  `)
  expect(system.read('etc/cloud/cloud.cfg.d/99-agentctl.cfg')).toMatchInlineSnapshot(`
    "cloud_final_modules:
      - [scripts-user, always]
    "
  `)
  expect(system.read('etc/systemd/journald.conf.d/agentctl.conf')).toMatchInlineSnapshot(`
    "[Journal]
    SystemMaxUse=200M
    RuntimeMaxUse=32M
    MaxRetentionSec=7day
    "
  `)
  expect(system.read('etc/apt/apt.conf.d/52agentctl')).toMatchInlineSnapshot(`
    "APT::Periodic::Update-Package-Lists "1";
    APT::Periodic::Unattended-Upgrade "1";
    APT::Periodic::AutocleanInterval "7";
    Unattended-Upgrade::Automatic-Reboot "false";
    "
  `)
  expect(system.read('etc/logrotate.d/agentctl')).toContain('/var/log/cloud-init-output.log')

  const before = system.calls.length
  await boot(system)
  const later = system.calls.slice(before).filter((call) => /daemon-reload|disable|restart/.test(call))
  expect(later).toEqual([])
})

test.skipIf(hindrance)('what the image has not is installed, and without it all else goes on', async () => {
  const system = new TestSystem(join(folder, 'bare'), { systemd: true })
  system.stub('python3', 'exit 1')
  system.stub('sleep')
  system.stub('apt-get', 'case "$*" in *install*) exit 1 ;; esac')
  const printed = await boot(system)
  expect(printed).toContain('warning: these could not be installed: python3 python3-venv')
  expect(printed).toContain('in the hands of systemd')
  expect(system.calls.filter((call) => call.includes('install'))[0]).toMatch(
    /--no-install-recommends install python3 python3-venv$/,
  )
})

test.skipIf(hindrance)(
  'what Ubuntu has from the start stays as it is, and does not restart the runner',
  async () => {
    const system = new TestSystem(join(folder, 'ubuntu'), { systemd: true })
    for (const name of ['python3', 'unattended-upgrade', 'logrotate']) system.stub(name)
    mkdirSync(join(system.folder, 'etc/needrestart/conf.d'), { recursive: true })
    writeFileSync(join(system.folder, 'etc/logrotate.d/cloud-init'), '/var/log/cloud-init*.log {\n}\n')
    await boot(system)
    expect(system.calls.filter((call) => call.startsWith('apt-get'))).toEqual([])
    expect(existsSync(join(system.folder, 'etc/logrotate.d/agentctl'))).toBe(false)
    expect(system.read('etc/needrestart/conf.d/agentctl.conf')).toMatchInlineSnapshot(`
    "$nrconf{override_rc}{qr(^agentctl-runner\\.service$)} = 0;
    "
  `)
  },
)

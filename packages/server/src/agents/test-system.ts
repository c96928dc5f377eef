import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { renderMachineScript } from './machine-script.ts'

const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex')

/** A stand-in for Node of a few bytes, and a runner that greets whoever connects. */
export const greetingNode = Buffer.from(`#!/bin/sh
if [ "$1" = --version ]; then echo v24.99.0; exit 0; fi
exec python3 "$@"
`)
export const greetingRunner = Buffer.from(`import socket, threading
def greet(port):
    listener = socket.create_server(('::', port), family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        caller = listener.accept()[0]
        caller.sendall(b'hello\\n')
        caller.close()
for port in (22, 7070, 8081):
    threading.Thread(target=greet, args=(port,)).start()
print('greeting', flush=True)
`)

export const greetingScript = (apiUrl: string, routers: readonly string[]): string =>
  renderMachineScript({
    apiUrl,
    bootstrapToken: 'one-time',
    routers,
    port: 7070,
    node: { sha256: sha256(greetingNode), version: '24.99.0' },
    runner: { sha256: sha256(greetingRunner) },
  })

/** Writes what machines fetch into a folder, as the API would serve it. */
export function serveGreeting(folder: string): void {
  mkdirSync(join(folder, 'v1/runner/assets'), { recursive: true })
  for (const asset of [greetingNode, greetingRunner])
    writeFileSync(join(folder, 'v1/runner/assets', sha256(asset)), asset)
}

const USERS = ['passwd', 'group', 'shadow', 'gshadow'] as const

/**
 * A system that a machine script may own: this host's programs, an /etc, /opt and /run of its own, and stubs in the
 * place of what would reach beyond it. It has systemd only if asked for, and then one that writes down what it is told.
 */
export class TestSystem {
  readonly folder: string

  constructor(folder: string, { systemd }: { systemd: boolean }) {
    this.folder = folder
    for (const name of [
      'opt',
      'run',
      'log',
      'stubs',
      'etc/apt/apt.conf.d',
      'etc/cloud/cloud.cfg.d',
      'etc/logrotate.d',
    ])
      mkdirSync(join(folder, name), { recursive: true })
    mkdirSync(join(folder, 'etc/systemd/system'), { recursive: true })
    if (systemd) mkdirSync(join(folder, 'run/systemd/system'), { recursive: true })
    for (const name of [...USERS, 'login.defs', 'nsswitch.conf', 'ld.so.cache']) {
      if (existsSync(`/etc/${name}`)) writeFileSync(join(folder, 'etc', name), readFileSync(`/etc/${name}`))
    }
    for (const name of USERS) {
      const path = join(folder, 'etc', name)
      if (!existsSync(path)) continue
      const lines = readFileSync(path, 'utf8').split('\n')
      writeFileSync(path, lines.filter((line) => !line.startsWith('agent:')).join('\n'))
    }
    // ufw is on in the images that the provider has; the others are not.
    this.stub(
      'systemctl',
      '[ "$1" != is-enabled ] || { [ "$3" = ufw.service ] && [ ! -e /opt/ufw-off ]; exit; }',
    )
    this.stub('apt-get')
    this.stub('swapoff')
  }

  /** The command that runs a script as the root of that system; may be prefixed with the network it is in. */
  command(script: string): string[] {
    return [
      'bwrap',
      ...['/usr', '/bin', '/lib', '/lib64', '/sbin'].flatMap((path) => ['--ro-bind-try', path, path]),
      ...['etc', 'opt', 'run'].flatMap((name) => ['--bind', join(this.folder, name), `/${name}`]),
      ...['--ro-bind', join(this.folder, 'stubs'), '/usr/local/sbin'],
      ...['--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp', '--unshare-pid', '--die-with-parent'],
      ...['--cap-drop', 'CAP_SYS_ADMIN', '--clearenv', '/bin/bash', '-c', script],
    ]
  }

  read(path: string): string {
    return readFileSync(join(this.folder, path), 'utf8')
  }

  /** What the stubs were told, one line a call. */
  get calls(): string[] {
    return this.read('opt/calls').trim().split('\n')
  }

  get agentUid(): number {
    return Number(/^agent:x:(\d+):/m.exec(this.read('etc/passwd'))?.[1])
  }

  stub(name: string, also = ''): void {
    const path = join(this.folder, 'stubs', name)
    const remember = `case "$*" in *disable*ufw*) : >/opt/ufw-off ;; esac`
    writeFileSync(path, `#!/bin/sh\necho "${name} $*" >>/opt/calls\n${remember}\n${also}\n`)
    chmodSync(path, 0o755)
  }
}

import { spawn, spawnSync } from 'node:child_process'
import {
  chownSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  realpathSync,
} from 'node:fs'
import { join } from 'node:path'
import { identifyProcess, isRunning, type ProcessIdentity, signal } from '../process-identity.ts'
import { endProcessesOf } from '../stray-processes.ts'
import { findUser, type UnixUser } from '../unprivileged-user.ts'
import { waitUntil } from '../wait-until.ts'

/** Folders of a machine that are its disk; the rest of its file system is the host's, read-only. */
const DISK_FOLDERS = ['opt', 'var', 'home', 'root', 'srv', 'tmp']

/** Enough to find everything that runs for a machine, also in a later start of the local cloud. */
export interface MachineProcess {
  /** The leader of the process group that we started. */
  leader: ProcessIdentity
  /** In a sandbox, its first process: with that one, the kernel ends all others. */
  init: ProcessIdentity | null
}

export interface MachineFolders {
  disk: string
  /** What the machine sees as /run: kept while the host is only paused, emptied at every boot. */
  run: string
}

export interface RunningMachine {
  process: MachineProcess
  /** Resolves when nothing of the machine runs any more. */
  ended: Promise<void>
}

export interface Sandbox {
  kind: 'bubblewrap' | 'none'
  /** Whom the files on a machine's disk must belong to; undefined: ourselves. */
  owner: UnixUser | undefined
  start(machine: {
    folders: MachineFolders
    hostname: string
    script: string
    consoleFile: string
  }): Promise<RunningMachine>
  /** Ends all that runs for the machine, also what was started without our having kept its number. */
  end(process: MachineProcess | null, folders: MachineFolders): Promise<void>
}

/** The user data is a program as for cloud-init; when it has ended, the machine goes on with whatever it left running. */
const BOOT = '"$1"; echo "user data ended with exit code $?"; while :; do sleep 86400; done'

/** Makes the folders of a new, empty disk. */
export function makeDisk(disk: string, owner: UnixUser | undefined): void {
  for (const folder of ['', ...DISK_FOLDERS]) {
    mkdirSync(join(disk, folder), { recursive: true, mode: folder === 'tmp' ? 0o1777 : 0o755 })
    if (owner) chownSync(join(disk, folder), owner.uid, owner.gid)
  }
}

/** Chooses by trying: where a sandbox cannot be had, machines are plain processes, and that is said. */
export function chooseSandbox(wanted: 'auto' | 'none', log: (line: string) => void): Sandbox {
  if (wanted === 'none') {
    log('WARNING: machines run as plain processes, without a sandbox, because that was asked for')
    return plainSandbox()
  }
  const owner = process.getuid?.() === 0 ? findUser(['nobody']) : undefined
  const tried = spawnSync(
    'bwrap',
    [...sandboxArguments(owner, 'probe', []), '/bin/bash', '-c', 'test $$ -lt 100'],
    {
      encoding: 'utf8',
    },
  )
  if (tried.status === 0) return bubblewrap(owner)
  const reason = tried.error ? 'bubblewrap is not installed' : tried.stderr.trim().split('\n').at(-1)
  log(
    `WARNING: machines run as plain processes: they can see this machine's files and processes (${reason}). ` +
      'Install bubblewrap to keep them apart.',
  )
  return plainSandbox()
}

function bubblewrap(owner: UnixUser | undefined): Sandbox {
  return {
    kind: 'bubblewrap',
    owner,
    start: async ({ folders, hostname, consoleFile }) => {
      const mounts = [
        ...DISK_FOLDERS.flatMap((folder) => ['--bind', join(folders.disk, folder), `/${folder}`]),
        ...['--bind', folders.run, '/run'],
        ...resolverMount(),
      ]
      const output = openSync(consoleFile, 'a', 0o600)
      const child = spawn(
        'bwrap',
        [
          ...['--info-fd', '3'],
          ...sandboxArguments(owner, hostname, mounts),
          ...['/bin/bash', '-c', BOOT, 'boot', '/run/cloud-init/user-data'],
        ],
        { detached: true, cwd: '/', stdio: ['ignore', output, output, 'pipe'] },
      )
      closeSync(output)
      const ended = new Promise<void>((resolve) => {
        child.once('exit', () => resolve())
        child.once('error', () => resolve())
      })
      const leader = child.pid === undefined ? undefined : identifyProcess(child.pid)
      const told = await firstText(child.stdio[3])
      const init = identifyProcess(Number(/"child-pid":\s*(\d+)/.exec(told)?.[1]))
      if (!leader) throw new Error('bwrap ended at once; see the console of the machine.')
      return { process: { leader, init: init ?? null }, ended }
    },
    end: async (machine) => {
      if (!machine) return
      const { leader, init } = machine
      // The kernel ends all of a sandbox's processes with its first, before that one counts as gone.
      const processes = [...(init ? [init] : []), leader]
      for (const process of processes) if (isRunning(process)) signal(process.pid, 'SIGKILL')
      await gone(processes)
    },
  }
}

/** Read-only system, own process numbers, nobody's rights, and dead as soon as we are dead. */
function sandboxArguments(owner: UnixUser | undefined, hostname: string, mounts: string[]): string[] {
  const system = ['/usr', '/etc', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32']
  return [
    ...['--die-with-parent', '--unshare-pid', '--unshare-ipc', '--unshare-uts', '--hostname', hostname],
    ...system
      .filter((path) => existsSync(path))
      .flatMap((path) =>
        lstatSync(path).isSymbolicLink()
          ? ['--symlink', readlinkSync(path), path]
          : ['--ro-bind', path, path],
      ),
    ...['--proc', '/proc', '--dev', '/dev', ...mounts],
    ...['--clearenv', '--setenv', 'HOME', '/root', '--setenv', 'LANG', 'C.UTF-8', '--setenv', 'PATH'],
    '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    ...['--chdir', '/'],
    // Started by root, a machine would otherwise read everything in /etc that only root may read.
    ...(owner
      ? [
          ...['setpriv', '--reuid', String(owner.uid), '--regid', String(owner.gid), '--clear-groups'],
          ...['--no-new-privs', '--bounding-set', '-all', '--inh-caps', '-all', '--'],
        ]
      : []),
  ]
}

/** Name resolution is often a link into the host's /run, which the machine does not see. */
function resolverMount(): string[] {
  try {
    const real = realpathSync('/etc/resolv.conf')
    return real.startsWith('/run/') ? ['--ro-bind', real, real] : []
  } catch {
    return []
  }
}

function plainSandbox(): Sandbox {
  return {
    kind: 'none',
    owner: undefined,
    start: async ({ folders, consoleFile, script }) => {
      const output = openSync(consoleFile, 'a', 0o600)
      const child = spawn('/bin/bash', ['-c', BOOT, 'boot', script], {
        detached: true,
        cwd: join(folders.disk, 'root'),
        env: {
          PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
          LANG: 'C.UTF-8',
          HOME: join(folders.disk, 'root'),
          TMPDIR: join(folders.disk, 'tmp'),
          AGENTCTL_BASE: join(folders.disk, 'opt', 'agentctl'),
          AGENTCTL_RUN: join(folders.run, 'agentctl'),
        },
        stdio: ['ignore', output, output],
      })
      closeSync(output)
      const ended = new Promise<void>((resolve) => {
        child.once('exit', () => resolve())
        child.once('error', () => resolve())
      })
      const leader = child.pid === undefined ? undefined : identifyProcess(child.pid)
      if (!leader) throw new Error('The machine ended at once; see its console.')
      return { process: { leader, init: null }, ended }
    },
    end: async (machine, folders) => {
      if (machine && isRunning(machine.leader)) signal(-machine.leader.pid, 'SIGKILL')
      if (machine) await gone([machine.leader])
      // Whatever left the process group still carries the machine's folders in its environment.
      await endProcessesOf(folders.disk)
    },
  }
}

async function gone(processes: ProcessIdentity[]): Promise<void> {
  const areGone = await waitUntil(() => !processes.some(isRunning), { withinMs: 10_000, everyMs: 2 })
  if (!areGone)
    throw new Error(`Processes ${processes.map((one) => one.pid).join(', ')} of a machine do not end.`)
}

function firstText(stream: unknown): Promise<string> {
  return new Promise((resolve) => {
    if (!(stream instanceof Object) || !('once' in stream) || typeof stream.once !== 'function')
      return resolve('')
    stream.once('data', (part: Buffer) => resolve(part.toString()))
    stream.once('close', () => resolve(''))
  })
}

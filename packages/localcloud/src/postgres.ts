import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { type FolderLock, lockFolder } from './folder-lock.ts'
import { freePort } from './free-port.ts'
import { Hindrance } from './hindrance.ts'
import { keepFile, readKeptFile } from './kept-file.ts'
import {
  copyPostgres,
  installedPostgres,
  linkPostgresLibraries,
  type PostgresBinaries,
} from './postgres-binaries.ts'
import { choosePlace, openWay, postgresUser } from './postgres-place.ts'
import { commandLine, signal } from './process-identity.ts'
import { canEnter, type UnixUser } from './unprivileged-user.ts'
import { waitUntil } from './wait-until.ts'

const MAJOR_VERSION = '18'

export interface Postgres {
  /** Address for the superuser, with the password in it. */
  url: string
  port: number
  stop(): Promise<void>
}

export interface PostgresOptions {
  /** Data directory of the local cloud; the cluster lives in its folder `postgres`. */
  dataDir: string
  log: (line: string) => void
}

/** What has to be the same at the next start. */
interface Kept {
  port: number
  password: string
  place: string
}

interface Cluster {
  binaries: PostgresBinaries
  user: UnixUser | undefined
  data: string
  logFile: string
}

/** Starts PostgreSQL 18 on 127.0.0.1, on the data that an earlier start left. */
export async function startPostgres({ dataDir, log }: PostgresOptions): Promise<Postgres> {
  const folder = resolve(dataDir, 'postgres')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const locks: FolderLock[] = []
  const lock = async (claimed: string): Promise<void> => void locks.push(await lockFolder(claimed))
  const release = async (): Promise<void> => {
    for (const held of locks) await held.release()
  }
  try {
    await lock(folder)
    const running = await start(folder, lock, log)
    return {
      ...running,
      stop: async () => {
        await running.stop()
        await release()
      },
    }
  } catch (error) {
    await release()
    throw error
  }
}

async function start(
  folder: string,
  lock: (claimed: string) => Promise<void>,
  log: (line: string) => void,
): Promise<Postgres> {
  const keptFile = join(folder, 'postgres.json')
  const kept = readKept(keptFile)
  const user = postgresUser()
  const place = keptPlace(folder, kept, user) ?? choosePlace(folder, user)
  if (place !== folder && place !== kept?.place) {
    log(`PostgreSQL runs as "${user?.name}", who cannot enter ${folder}; its data is in ${place}`)
  }
  // Two data directories, one of them a copy of the other, may name the same place outside of both.
  if (place !== folder) await lock(place)
  const cluster: Cluster = {
    binaries: await prepareBinaries(place, user),
    user,
    data: join(place, 'data'),
    logFile: join(place, 'log'),
  }
  rmSync(cluster.logFile, { force: true })
  closeSync(openSync(cluster.logFile, 'a', 0o600))

  const isNew = !existsSync(cluster.data)
  const password = kept?.password ?? randomBytes(24).toString('hex')
  if (isNew) {
    // Kept before the cluster exists: a crash in between must not leave a cluster whose password nobody knows.
    keepFile(keptFile, JSON.stringify({ port: kept?.port ?? 0, password, place } satisfies Kept))
    await createCluster(cluster, place, password)
  } else {
    refuseOtherVersion(cluster.data)
    await endOrphan(cluster.data, log)
    if (!kept) await setPassword(cluster, password)
  }

  let port = await freePort(kept?.port || undefined)
  for (let attempt = 1; ; attempt++) {
    const child = launch(cluster, port)
    if (await becomesReady(child, cluster)) {
      keepFile(keptFile, JSON.stringify({ port, password, place } satisfies Kept))
      if (kept?.port && kept.port !== port) log(`port ${kept.port} is taken; PostgreSQL listens on ${port}`)
      return {
        url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
        port,
        stop: () => shutDown(child),
      }
    }
    const said = lastLines(cluster.logFile)
    if (attempt < 5 && said.includes('could not create any TCP/IP sockets')) {
      port = await freePort()
    } else if (attempt < 5 && said.includes('is still in use')) {
      // Backends of a postmaster that was killed notice it within moments and let go of the shared memory.
      await waitUntil(() => false, { withinMs: 500 })
    } else {
      throw new Error(`PostgreSQL did not start. The end of ${cluster.logFile}:\n${said}`)
    }
  }
}

/**
 * Where an earlier start left the cluster. What lies in this folder comes first: in a copy of a data directory the path
 * that was written down still leads to the cluster of the original.
 */
function keptPlace(folder: string, kept: Kept | undefined, user: UnixUser | undefined): string | undefined {
  if (existsSync(join(folder, 'data'))) {
    if (user) openWay(folder, user)
    return folder
  }
  return kept && existsSync(join(kept.place, 'data')) ? kept.place : undefined
}

function readKept(file: string): Kept | undefined {
  const text = readKeptFile(file)
  if (text === undefined) return undefined
  const kept: Kept = JSON.parse(text)
  return kept
}

async function prepareBinaries(place: string, user: UnixUser | undefined): Promise<PostgresBinaries> {
  const installed = installedPostgres()
  if (!user || canEnter(user, installed)) return linkPostgresLibraries(installed, join(place, 'lib'))
  const copy = join(place, 'program')
  await copyPostgres(installed, copy)
  return linkPostgresLibraries(copy, join(place, 'lib'))
}

async function createCluster(cluster: Cluster, place: string, password: string): Promise<void> {
  // Made aside and renamed, so that a crash in the middle is never taken for a cluster.
  const half = join(place, 'data.half')
  const passwordFile = join(place, 'initial-password')
  rmSync(half, { recursive: true, force: true })
  mkdirSync(half, { mode: 0o700 })
  keepFile(passwordFile, password)
  if (cluster.user) {
    chownSync(half, cluster.user.uid, cluster.user.gid)
    chownSync(passwordFile, cluster.user.uid, cluster.user.gid)
  }
  try {
    await runToEnd(cluster, cluster.binaries.initdb, [
      `--pgdata=${half}`,
      '--username=postgres',
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      // The builtin provider sorts the same way on every machine, whatever locales that has.
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      // The system writes it down within half a minute; a power cut before that costs a cluster that is still new.
      '--no-sync',
      '--no-instructions',
    ])
  } finally {
    rmSync(passwordFile, { force: true })
  }
  renameSync(half, cluster.data)
}

function refuseOtherVersion(data: string): void {
  const version = readKeptFile(join(data, 'PG_VERSION'))?.trim()
  if (version === MAJOR_VERSION) return
  if (version === undefined) {
    throw new Hindrance(
      `${data} exists but is not a PostgreSQL cluster (it has no PG_VERSION). Nothing was changed.`,
      'Move it away to start with a new one.',
    )
  }
  throw new Hindrance(
    `${data} belongs to PostgreSQL ${version}, and this is PostgreSQL ${MAJOR_VERSION}. Nothing was changed.`,
    `Dump it with version ${version} and restore it here, or move it away (or set AGENTCTL_DATA_DIR) to start with a new one.`,
  )
}

/** After a kill of everything but PostgreSQL itself, it still runs, without anybody who would stop it. */
async function endOrphan(data: string, log: (line: string) => void): Promise<void> {
  const pidFile = join(data, 'postmaster.pid')
  const pid = Number(readKeptFile(pidFile)?.split('\n')[0])
  if (!pid) return
  const isOurs = () => {
    const [program, ...rest] = commandLine(pid)
    return program !== undefined && basename(program) === 'postgres' && rest.includes(data)
  }
  if (isOurs()) {
    log('an earlier PostgreSQL still runs on this data; stopping it')
    for (const [name, withinMs] of [['SIGINT', 10_000] as const, ['SIGQUIT', 5_000] as const]) {
      signal(pid, name)
      if (await waitUntil(() => !isOurs(), { withinMs })) return
    }
    throw new Error(`The PostgreSQL process ${pid} of an earlier start does not stop. Stop it by hand.`)
  }
  // Whoever has this number now is a stranger, but PostgreSQL would refuse to start because of it.
  rmSync(pidFile, { force: true })
}

/** Gives a cluster whose password was lost a new one, while nothing else runs on it. */
async function setPassword(cluster: Cluster, password: string): Promise<void> {
  await runToEnd(
    cluster,
    cluster.binaries.postgres,
    ['--single', '-D', cluster.data, 'postgres'],
    `ALTER ROLE postgres PASSWORD '${password}';\n`,
  )
}

function launch(cluster: Cluster, port: number): ChildProcess {
  const settings = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    shared_buffers: '64MB',
    max_connections: '200',
    log_min_messages: 'warning',
    log_line_prefix: '%m ',
    timezone: 'UTC',
    log_timezone: 'UTC',
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const output = openSync(cluster.logFile, 'a')
  const child = spawn(cluster.binaries.postgres, ['-D', cluster.data, ...flags], {
    ...processOptions(cluster),
    stdio: ['ignore', output, output],
  })
  closeSync(output)
  child.on('error', () => undefined)
  const endWithUs = () => child.kill('SIGINT')
  process.once('exit', endWithUs)
  child.once('exit', () => process.removeListener('exit', endWithUs))
  return child
}

async function becomesReady(child: ChildProcess, { data }: Cluster): Promise<boolean> {
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null || child.pid === undefined
  const isReady = () => {
    const lines = readKeptFile(join(data, 'postmaster.pid'))?.split('\n') ?? []
    return Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready'
  }
  // Recovery after a crash replays what was written since the last checkpoint; that can take a while.
  await waitUntil(() => isReady() || hasEnded(), { withinMs: 60_000, everyMs: 5 })
  if (isReady() && !hasEnded()) return true
  if (!hasEnded()) {
    child.kill('SIGQUIT')
    await once(child, 'exit')
  }
  return false
}

/** Fast shutdown: open transactions are rolled back, everything committed is written down. */
async function shutDown(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGINT')
  const tooLate = setTimeout(() => child.kill('SIGQUIT'), 15_000)
  await ended
  clearTimeout(tooLate)
}

async function runToEnd(cluster: Cluster, program: string, args: string[], input = ''): Promise<void> {
  const child = spawn(program, args, { ...processOptions(cluster), stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (part) => {
      said += part.toString()
    })
  }
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const [code] = await once(child, 'close').catch((error) => {
    // A program that exists and yet is "not found" lacks its loader: this system has another C library.
    const hint = existsSync(program) ? ' (it needs a Linux with glibc)' : ''
    throw new Error(
      `${program} cannot be run here${hint}: ${error.message}. Set DATABASE_URL to a PostgreSQL 18 of your own.`,
    )
  })
  if (code !== 0) throw new Error(`${basename(program)} failed (exit ${code}):\n${said.trim()}`)
}

function processOptions({ binaries, user }: Cluster) {
  return {
    // Of its own session, so that Ctrl-C reaches only us and we stop things in order.
    detached: true,
    cwd: '/',
    env: {
      PATH: process.env.PATH,
      TMPDIR: process.env.TMPDIR,
      LC_ALL: 'C',
      LD_LIBRARY_PATH: binaries.libraryPath,
    },
    ...(user ? { uid: user.uid, gid: user.gid } : {}),
  }
}

function lastLines(file: string): string {
  return readFileSync(file, 'utf8').split('\n').slice(-20).join('\n').trim()
}

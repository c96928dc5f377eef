import { readFileSync } from 'node:fs'
import { isAbsolute, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { FolderInUse, type FolderLock, lockFolder } from '@agentctl/localcloud/folder-lock.ts'
import { portFrom, StartError, startCloud } from './cloud.ts'
import { runMainJob } from './main-job.ts'

const USAGE = `Usage: npm start [-- --once | --bare]

  Starts the whole cloud on this machine and does the main job with the real CLI.
  --once   stop after the job; exit 0 only if every step worked
  --bare   start the platform without the job

Environment: PORT (8787), ROUTER_PORT (PORT + 1), HEALTH_PORT (none),
AGENTCTL_DATA_DIR (.agentctl), DATABASE_URL
`

const root = resolve(import.meta.dirname, '..')

async function main(): Promise<number> {
  let flags: { once: boolean; bare: boolean; help: boolean }
  try {
    const { values } = parseArgs({
      options: {
        once: { type: 'boolean', default: false },
        bare: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    flags = values
  } catch (error) {
    process.stderr.write(`error: ${(error as Error).message}\n\n${USAGE}`)
    return 2
  }
  if (flags.help) {
    process.stdout.write(USAGE)
    return 0
  }
  const chosen = process.env.AGENTCTL_DATA_DIR || '.agentctl'
  const dataDir = isAbsolute(chosen) ? chosen : join(root, chosen)
  const port = portFrom('PORT', 8787)
  const routerPort = portFrom('ROUTER_PORT', port + 1)

  const lock = await lockDataDir(dataDir)
  const say = (line: string): void => void process.stderr.write(`${line}\n`)
  let finish: (code: number) => void = () => {}
  const asked = new Promise<number>((done) => {
    finish = done
  })
  let signals = 0
  const onSignal = (name: 'SIGINT' | 'SIGTERM' | 'SIGHUP') => () => {
    signals += 1
    if (signals > 1) process.exit(130)
    say(name === 'SIGINT' ? '\nStopping (Ctrl-C again to stop at once) …' : 'Stopping …')
    finish(0)
  }
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onSignal(name))

  const earlier = earlierPort(dataDir)
  if (earlier !== undefined && earlier !== port) {
    say(
      `Agents that were deployed before look for the API at port ${earlier}, and logins were made there: ` +
        `they are back when you start with PORT=${earlier}.`,
    )
  }
  say('Starting PostgreSQL, a chain and the providers on this machine …')
  const cloud = await startCloud({
    dataDir,
    port,
    routerPort,
    healthPort: process.env.HEALTH_PORT ? portFrom('HEALTH_PORT', 0) : undefined,
    databaseUrl: process.env.DATABASE_URL,
    log: say,
  })
  try {
    say(`API ${cloud.local.apiUrl} · agents ${cloud.local.routerUrl} · data ${dataDir}\n`)
    if (flags.bare) {
      say(
        'The platform is up. Ctrl-C stops it; nothing is lost.\n  ./agentctl login --wallet      log in\n  ./agentctl deploy DIR          deploy a folder',
      )
    } else {
      const job = runMainJob({ root, cloud, dataDir, say })
      const ended = await Promise.race([job, asked.then(() => 'interrupted' as const)])
      if (ended === 'interrupted') return 130
      if (flags.once || !ended) return ended ? 0 : 1
      say('The cloud stays up. Ctrl-C stops it; a second `npm start` keeps everything.')
    }
    return await asked
  } finally {
    await cloud.stop()
    await lock.release()
  }
}

/** One cloud a data directory: a second one would work on the same database and machines. */
async function lockDataDir(dataDir: string): Promise<FolderLock> {
  try {
    return await lockFolder(dataDir)
  } catch (error) {
    if (!(error instanceof FolderInUse)) throw error
    throw new StartError(
      `The local cloud of ${dataDir} is already running (process ${error.pid}).`,
      `Use it as it is, stop it with: kill ${error.pid}, or start another one: AGENTCTL_DATA_DIR=.agentctl-2 PORT=8887 npm start`,
    )
  }
}

/** Where the API was at the last start on this data; machines have the address in their first script. */
function earlierPort(dataDir: string): number | undefined {
  try {
    const { apiUrl } = JSON.parse(readFileSync(join(dataDir, 'local.json'), 'utf8'))
    return Number(new URL(apiUrl).port)
  } catch {
    return undefined
  }
}

/** Files that may not be touched or find no room are the machine's trouble: said without a stack. */
function asHindrance(error: unknown): unknown {
  if (!(error instanceof Error && 'code' in error && 'path' in error)) return error
  const troubles: Record<string, string> = {
    EACCES: 'may not be written by this user',
    EPERM: 'may not be changed by this user',
    EROFS: 'is on a read-only disk',
    ENOSPC: 'finds no room on its disk',
    ENOTDIR: 'lies below something that is not a folder',
    EEXIST: 'is not a folder',
  }
  const cannotExist = error.code === 'ENOENT' && 'syscall' in error && error.syscall === 'mkdir'
  const trouble = cannotExist ? 'cannot be made' : troubles[String(error.code)]
  if (trouble === undefined) return error
  return new StartError(
    `${error.path} ${trouble}.`,
    'Mend that, or choose another folder: AGENTCTL_DATA_DIR=FOLDER npm start',
  )
}

try {
  process.exitCode = await main()
} catch (thrown) {
  const error = asHindrance(thrown)
  const known = error instanceof Error && 'fix' in error
  const fix = known ? `\n  ${String(error.fix)}` : ''
  process.stderr.write(`\nerror: ${error instanceof Error ? error.message : String(error)}${fix}\n`)
  if (!known && error instanceof Error) process.stderr.write(`${error.stack}\n`)
  process.exitCode = 1
}
// Sockets of the stand-ins' clients may linger; everything has been stopped.
process.exit()

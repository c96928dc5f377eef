import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chown } from 'node:fs/promises'
import { join } from 'node:path'
import type { DesiredRelease, Report, Timings } from '@agentctl/contract/runner.ts'
import { agentEnvironment } from './agent-environment.ts'
import { AgentProcess } from './agent-process.ts'
import { BackOff, pause } from './back-off.ts'
import { WrongBlob } from './blob-cache.ts'
import { makeLogPipes } from './log-pipes.ts'
import type { Machine } from './machine.ts'
import { reasonOf } from './own-log.ts'
import { checkRelease, materialize, UnsafeRelease } from './release-files.ts'
import { Refusal } from './server-client.ts'
import { writeState } from './state-file.ts'

export type Failure = Pick<Report, 'message' | 'exitCode' | 'logTail'> & {
  reason: NonNullable<Report['reason']>
}

const INSTALL_MINUTES = 10
const WRONG_BLOB_ATTEMPTS = 3

/** Brings the files of a release onto the machine and installs what it needs. Undefined: it is ready. */
export async function prepareRelease(
  machine: Machine,
  release: DesiredRelease,
  timings: Timings,
  signal: AbortSignal,
): Promise<Failure | undefined> {
  const { layout, reports } = machine
  try {
    checkRelease(release)
  } catch (error) {
    return { reason: 'fetch_failed', message: reasonOf(error) }
  }
  // The mark is written last, so a folder with it is complete; it is beside the folder, where the agent cannot write.
  const mark = join(layout.releases, `${release.id}.ready`)
  if (existsSync(mark) && existsSync(join(layout.releases, release.id))) return undefined
  let since = performance.now()
  reports.add({ releaseId: release.id, state: 'fetching' })
  const fetchFailure = await fetchFiles(machine, release, signal)
  timings.fetchMs = elapsed(since)
  if (fetchFailure || signal.aborted) return fetchFailure
  if (release.config.install !== null) {
    since = performance.now()
    reports.add({ releaseId: release.id, state: 'installing', timings })
    const installFailure = await install(machine, release, release.config.install, signal)
    timings.installMs = elapsed(since)
    if (installFailure || signal.aborted) return installFailure
  }
  writeState(mark, '')
  return undefined
}

export const elapsed = (since: number): number => Math.round((performance.now() - since) * 10) / 10

async function fetchFiles(
  { layout, cache, user, log }: Pick<Machine, 'layout' | 'cache' | 'user' | 'log'>,
  release: DesiredRelease,
  signal: AbortSignal,
): Promise<Failure | undefined> {
  const blobs = new Map(release.files.map((file) => [file.sha256, file.size]))
  const backOff = new BackOff(250, 10_000)
  for (let wrong = 0; !signal.aborted; ) {
    try {
      await cache.ensure(blobs, signal)
      await materialize(release, cache, layout.releases, user)
      return undefined
    } catch (error) {
      if (signal.aborted) return undefined
      if (error instanceof WrongBlob && ++wrong >= WRONG_BLOB_ATTEMPTS) {
        return { reason: 'fetch_failed', message: `The files did not arrive intact: ${reasonOf(error)}.` }
      }
      const final = error instanceof Refusal ? !error.passing : isDiskTrouble(error)
      if (final || error instanceof UnsafeRelease) {
        return { reason: 'fetch_failed', message: `The files could not be laid out: ${reasonOf(error)}.` }
      }
      // An API that restarts is no fault of the release: as long as it is wanted we go on trying.
      log(`fetching ${release.id} failed, trying again: ${reasonOf(error)}`)
      await backOff.wait(signal)
    }
  }
  return undefined
}

const isDiskTrouble = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  ['ENOSPC', 'EDQUOT', 'EROFS', 'ENAMETOOLONG', 'ENOTDIR', 'EISDIR', 'EEXIST', 'EACCES'].includes(
    String(error.code),
  )

async function install(
  { layout, user, logs, record }: Machine,
  release: DesiredRelease,
  command: string,
  signal: AbortSignal,
): Promise<Failure | undefined> {
  if (user.ids) await chown(layout.home, user.ids.uid, user.ids.gid)
  const pipes = await makeLogPipes(layout.pipes, `install-${randomBytes(6).toString('hex')}`, user)
  const running = AgentProcess.start(
    {
      command,
      cwd: join(layout.releases, release.id),
      environment: agentEnvironment(release, layout, user, null),
      user,
      pipes,
    },
    (stream, line) => logs.push(stream, release.id, line),
  )
  const { identity } = running
  if (identity) record.started({ identity, pipes, startedAt: running.startedAt })
  const over = new AbortController()
  const timeUp = pause(INSTALL_MINUTES * 60_000, AbortSignal.any([signal, over.signal])).then(() => undefined)
  const ending = await Promise.race([running.ended, timeUp])
  over.abort()
  await running.stop()
  if (identity) record.ended(identity)
  if (signal.aborted || ending?.code === 0) return undefined
  const logTail = running.tail()
  if (!ending) {
    const message = `The install command \`${command}\` was not done after ${INSTALL_MINUTES} minutes.`
    return { reason: 'install_failed', message: message.slice(0, 2000), logTail }
  }
  const how = ending.error
    ? `could not be started (${ending.error.code ?? ending.error.message})`
    : ending.code === 127
      ? 'could not be started: a command in it was not found on the machine'
      : ending.signal
        ? `was ended by ${ending.signal}${ending.signal === 'SIGKILL' ? '; perhaps the machine ran out of memory' : ''}`
        : `ended with exit code ${ending.code}`
  return {
    reason: 'install_failed',
    message: `The install command \`${command}\` ${how}.`.slice(0, 2000),
    exitCode: ending.code,
    logTail,
  }
}

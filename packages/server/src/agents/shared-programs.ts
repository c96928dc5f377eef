import { createReadStream } from 'node:fs'
import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import { faultOf } from '../platform/fault.ts'
import { findAsset, openAssets } from './assets.ts'
import {
  deleteProgramsBefore,
  findProgramBytes,
  lockSharing,
  PROGRAMS,
  putProgram,
  unlockSharing,
} from './program-store.ts'

/** A machine fetches its programs within an hour of its order. */
const KEPT_SECONDS = 7 * 86_400
const SHARE_EVERY_MS = 3_600_000
const SHARE_AGAIN_MS = 60_000

type Parts = Pick<Deps, 'config' | 'db' | 'blobs' | 'clock' | 'log'>

/**
 * What machines are ordered with, also for servers of other versions: each has a disk of its own, which is gone with
 * it, and while a new version is rolled out a machine asks whichever there is. With one directory for all there is
 * nothing to share.
 */
export async function sharePrograms({ config, db, blobs, clock }: Parts): Promise<void> {
  if (!config.blobs) return
  const ours = await openAssets(config)
  const connection = await db.jobs.reserve()
  try {
    await lockSharing(connection)
    for (const { sha256 } of Object.values(ours)) {
      const program = await findAsset(config, sha256)
      if (!program) throw new Error('A program of machines is not kept.')
      const size = program.bytes
      const isThere =
        (await findProgramBytes(connection, sha256)) !== undefined && (await blobs.has(PROGRAMS, sha256))
      if (!isThere && !(await blobs.put(PROGRAMS, { sha256, size }, createReadStream(program.path)))) {
        throw new Error('A program of machines has changed while it was read.')
      }
      await putProgram(connection, { sha256, bytes: size, now: clock.now() })
    }
    for (const sha256 of await deleteProgramsBefore(connection, secondsAfter(clock.now(), -KEPT_SECONDS))) {
      await blobs.delete(PROGRAMS, sha256)
    }
  } finally {
    await unlockSharing(connection).catch(() => {})
    connection.release()
  }
}

/** Shares now, and says each hour that they are still used. Resolves after the first try, whatever came of it. */
export async function keepProgramsShared(deps: Parts): Promise<() => void> {
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  const share = async (): Promise<void> => {
    let nextMs = SHARE_EVERY_MS
    await sharePrograms(deps).catch((error: unknown) => {
      nextMs = SHARE_AGAIN_MS
      deps.log.error('The programs of machines cannot be shared; tried again in a minute', {
        fault: faultOf(error),
      })
    })
    if (!stopped) timer = setTimeout(share, nextMs).unref()
  }
  await share()
  return () => {
    stopped = true
    clearTimeout(timer)
  }
}

/** A program that machines were ordered with, by this server, an earlier one, or one of another version. */
export async function openProgram(
  { config, db, blobs }: Pick<Parts, 'config' | 'db' | 'blobs'>,
  sha256: string,
): Promise<{ bytes: number; chunks: AsyncIterable<Uint8Array> } | undefined> {
  const kept = await findAsset(config, sha256)
  if (kept) return { bytes: kept.bytes, chunks: createReadStream(kept.path) }
  if (!config.blobs || !/^[0-9a-f]{64}$/.test(sha256)) return undefined
  const bytes = await findProgramBytes(db.jobs, sha256)
  return bytes === undefined ? undefined : { bytes, chunks: blobs.read(PROGRAMS, sha256) }
}

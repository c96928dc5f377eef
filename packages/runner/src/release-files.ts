import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { chmod, chown, copyFile, lstat, mkdir, readdir, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { DesiredRelease } from '@agentctl/contract/runner.ts'
import type { AgentUser } from './agent-user.ts'
import type { BlobCache } from './blob-cache.ts'

const run = promisify(execFile)

/** A release that must not touch this machine. */
export class UnsafeRelease extends Error {}

const COPIES_AT_ONCE = 16

/** Refuses what would write outside the folder of the release; the server checks it too, but we write as root. */
export function checkRelease(release: DesiredRelease): void {
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(release.id)) {
    throw new UnsafeRelease('The release has an id that cannot be a folder name.')
  }
  const seen = new Set<string>()
  for (const file of release.files) {
    const parts = file.path.split('/')
    if (
      file.path.includes('\0') ||
      file.path.includes('\\') ||
      parts.some((part) => part === '' || part === '.' || part === '..')
    ) {
      throw new UnsafeRelease(
        `The release holds a path that leaves its folder: ${JSON.stringify(file.path)}.`,
      )
    }
    if (!/^[0-9a-f]{64}$/.test(file.sha256)) {
      throw new UnsafeRelease(`The hash of ${JSON.stringify(file.path)} is not a SHA-256.`)
    }
    if (seen.has(file.path)) {
      throw new UnsafeRelease(`The release holds the path ${JSON.stringify(file.path)} twice.`)
    }
    seen.add(file.path)
  }
}

/**
 * Lays the files of a release into a folder of its own. They are copies: the agent may write to them, the cache must
 * not change with them. Until all is in place the folder has another name and belongs to the runner.
 */
export async function materialize(
  release: DesiredRelease,
  cache: BlobCache,
  releases: string,
  user: AgentUser,
): Promise<string> {
  const folder = join(releases, release.id)
  const building = join(releases, `.building-${release.id}`)
  await removeTree(building)
  await mkdir(building, { recursive: true, mode: 0o755 })
  const folders = new Set<string>([building])
  for (const file of release.files) {
    for (let parent = dirname(join(building, file.path)); !folders.has(parent); parent = dirname(parent)) {
      folders.add(parent)
    }
  }
  for (const path of [...folders].sort()) await mkdir(path, { recursive: true, mode: 0o755 })
  const queue = release.files[Symbol.iterator]()
  const copyRest = async () => {
    for (const file of queue) {
      const path = join(building, file.path)
      await copyFile(cache.path(file.sha256), path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
      await chmod(path, file.executable ? 0o755 : 0o644)
      if (user.ids) await chown(path, user.ids.uid, user.ids.gid)
    }
  }
  await Promise.all(Array.from({ length: COPIES_AT_ONCE }, copyRest))
  if (user.ids) {
    for (const path of folders) await chown(path, user.ids.uid, user.ids.gid)
  }
  await removeTree(folder)
  await rename(building, folder)
  return folder
}

/** Removes the folders of all releases but these. */
export async function keepOnlyReleases(releases: string, wanted: ReadonlySet<string>): Promise<void> {
  for (const name of await readdir(releases)) {
    if (!wanted.has(name)) await removeTree(join(releases, name))
  }
}

/** rm walks by open folders, so that an agent cannot lead it elsewhere with a link put in its way. */
const removeTree = async (path: string): Promise<void> => {
  // Most often there is nothing, and a process less to start.
  if (!(await lstat(path).catch(() => undefined))) return
  await run('rm', ['-rf', '--', path])
}

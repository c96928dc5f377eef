import { createHash, randomBytes } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import {
  copyFile,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  utimes,
} from 'node:fs/promises'
import { join } from 'node:path'
import { secondsAfter, systemClock } from '../platform/clock.ts'

/** A file in a folder of programs of one kind: each in a directory that is named for its hash and dated by its last use. */
export interface KeptProgram {
  path: string
  bytes: number
}

/** Of one kind; the earlier ones are for machines that were ordered before the last changes of version. */
export const KEPT_PROGRAMS = 3
const NAME = 'program'
const HASH = /^[0-9a-f]{64}$/
const DRAFT = /^[0-9a-f]{64}\.[0-9a-f]{12}$/
const DRAFT_SECONDS = 3600

export async function findKept(folder: string, sha256: string): Promise<KeptProgram | undefined> {
  const path = join(folder, sha256, NAME)
  const found = await statIfThere(path)
  return found && { path, bytes: Number(found.size) }
}

/** Keeps a small program as it is now, whatever is written into its file later; returns its hash. */
export async function keepCopy(file: string, folder: string): Promise<string> {
  const content = await readFile(file)
  const sha256 = createHash('sha256').update(content).digest('hex')
  await keep(folder, sha256, async (path) => {
    const copy = await open(path, 'wx', 0o600)
    try {
      await copy.writeFile(content)
      await copy.sync()
    } finally {
      await copy.close()
    }
  })
  return sha256
}

/** Keeps a large program, without a second copy of it where the file system allows; returns its hash. */
export async function keepLink(file: string, folder: string): Promise<string> {
  // A hard link to a symbolic link would be one to whatever that names later.
  const source = await realpath(file)
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(source, { highWaterMark: 1024 * 1024 })) hash.update(chunk)
  const sha256 = hash.digest('hex')
  await dropOverwritten(source, folder, sha256)
  await keep(folder, sha256, async (path) => {
    await link(source, path).catch(() => copyDurably(source, path))
  })
  return sha256
}

async function copyDurably(source: string, path: string): Promise<void> {
  await copyFile(source, path, constants.COPYFILE_FICLONE)
  const copy = await open(path, 'r')
  try {
    await copy.sync()
  } finally {
    await copy.close()
  }
}

/** Whoever writes into a linked file changes what is kept under its earlier hash: better none than a wrong one. */
async function dropOverwritten(source: string, folder: string, sha256: string): Promise<void> {
  const { dev, ino } = await stat(source, { bigint: true })
  for (const name of await namesIn(folder)) {
    if (name === sha256 || !HASH.test(name)) continue
    const kept = await statIfThere(join(folder, name, NAME))
    if (kept?.dev === dev && kept.ino === ino) await rm(join(folder, name), { recursive: true, force: true })
  }
}

async function keep(folder: string, sha256: string, place: (path: string) => Promise<void>): Promise<void> {
  const directory = join(folder, sha256)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  if (!(await findKept(folder, sha256))) {
    const draft = `${directory}.${randomBytes(6).toString('hex')}`
    await mkdir(draft, { mode: 0o700 })
    try {
      await place(join(draft, NAME))
      await rename(draft, directory)
    } catch (error) {
      await rm(draft, { recursive: true, force: true })
      // Another server on the same directory may have been first.
      if (!(await findKept(folder, sha256))) throw error
    }
  }
  const now = systemClock.now()
  await utimes(directory, now, now)
  await prune(folder)
}

async function prune(folder: string): Promise<void> {
  const dated: { name: string; usedAt: bigint }[] = []
  for (const name of await namesIn(folder)) {
    const found = await statIfThere(join(folder, name))
    if (found) dated.push({ name, usedAt: found.mtimeNs })
  }
  const programs = dated.filter(({ name }) => HASH.test(name))
  programs.sort((a, b) => (a.usedAt > b.usedAt ? -1 : 1))
  const draftsBefore = BigInt(secondsAfter(systemClock.now(), -DRAFT_SECONDS).getTime()) * 1_000_000n
  const drafts = dated.filter(({ name, usedAt }) => DRAFT.test(name) && usedAt < draftsBefore)
  for (const { name } of [...programs.slice(KEPT_PROGRAMS), ...drafts]) {
    await rm(join(folder, name), { recursive: true, force: true })
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

async function statIfThere(path: string) {
  try {
    return await stat(path, { bigint: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

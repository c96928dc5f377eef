import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, opendir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { secondsAfter, systemClock } from './clock.ts'

/** File contents, kept for each account apart. */
export interface Blobs {
  /**
   * Stores what the chunks hold if it has this hash and size; false, and nothing kept, if it has not. It lasts when
   * this resolves.
   */
  put(accountId: string, content: Content, chunks: Chunks): Promise<boolean>
  /** Ends in `BlobMissing` where there is none. */
  read(accountId: string, sha256: string): AsyncIterable<Uint8Array>
  has(accountId: string, sha256: string): Promise<boolean>
  delete(accountId: string, sha256: string): Promise<void>
  deleteAll(accountId: string): Promise<void>
  /**
   * What lies there, in an order of its own, from the start or from where the listing before has ended. `looks` bounds
   * its work, and `next` is undefined at the end of all.
   */
  list(after: string | undefined, looks: number): Promise<{ found: StoredFile[]; next: string | undefined }>
  /** Deletes it if nobody has written it for that long. */
  deleteIfOlder(file: StoredFile, seconds: number): Promise<void>
}

export interface Content {
  sha256: string
  size: number
}

export type Chunks = AsyncIterable<Uint8Array> | readonly Uint8Array[]

/** There is no such content: unlike a store in trouble, which may have it. */
export class BlobMissing extends Error {
  override name = 'BlobMissing'
}

export interface StoredFile {
  accountId: string
  sha256: string
  /** The name of a file that is being written, or that was when its writer was killed; undefined for a whole content. */
  draft: string | undefined
}

/** The same in every store, so that a plain copy of its files moves one into another. */
export const contentKey = (accountId: string, sha256: string): string =>
  `${accountId}/${sha256.slice(0, 2)}/${sha256}`

const CONTENT = /^[0-9a-f]{64}$/
const DRAFT = /^([0-9a-f]{64})\.[0-9a-f]{12}$/
const SHELF = /^[0-9a-f]{2}$/

export function fileBlobs(root: string): Blobs {
  const pathOf = (accountId: string, sha256: string) => join(root, contentKey(accountId, sha256))
  return {
    async put(accountId, { sha256, size }, chunks) {
      const path = pathOf(accountId, sha256)
      await mkdir(join(path, '..'), { recursive: true, mode: 0o700 })
      const draft = `${path}.${randomBytes(6).toString('hex')}`
      const hash = createHash('sha256')
      const file = await open(draft, 'wx', 0o600)
      let bytes = 0
      let kept = false
      try {
        for await (const chunk of chunks) {
          hash.update(chunk)
          bytes += chunk.length
          await file.write(chunk)
        }
        if (bytes === size && hash.digest('hex') === sha256) {
          await file.sync()
          await rename(draft, path)
          kept = true
        }
      } finally {
        await file.close()
        if (!kept) await rm(draft, { force: true })
      }
      return kept
    },
    async *read(accountId, sha256) {
      try {
        yield* createReadStream(pathOf(accountId, sha256))
      } catch (error) {
        throw isAbsent(error) ? new BlobMissing() : error
      }
    },
    has: async (accountId, sha256) => (await modifiedAt(pathOf(accountId, sha256))) !== undefined,
    delete: (accountId, sha256) => rm(pathOf(accountId, sha256), { force: true }),
    deleteAll: (accountId) => rm(join(root, accountId), { recursive: true, force: true }),
    async list(after, looks) {
      const found: StoredFile[] = []
      const [fromAccount = '', fromShelf = '', fromName = ''] = after?.split('/') ?? []
      let left = looks
      for await (const accountId of namesFrom(root, fromAccount)) {
        const shelves = join(root, accountId)
        for await (const shelf of namesFrom(shelves, accountId === fromAccount ? fromShelf : '')) {
          if (!SHELF.test(shelf)) continue
          const isFirst = accountId === fromAccount && shelf === fromShelf
          if (isFirst && fromName === BEHIND_ALL) continue
          for await (const name of namesFrom(join(shelves, shelf), isFirst ? fromName : '')) {
            if (isFirst && name === fromName) continue
            const file = fileOf(accountId, name)
            if (file) found.push(file)
            if (--left <= 0) return { found, next: [accountId, shelf, name].join('/') }
          }
          // Empty directories are work as well.
          if (--left <= 0) return { found, next: [accountId, shelf, BEHIND_ALL].join('/') }
        }
      }
      return { found, next: undefined }
    },
    async deleteIfOlder({ accountId, sha256, draft }, seconds) {
      const path = draft ? join(pathOf(accountId, sha256), '..', draft) : pathOf(accountId, sha256)
      const at = await modifiedAt(path)
      // Files are stamped by the system's clock, and not by one that somebody may move.
      if (at === undefined || at > secondsAfter(systemClock.now(), -seconds)) return
      await rm(path, { force: true })
    },
  }
}

/** Sorts behind every name of a content or a draft. */
const BEHIND_ALL = '~'
/** Names that are held in memory while a directory of any size is read. */
const NAMES_AT_ONCE = 1000

function fileOf(accountId: string, name: string): StoredFile | undefined {
  if (CONTENT.test(name)) return { accountId, sha256: name, draft: undefined }
  const [, sha256] = DRAFT.exec(name) ?? []
  return sha256 === undefined ? undefined : { accountId, sha256, draft: name }
}

/** The names in a directory that are not before this one, sorted; none where there is no such directory. */
async function* namesFrom(directory: string, first: string): AsyncGenerator<string> {
  let after: string | undefined
  for (;;) {
    let names: string[] = []
    let more = false
    try {
      for await (const { name } of await opendir(directory)) {
        if (name < first || (after !== undefined && name <= after)) continue
        names.push(name)
        if (names.length < 2 * NAMES_AT_ONCE) continue
        names = names.sort().slice(0, NAMES_AT_ONCE)
        more = true
      }
    } catch (error) {
      if (!isAbsent(error)) throw error
    }
    names.sort()
    yield* more ? names.slice(0, NAMES_AT_ONCE) : names
    if (!more) return
    after = names[NAMES_AT_ONCE - 1]
  }
}

async function modifiedAt(path: string): Promise<Date | undefined> {
  try {
    return (await stat(path)).mtime
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

function isAbsent(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === 'ENOENT' || code === 'ENOTDIR'
}

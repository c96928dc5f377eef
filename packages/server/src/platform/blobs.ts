import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'

/** File contents, kept for each account apart. */
export interface Blobs {
  /** Stores what the chunks hold if it has this hash; false, and nothing kept, if it has not. Written to disk when it resolves. */
  put(
    accountId: string,
    sha256: string,
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<boolean>
  read(accountId: string, sha256: string): Readable
  delete(accountId: string, sha256: string): Promise<void>
  deleteAll(accountId: string): Promise<void>
}

export function fileBlobs(root: string): Blobs {
  const pathOf = (accountId: string, sha256: string) => join(root, accountId, sha256.slice(0, 2), sha256)
  return {
    async put(accountId, sha256, chunks) {
      const path = pathOf(accountId, sha256)
      await mkdir(join(path, '..'), { recursive: true, mode: 0o700 })
      const draft = `${path}.${randomBytes(6).toString('hex')}`
      const hash = createHash('sha256')
      const file = await open(draft, 'wx', 0o600)
      let kept = false
      try {
        for await (const chunk of chunks) {
          hash.update(chunk)
          await file.write(chunk)
        }
        if (hash.digest('hex') === sha256) {
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
    read: (accountId, sha256) => createReadStream(pathOf(accountId, sha256)),
    delete: (accountId, sha256) => rm(pathOf(accountId, sha256), { force: true }),
    deleteAll: (accountId) => rm(join(root, accountId), { recursive: true, force: true }),
  }
}

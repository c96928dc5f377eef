import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface FileStamp {
  mtimeMs: number
  ctimeMs: number
  size: number
  ino: number
}

type Entry = [mtimeMs: number, ctimeMs: number, size: number, ino: number, sha256: string]

export interface HashCache {
  find(path: string, stamp: FileStamp): string | undefined
  keep(path: string, stamp: FileStamp, sha256: string): void
  save(): void
}

/** A file that changed in the instant in which it was hashed keeps its stamp; so a fresh change is not trusted. */
const SETTLED_MS = 2000

/** Hashes of a folder's files from its last deploy, trusted while time, change time, size and inode are the same. */
export function openHashCache(cacheDirectory: string, folder: string, now: number): HashCache {
  const path = join(
    cacheDirectory,
    'hashes',
    `${createHash('sha256').update(folder).digest('hex').slice(0, 32)}.json`,
  )
  const before = new Map<string, Entry>()
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (typeof value === 'object' && value !== null) {
      for (const [name, entry] of Object.entries(value))
        if (Array.isArray(entry)) before.set(name, entry as Entry)
    }
  } catch {
    // No cache, or a damaged one: everything is hashed again.
  }
  const after = new Map<string, Entry>()
  return {
    find(name, stamp) {
      const entry = before.get(name)
      if (!entry) return undefined
      const [mtimeMs, ctimeMs, size, ino, sha256] = entry
      const same =
        mtimeMs === stamp.mtimeMs && ctimeMs === stamp.ctimeMs && size === stamp.size && ino === stamp.ino
      if (!same || !/^[0-9a-f]{64}$/.test(sha256)) return undefined
      after.set(name, entry)
      return sha256
    },
    keep(name, { mtimeMs, ctimeMs, size, ino }, sha256) {
      if (Math.max(mtimeMs, ctimeMs) < now - SETTLED_MS)
        after.set(name, [mtimeMs, ctimeMs, size, ino, sha256])
    },
    save() {
      try {
        mkdirSync(join(cacheDirectory, 'hashes'), { recursive: true, mode: 0o700 })
        const draft = `${path}.${process.pid}`
        writeFileSync(draft, JSON.stringify(Object.fromEntries(after)), { mode: 0o600 })
        renameSync(draft, path)
      } catch {
        // Without a cache the next deploy is slower, and nothing else.
      }
    },
  }
}

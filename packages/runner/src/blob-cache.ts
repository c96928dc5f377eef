import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { BLOB_HEADER_BYTES } from '@agentctl/contract/blob-stream.ts'
import type { ServerClient } from './server-client.ts'

/** The server sent something else than what was asked for. */
export class WrongBlob extends Error {}

const REQUEST_BLOBS = 5000
const LOOKS_AT_ONCE = 8
const BLOB_BYTES_MAX = 512 * 1024 * 1024

/** Blobs by their hash; what is in the folder under its hash was verified. */
export class BlobCache {
  readonly #folder: string
  readonly #server: ServerClient
  /** File and moment of its last change, by hash. */
  readonly #verified = new Map<string, string>()

  constructor(folder: string, server: ServerClient) {
    this.#folder = folder
    this.#server = server
  }

  path(sha256: string): string {
    return join(this.#folder, sha256)
  }

  /** Makes sure of all these blobs, fetching those that are missing or spoiled. */
  async ensure(blobs: ReadonlyMap<string, number>, signal: AbortSignal): Promise<void> {
    const missing: string[] = []
    const queue = blobs[Symbol.iterator]()
    const lookAtRest = async () => {
      for (const [sha256, size] of queue) if (!(await this.#holds(sha256, size))) missing.push(sha256)
    }
    await Promise.all(Array.from({ length: LOOKS_AT_ONCE }, lookAtRest))
    for (let start = 0; start < missing.length; start += REQUEST_BLOBS) {
      await this.#fetch(missing.slice(start, start + REQUEST_BLOBS), signal)
    }
  }

  /** Forgets everything but these blobs. */
  async keepOnly(wanted: ReadonlySet<string>): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      if (wanted.has(name)) continue
      this.#verified.delete(name)
      await rm(this.path(name), { force: true })
    }
  }

  /**
   * A power cut can leave a file with the right name and length and the wrong bytes, so its hash is taken again, once
   * in the life of a runner unless the file changes.
   */
  async #holds(sha256: string, size: number): Promise<boolean> {
    const found = await stat(this.path(sha256)).catch(() => undefined)
    if (found?.size !== size) return false
    const state = `${found.ino} ${found.ctimeMs}`
    if (this.#verified.get(sha256) === state) return true
    const hash = createHash('sha256')
    await pipeline(createReadStream(this.path(sha256)), hash)
    if (hash.digest('hex') !== sha256) return false
    this.#verified.set(sha256, state)
    return true
  }

  async #fetch(sha256s: string[], signal: AbortSignal): Promise<void> {
    const wanted = new Set(sha256s)
    const body = await this.#server.stream('POST', '/v1/runner/blobs', { sha256s }, { signal })
    const reader = new ByteReader(body)
    try {
      for (;;) {
        const header = await reader.take(BLOB_HEADER_BYTES)
        if (!header) break
        const sha256 = header.subarray(0, 32).toString('hex')
        const length = header.readBigUInt64BE(32)
        if (!wanted.delete(sha256))
          throw new WrongBlob(`the server sent a blob that nobody asked for: ${sha256}`)
        if (length > BigInt(BLOB_BYTES_MAX)) throw new WrongBlob(`the blob ${sha256} is too large`)
        await this.#store(sha256, Number(length), reader)
      }
    } finally {
      body.destroy()
    }
    const [first] = wanted
    if (first) throw new WrongBlob(`the server did not send ${wanted.size} of the blobs, ${first} among them`)
  }

  async #store(sha256: string, length: number, reader: ByteReader): Promise<void> {
    const partial = `${this.path(sha256)}.partial`
    const hash = createHash('sha256')
    let file: FileHandle | undefined
    try {
      file = await open(partial, 'w', 0o600)
      let left = length
      while (left > 0) {
        const chunk = await reader.some(left)
        if (!chunk) throw new Error('the stream of blobs ended early')
        hash.update(chunk)
        await file.writeFile(chunk)
        left -= chunk.length
      }
      await file.close()
      file = undefined
      if (hash.digest('hex') !== sha256) throw new WrongBlob(`the blob ${sha256} has another hash`)
      await rename(partial, this.path(sha256))
    } catch (error) {
      await file?.close()
      await rm(partial, { force: true })
      throw error
    }
  }
}

/** Reads a stream by counts of bytes. */
class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(stream: AsyncIterable<Buffer>) {
    this.#chunks = stream[Symbol.asyncIterator]()
  }

  /** Exactly so many bytes; undefined when the stream has ended before the first of them. */
  async take(count: number): Promise<Buffer | undefined> {
    const parts: Buffer[] = []
    let left = count
    while (left > 0) {
      const part = await this.some(left)
      if (!part) {
        if (parts.length === 0) return undefined
        throw new Error('the stream of blobs ended early')
      }
      parts.push(part)
      left -= part.length
    }
    return Buffer.concat(parts)
  }

  /** At least one byte and at most so many; undefined at the end. */
  async some(most: number): Promise<Buffer | undefined> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next()
      if (next.done) return undefined
      this.#rest = next.value
    }
    const part = this.#rest.subarray(0, most)
    this.#rest = this.#rest.subarray(part.length)
    return part
  }
}

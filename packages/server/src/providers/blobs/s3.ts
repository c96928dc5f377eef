import { createHash } from 'node:crypto'
import { BlobMissing, type Blobs, type Chunks, type Content, contentKey } from '../../platform/blobs.ts'
import { secondsAfter, systemClock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import { Problem } from '../../platform/problem.ts'
import { callS3, iterate, type S3Answer, type S3Connection, textOf } from './s3-call.ts'
import { readErrorCode, readListing } from './s3-listing.ts'

/** Of one listing, as S3 limits it. */
const KEYS_AT_ONCE = 1000
const DELETIONS_AT_ONCE = 8

/**
 * File contents in a bucket of their own. An upload is there as a whole or not at all, so there are never drafts. What
 * goes up is signed by its hash and measured by us; what comes down is hashed again.
 */
export function s3Blobs(connection: S3Connection & { log: Log }): Blobs {
  const remove = async (key: string): Promise<void> => {
    await expectStatus(connection, await callS3(connection, { method: 'DELETE', key }), 200, 204, 404)
  }
  const list = async (query: Record<string, string>) => {
    // The older of the two listings: every store speaks it, and where it goes on is simply a key.
    const answer = await callS3(connection, { method: 'GET', key: '', query })
    const listed = readListing(await textOf(await expectStatus(connection, answer, 200)))
    if (!listed) throw inTrouble(connection, 200, 'a listing that cannot be read')
    return listed
  }
  return {
    async put(accountId, content, chunks) {
      // Nothing travels for an empty content, so that a stream of it would never be looked at.
      const checked = new CheckedChunks(content, content.size === 0 ? await beginning(chunks) : chunks)
      // Nothing is sent of a content that is known to be wrong.
      if (checked.isWrong) return false
      const key = contentKey(accountId, content.sha256)
      const answer = await callS3(connection, {
        method: 'PUT',
        key,
        body: { ...content, chunks: checked.chunks },
      })
      if (checked.isWrong) return false
      // What our caller's source ended with is theirs to hear, not that a request was not finished.
      if (checked.fault !== undefined) throw checked.fault
      await textOf(await expectStatus(connection, answer, 200))
      return true
    },
    async *read(accountId, sha256) {
      const answer = await callS3(connection, { method: 'GET', key: contentKey(accountId, sha256) })
      if (answer.status === 404) {
        // A bucket that is not there says 404 as well, and has lost nothing.
        const code = readErrorCode(await textOf(answer))
        if (code === 'NoSuchKey') throw new BlobMissing()
        throw inTrouble(connection, 404, code)
      }
      const { chunks } = await expectStatus(connection, answer, 200)
      const hash = createHash('sha256')
      try {
        for await (const chunk of chunks) {
          hash.update(chunk)
          yield chunk
        }
      } catch (error) {
        throw inTrouble(connection, 200, 'a content that broke off', error)
      }
      if (hash.digest('hex') !== sha256) throw inTrouble(connection, 200, 'a content with another hash')
    },
    async has(accountId, sha256) {
      return (await modifiedAt(connection, contentKey(accountId, sha256))) !== undefined
    },
    delete: (accountId, sha256) => remove(contentKey(accountId, sha256)),
    async deleteAll(accountId) {
      // What has been deleted is in no listing any more, so each is the first one.
      for (let more = true; more; ) {
        const listed = await list({ prefix: `${accountId}/` })
        const queue = [...listed.keys]
        const worker = async (): Promise<void> => {
          for (let key = queue.pop(); key !== undefined; key = queue.pop()) await remove(key)
        }
        await Promise.all(Array.from({ length: DELETIONS_AT_ONCE }, worker))
        more = listed.more
      }
    },
    async list(after, looks) {
      const found = []
      let behind = after
      for (let left = looks; left > 0; ) {
        const listed = await list({
          'max-keys': String(Math.min(left, KEYS_AT_ONCE)),
          ...(behind === undefined ? {} : { marker: behind }),
        })
        for (const key of listed.keys) {
          const [accountId = '', , sha256 = ''] = key.split('/')
          if (/^[0-9a-f]{64}$/.test(sha256) && key === contentKey(accountId, sha256)) {
            found.push({ accountId, sha256, draft: undefined })
          }
        }
        if (!listed.more) return { found, next: undefined }
        left -= listed.keys.length
        behind = listed.keys.at(-1)
      }
      return { found, next: behind }
    },
    async deleteIfOlder({ accountId, sha256 }, seconds) {
      const key = contentKey(accountId, sha256)
      const at = await modifiedAt(connection, key)
      // Objects are stamped by the store's clock, and not by one that somebody may move.
      if (at === undefined || at > secondsAfter(systemClock.now(), -seconds)) return
      await remove(key)
    },
  }
}

/**
 * Keeps the last bytes back until the whole is known to be right: a request that ends before its announced length
 * leaves nothing in the store, so that no store needs to be trusted to check the hash.
 */
class CheckedChunks {
  isWrong = false
  fault: unknown
  readonly chunks: Chunks

  constructor(content: Content, chunks: Chunks) {
    if (isInMemory(chunks)) {
      const whole = Buffer.concat(chunks)
      this.isWrong = whole.length !== content.size || sha256Of(whole) !== content.sha256
      this.chunks = [whole]
    } else this.chunks = this.#check(content, chunks)
  }

  async *#check({ sha256, size }: Content, chunks: Chunks): AsyncGenerator<Uint8Array> {
    const hash = createHash('sha256')
    let bytes = 0
    let held: Uint8Array | undefined
    for await (const chunk of this.#noting(chunks)) {
      if (chunk.length === 0) continue
      bytes += chunk.length
      hash.update(chunk)
      if (bytes > size) break
      if (held) yield held
      held = chunk
    }
    this.isWrong = bytes !== size || hash.digest('hex') !== sha256
    if (this.isWrong) throw new Error('The content is not what was announced.')
    if (held) yield held
  }

  /** By hand, since a fault of the request is thrown into a generator at its `yield` and is not the source's. */
  #noting(chunks: Chunks): AsyncIterable<Uint8Array> {
    const source = iterate(chunks)
    const next = () =>
      source.next().catch((error: unknown) => {
        this.fault = error
        throw error
      })
    return { [Symbol.asyncIterator]: () => ({ next, return: () => source.return(undefined) }) }
  }
}

async function beginning(chunks: Chunks): Promise<Uint8Array[]> {
  for await (const chunk of chunks) if (chunk.length > 0) return [chunk]
  return []
}

const isInMemory = (chunks: Chunks): chunks is readonly Uint8Array[] => Array.isArray(chunks)

const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

async function modifiedAt(connection: S3Connection & { log: Log }, key: string): Promise<Date | undefined> {
  const answer = await callS3(connection, { method: 'HEAD', key })
  const { status, headers, chunks } = await expectStatus(connection, answer, 200, 404)
  for await (const _ of chunks) break
  if (status === 404) return undefined
  const at = Date.parse(headers['last-modified'] ?? '')
  if (Number.isNaN(at)) throw inTrouble(connection, 200, 'an answer without a date')
  return new Date(at)
}

async function expectStatus(connection: S3Connection & { log: Log }, answer: S3Answer, ...good: number[]) {
  if (answer.status === undefined) throw inTrouble(connection, undefined, answer.code)
  if (!good.includes(answer.status)) {
    throw inTrouble(connection, answer.status, readErrorCode(await textOf(answer)))
  }
  return answer
}

function inTrouble(
  { log }: { log: Log },
  status: number | undefined,
  what = 'no reason',
  cause?: unknown,
): Problem {
  log.error('The store of files is in trouble', {
    provider: 's3',
    fault: what,
    ...(status === undefined ? {} : { status }),
  })
  return new Problem('unavailable', 'The store of files is in trouble. Nothing was lost.', { cause })
}

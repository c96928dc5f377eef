import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BlobMissing, type Blobs, fileBlobs, type StoredFile } from '../../platform/blobs.ts'
import { newId } from '../../platform/ids.ts'
import { silentLog } from '../../platform/log.ts'
import { openTransport } from '../transport.ts'
import { s3Blobs } from './s3.ts'
import { startTestS3 } from './test-s3.ts'

const s3 = await startTestS3()
const transport = openTransport({ processors: [s3.bucket.endpoint], infrastructure: [] })
const folder = mkdtempSync(join(tmpdir(), 'agentctl-test-blobs-'))
afterAll(async () => {
  await transport.close()
  await s3.stop()
  rmSync(folder, { recursive: true, force: true })
})

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const contentOf = (bytes: Uint8Array) => ({ sha256: sha256(bytes), size: bytes.length })

async function whole(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await collected(chunks))
}

async function collected(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return all
}

async function* streamed(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

describe.each<[string, () => Blobs]>([
  ['files', () => fileBlobs(folder)],
  ['a bucket', () => s3Blobs({ s3: s3.bucket, transport, log: silentLog })],
])('contents in %s', (_, open) => {
  let blobs: Blobs
  beforeAll(() => {
    blobs = open()
  })
  const put = (account: string, bytes: Uint8Array) => blobs.put(account, contentOf(bytes), [bytes])
  const listAll = async (account: string, looks: number): Promise<StoredFile[][]> => {
    const parts: StoredFile[][] = []
    let after: string | undefined
    do {
      const { found, next } = await blobs.list(after, looks)
      parts.push(found.filter(({ accountId }) => accountId === account))
      after = next
    } while (after !== undefined)
    return parts
  }

  test('come back as they were put, for their account alone', async () => {
    const [alice, bob] = [newId('acc'), newId('acc')]
    for (const bytes of [Buffer.alloc(0), Buffer.from('small'), randomBytes(300_000)]) {
      const { sha256: hash } = contentOf(bytes)
      expect(await blobs.has(alice, hash)).toBe(false)
      expect(await put(alice, bytes)).toBe(true)
      expect(await blobs.has(alice, hash)).toBe(true)
      expect(sha256(await whole(blobs.read(alice, hash)))).toBe(hash)
      expect(await blobs.has(bob, hash)).toBe(false)
      await expect(whole(blobs.read(bob, hash))).rejects.toThrow(BlobMissing)
    }
  })

  test('that stream in are kept if they are what was announced, and else nothing is', async () => {
    const account = newId('acc')
    const parts = [randomBytes(70_000), Buffer.alloc(0), randomBytes(70_000), randomBytes(1)]
    const right = contentOf(Buffer.concat(parts))
    for (const [content, chunks] of [
      [{ ...right, size: right.size - 1 }, parts],
      [{ ...right, size: right.size + 1 }, parts],
      [{ ...right, sha256: sha256(Buffer.from('other')) }, parts],
      [contentOf(Buffer.alloc(0)), parts],
      [right, []],
    ] as const) {
      expect(await blobs.put(account, content, streamed(...chunks))).toBe(false)
      expect(await blobs.put(account, content, [...chunks])).toBe(false)
    }
    expect((await listAll(account, 100)).flat()).toEqual([])
    expect(await blobs.put(account, right, streamed(...parts))).toBe(true)
    expect(await blobs.put(account, contentOf(Buffer.alloc(0)), streamed())).toBe(true)
    expect((await listAll(account, 100)).flat()).toHaveLength(2)
  })

  test('whose source ends in a fault are not kept, and the fault is told', async () => {
    const account = newId('acc')
    const bytes = randomBytes(200_000)
    const gone = new Error('The client is gone.')
    const cut = (async function* () {
      yield bytes.subarray(0, 100_000)
      throw gone
    })()
    await expect(blobs.put(account, contentOf(bytes), cut)).rejects.toBe(gone)
    expect((await listAll(account, 100)).flat()).toEqual([])
  })

  test('are deleted one by one, those of an account at once, and twice without a fault', async () => {
    const [alice, bob] = [newId('acc'), newId('acc')]
    const contents = Array.from({ length: 30 }, (_, at) => Buffer.from(`content ${at}`))
    for (const bytes of contents) await Promise.all([put(alice, bytes), put(bob, bytes)])
    const [first] = contents.map(sha256)
    await blobs.delete(alice, first ?? '')
    await blobs.delete(alice, first ?? '')
    expect(await blobs.has(alice, first ?? '')).toBe(false)
    expect((await listAll(alice, 100)).flat()).toHaveLength(29)
    await blobs.deleteAll(alice)
    await blobs.deleteAll(alice)
    expect((await listAll(alice, 100)).flat()).toEqual([])
    expect((await listAll(bob, 100)).flat()).toHaveLength(30)
  })

  test('are listed once each, in parts of any size', async () => {
    const account = newId('acc')
    const hashes = Array.from({ length: 12 }, (_, at) => Buffer.from(`listed ${at}`))
    for (const bytes of hashes) await put(account, bytes)
    const expected = hashes
      .map((bytes) => ({ accountId: account, sha256: sha256(bytes), draft: undefined }))
      .sort((a, b) => (a.sha256 < b.sha256 ? -1 : 1))
    for (const looks of [1, 2, 5, 11, 12, 13, 5000]) {
      const parts = await listAll(account, looks)
      expect(parts.flat(), `${looks} looks`).toEqual(expected)
      for (const part of parts) expect(part.length).toBeLessThanOrEqual(looks)
    }
  })

  test('go by their age only once nobody has written them for that long', async () => {
    const account = newId('acc')
    const bytes = Buffer.from('aged')
    await put(account, bytes)
    const file = { accountId: account, sha256: sha256(bytes), draft: undefined }
    await blobs.deleteIfOlder(file, 3600)
    expect(await blobs.has(account, file.sha256)).toBe(true)
    // Two seconds of the future, since a store may date by whole seconds.
    await blobs.deleteIfOlder(file, -2)
    expect(await blobs.has(account, file.sha256)).toBe(false)
    await blobs.deleteIfOlder(file, -2)
  })

  test('put twice at the same time are there once, and whole', async () => {
    const account = newId('acc')
    const bytes = randomBytes(500_000)
    const puts = Array.from({ length: 6 }, () => blobs.put(account, contentOf(bytes), streamed(bytes)))
    expect(await Promise.all(puts)).toEqual(Array(6).fill(true))
    expect((await listAll(account, 100)).flat()).toHaveLength(1)
    expect((await whole(blobs.read(account, sha256(bytes)))).equals(bytes)).toBe(true)
  })
})

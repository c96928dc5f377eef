import { createHash, randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { BlobMissing } from '../../platform/blobs.ts'
import { readConfig } from '../../platform/config.ts'
import { ConfigError } from '../../platform/config-error.ts'
import { newId } from '../../platform/ids.ts'
import { jsonLog, silentLog } from '../../platform/log.ts'
import { Secret } from '../../platform/secret.ts'
import { S3_FIELDS } from '../processors.ts'
import { openTransport, type StreamedCall, type Transport } from '../transport.ts'
import { s3Blobs } from './s3.ts'
import { readListing } from './s3-listing.ts'
import { startTestS3 } from './test-s3.ts'

const s3 = await startTestS3()
const real = openTransport({
  processors: [s3.bucket.endpoint],
  infrastructure: [],
  fields: { [s3.bucket.endpoint]: S3_FIELDS },
})
/** The same, but a silence is over sooner. */
const transport: Pick<Transport, 'stream'> = {
  stream: (call: StreamedCall) => real.stream({ ...call, idleMs: 200 }),
}
afterAll(async () => {
  await real.close()
  await s3.stop()
})

const log: string[] = []
const blobs = s3Blobs({ s3: s3.bucket, transport, log: jsonLog((line) => log.push(line)) })
const account = newId('acc')
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const bytes = randomBytes(300_000)
const content = { sha256: sha256(bytes), size: bytes.length }

async function* streamed(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

async function collected(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return all
}

const read = (hash = content.sha256) => collected(blobs.read(account, hash))

const unsent = (response: ServerResponse): number => response.writableLength

beforeEach(async () => {
  s3.fault = undefined
  await blobs.put(account, content, [bytes])
  s3.seen.length = 0
  log.length = 0
})

/** Everything that is asked of a store, apart from a body that streams in. */
const calls: Record<string, () => Promise<unknown>> = {
  put: () => blobs.put(account, content, [bytes]),
  read: () => read(),
  has: () => blobs.has(account, content.sha256),
  delete: () => blobs.delete(account, content.sha256),
  list: () => blobs.list(undefined, 10),
}

describe.each(Object.keys(calls))('%s', (name) => {
  const call = calls[name] as () => Promise<unknown>

  test('goes through after a moment of trouble', async () => {
    s3.fault = (_, response) => response.writeHead(503, { 'retry-after': '0' }).end('<html>busy</html>')
    await call()
    expect(s3.seen).toHaveLength(2)
    s3.fault = (incoming) => incoming.socket.destroy()
    await call()
    expect(s3.seen).toHaveLength(4)
  })

  test('is given up after three tries, in words for the user, with the status for the operator', async () => {
    const always = (): void => {
      s3.fault = (incoming, response) => {
        incoming.resume()
        response.writeHead(503).end()
        always()
      }
    }
    always()
    await expect(call()).rejects.toMatchObject({ code: 'unavailable' })
    expect(s3.seen).toHaveLength(3)
    expect(log.join('')).toContain('"status":503')
  })

  test('is not repeated where it is refused', async () => {
    s3.fault = (incoming, response) => {
      incoming.resume()
      response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>')
    }
    await expect(call()).rejects.toMatchObject({ code: 'unavailable' })
    expect(s3.seen).toHaveLength(1)
    expect(log.join('')).toContain('"status":403')
  })

  test('does not wait for a store that hangs', async () => {
    const always = (): void => {
      s3.fault = (incoming) => {
        incoming.resume()
        always()
      }
    }
    always()
    await expect(call()).rejects.toMatchObject({ code: 'unavailable' })
    expect(log.join('')).toContain('UND_ERR_HEADERS_TIMEOUT')
  })
})

test('a store that takes no more bytes ends an upload, and nothing of it is kept', async () => {
  const large = randomBytes(8 * 1024 * 1024)
  const sent = { sha256: sha256(large), size: large.length }
  s3.fault = (incoming) => incoming.pause()
  await expect(blobs.put(account, sent, streamed(large))).rejects.toMatchObject({ code: 'unavailable' })
  // What streams in cannot be sent a second time.
  expect(s3.seen).toEqual(['PUT'])
  expect(await blobs.has(account, sent.sha256)).toBe(false)
})

test('a store that is slow, and a reader that is, make nothing pile up here', async () => {
  const part = randomBytes(1024 * 1024)
  let taken = 0
  s3.fault = (incoming) => incoming.pause()
  const endless = (async function* () {
    for (; taken < 64; taken++) yield part
  })()
  const sent = { sha256: sha256(part), size: 64 * part.length }
  await expect(blobs.put(account, sent, endless)).rejects.toMatchObject({ code: 'unavailable' })
  expect(taken).toBeLessThan(16)

  let answered: ServerResponse | undefined
  s3.fault = (_, response) => {
    answered = response.writeHead(200, { 'content-length': 64 * part.length })
    for (let at = 0; at < 64; at++) response.write(part)
  }
  const patient = s3Blobs({ s3: s3.bucket, transport: real, log: silentLog })
  for await (const _ of patient.read(account, content.sha256)) {
    let before = -1
    // Until the store gets rid of no more.
    while (answered && unsent(answered) !== before) {
      before = unsent(answered)
      await pause(100)
    }
    break
  }
  expect(answered && unsent(answered)).toBeGreaterThan(48 * part.length)
})

test('a content that breaks off, stands still or was changed in the store is no content', async () => {
  for (const ending of ['dropped', 'hung', 'changed']) {
    s3.fault = (_, response) => {
      response.writeHead(200, { 'content-length': bytes.length })
      if (ending === 'changed') response.end(randomBytes(bytes.length))
      else response.write(bytes.subarray(0, 100_000), () => ending === 'dropped' && response.destroy())
    }
    await expect(read(), ending).rejects.toMatchObject({ code: 'unavailable' })
  }
})

test('only a store that says so has lost a content: no bucket and no answer are no loss', async () => {
  await expect(read(sha256(Buffer.from('never put')))).rejects.toThrow(BlobMissing)
  for (const body of ['<Error><Code>NoSuchBucket</Code></Error>', '', '<html>not found</html>']) {
    s3.fault = (_, response) => response.writeHead(404).end(body)
    await expect(read()).rejects.toMatchObject({ code: 'unavailable' })
  }
  const elsewhere = s3Blobs({ s3: { ...s3.bucket, bucket: 'no-such-bucket' }, transport, log: silentLog })
  await expect(collected(elsewhere.read(account, content.sha256))).rejects.toMatchObject({
    code: 'unavailable',
  })
  await expect(elsewhere.put(account, content, [bytes])).rejects.toMatchObject({ code: 'unavailable' })
})

test('the store checks who asks', async () => {
  for (const wrong of [{ secretAccessKey: new Secret('another') }, { accessKeyId: 'ANOTHER' }]) {
    const stranger = s3Blobs({ s3: { ...s3.bucket, ...wrong }, transport, log: silentLog })
    await expect(collected(stranger.read(account, content.sha256))).rejects.toMatchObject({
      code: 'unavailable',
    })
  }
})

test('only the configured host is called', async () => {
  const endpoint = s3.bucket.endpoint.replace('127.0.0.1', 'localhost')
  const elsewhere = s3Blobs({ s3: { ...s3.bucket, endpoint }, transport, log: silentLog })
  await expect(elsewhere.has(account, content.sha256)).rejects.toMatchObject({ code: 'unavailable' })
  expect(s3.seen).toEqual([])
})

test('nothing that is logged has a key in it, nor a hash', async () => {
  s3.fault = (_, response) => response.writeHead(403).end(`<Error><Code>X</Code>${content.sha256}</Error>`)
  await expect(read()).rejects.toThrow()
  expect(log.join('')).not.toMatch(/S3RVER|[0-9a-f]{64}/)
})

test('a listing is read with whatever foreign keys are in it, and a part of one is none', () => {
  const entry = (key: string) => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`
  const listing = (truncated: string, ...keys: string[]) =>
    `<?xml version="1.0"?><ListBucketResult xmlns="x"><Name>b</Name><IsTruncated>${truncated}</IsTruncated>${keys.map(entry).join('')}</ListBucketResult>`
  expect(readListing(listing('true', 'a&amp;b&lt;&#x41;&#66;', 'c/d'))).toEqual({
    keys: ['a&b<AB', 'c/d'],
    more: true,
  })
  expect(readListing(listing('false'))).toEqual({ keys: [], more: false })
  for (const broken of ['', '<html></html>', listing('true'), listing('false', 'a').slice(0, -10)]) {
    expect(readListing(broken)).toBeUndefined()
  }
})

test('a half configured bucket is refused at the start, with the names', () => {
  const env = {
    BLOBS_S3_ENDPOINT: 'https://sel1.vultrobjects.com/',
    BLOBS_S3_BUCKET: 'blobs',
    BLOBS_S3_REGION: 'sel1',
    BLOBS_S3_ACCESS_KEY_ID: 'id',
    BLOBS_S3_SECRET_ACCESS_KEY: 'secret',
  }
  const wrong: Record<string, string | undefined>[] = [
    ...Object.keys(env).map((name) => ({ ...env, [name]: undefined })),
    { ...env, BLOBS_S3_ENDPOINT: 'https://sel1.vultrobjects.com/blobs' },
    { ...env, BLOBS_S3_BUCKET: 'Blobs/../x' },
  ]
  for (const settings of wrong) expect(() => readConfig(settings)).toThrow(ConfigError)
  expect(() => readConfig(wrong[0])).toThrow(/BLOBS_S3_ENDPOINT, .*, or none/)
})

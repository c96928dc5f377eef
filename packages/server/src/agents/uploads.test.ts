import { randomBytes } from 'node:crypto'
import { BLOB_STREAM_MEDIA_TYPE } from '@agentctl/contract/blob-stream.ts'
import { expect, test } from 'vitest'
import { blobHeader, readBlobStream } from './blob-stream.ts'
import { UNPAID_ACCOUNT_BYTES_MAX } from './limits.ts'
import { file, type Person, plainConfig, sha256, testCloud } from './test-cloud.ts'

const cloud = await testCloud()

async function send(
  person: Person,
  body: Uint8Array,
): Promise<{ status: number; code?: string; stored?: number }> {
  const response = await cloud.app.request('/v1/blobs', {
    method: 'POST',
    headers: { authorization: `Bearer ${person.account}`, 'content-type': BLOB_STREAM_MEDIA_TYPE },
    body,
  })
  return { status: response.status, ...((await response.json()) as object) }
}

const stored = async (person: Person): Promise<number> =>
  (await cloud.sql`select 1 from blobs where account_id = ${person.account}`).length

test('a stream is taken apart however it is cut into chunks', async () => {
  const contents = ['', 'a', 'b'.repeat(100), 'c'.repeat(70)]
  const whole = Buffer.concat(
    contents.flatMap((content) => [blobHeader(sha256(content), content.length), Buffer.from(content)]),
  )
  for (const size of [1, 7, 39, 40, 41, 1000]) {
    const seen: string[] = []
    const chunks = (async function* () {
      for (let at = 0; at < whole.length; at += size) yield whole.subarray(at, at + size)
    })()
    for await (const blob of readBlobStream(chunks, { blobBytesMax: 1000, bodyBytesMax: 10_000 })) {
      let content = ''
      for await (const part of blob.chunks) content += Buffer.from(part).toString()
      expect(sha256(content)).toBe(blob.sha256)
      seen.push(content)
    }
    expect(seen).toEqual(contents)
  }
})

test('small and large contents arrive, and count for this account only', async () => {
  const alice = await cloud.person('alice')
  const bob = await cloud.person('bob')
  const large = randomBytes(400_000).toString('hex')
  const small = Array.from({ length: 600 }, (_, at) => `file ${at}`)
  expect((await alice.upload(large, ...small, 'twice', 'twice')).body).toMatchObject({ stored: 603 })
  expect(await stored(alice)).toBe(602)
  const files = [large, ...small].map((content, at) => file(`f${at}`, content))
  const request = { name: 'hello', config: plainConfig, files }
  expect((await alice.call('POST', '/v1/deploys/plan', request)).body.upload.missing).toEqual([])
  expect((await bob.call('POST', '/v1/deploys/plan', request)).body.upload.missing).toHaveLength(601)
  const chunks: Uint8Array[] = []
  for await (const chunk of cloud.deps.blobs.read(alice.account, sha256(large))) chunks.push(chunk)
  expect(sha256(Buffer.concat(chunks).toString())).toBe(sha256(large))
})

test('a content that has another hash is refused and not kept', async () => {
  const alice = await cloud.person('liar')
  for (const content of ['small', 'x'.repeat(500_000)]) {
    const body = Buffer.concat([blobHeader(sha256('promised'), content.length), Buffer.from(content)])
    expect(await send(alice, body)).toMatchObject({ status: 400, code: 'invalid_request' })
  }
  expect(await stored(alice)).toBe(0)
})

test('an upload that ends too early is refused', async () => {
  const alice = await cloud.person('hurried')
  const whole = Buffer.concat([blobHeader(sha256('whole'), 5), Buffer.from('whole')])
  for (const length of [10, 39, 40, 44]) {
    expect(await send(alice, whole.subarray(0, length))).toMatchObject({ status: 400 })
  }
  expect(await stored(alice)).toBe(0)
  expect(await send(alice, whole)).toMatchObject({ status: 200, stored: 1 })
})

test('a blob that says it is too large is refused before it is read', async () => {
  const alice = await cloud.person('large')
  const body = blobHeader(sha256('x'), 513 * 1024 ** 2)
  expect(await send(alice, body)).toMatchObject({ status: 413, code: 'payload_too_large' })
})

test('an account that has never paid keeps as much as one release, and more from its first payment on', async () => {
  const alice = await cloud.person('unpaid', 0n)
  await cloud.sql`
    insert into blobs (account_id, sha256, size, created_at, used_at)
    values (${alice.account}, ${Buffer.alloc(32)}, ${UNPAID_ACCOUNT_BYTES_MAX - 2}, now(), now())`
  expect((await alice.upload('12')).status).toBe(200)
  expect(await alice.upload('345')).toMatchObject({
    status: 413,
    body: {
      detail: 'Before its first payment an account keeps at most 1 GiB of files.',
      fix: 'Top up first: agentctl billing deposit 25',
    },
  })
  await cloud.deposit(alice, 1_000_000n)
  expect((await alice.upload('345')).status).toBe(200)
})

test('a list of files that no folder could have is refused', async () => {
  const alice = await cloud.person('odd')
  const plan = (...files: unknown[]) =>
    alice.call('POST', '/v1/deploys/plan', { name: 'hello', config: plainConfig, files })
  const refused = { status: 400, body: { code: 'invalid_request' } }
  expect(await plan(file('a', 'x'), file('a', 'y'))).toMatchObject(refused)
  expect(await plan(file('a', 'x'), file('a/b', 'y'))).toMatchObject(refused)
  expect(await plan({ ...file('a', 'x'), size: 5 }, file('b', 'x'))).toMatchObject(refused)
  expect(await plan(file('../a', 'x'))).toMatchObject(refused)
  const half = 512 * 1024 ** 2
  const large = ['a', 'b', 'c'].map((name) => ({ ...file(name, name), size: half }))
  expect(await plan(...large)).toMatchObject({ status: 413 })
  await alice.upload('x')
  expect(await plan({ ...file('a', 'x'), size: 0 })).toMatchObject(refused)
})

test('the platform keeps its own names in the environment', async () => {
  const alice = await cloud.person('names')
  const request = { name: 'hello', config: { ...plainConfig, env: { PORT: '1' } }, files: [file('a', 'x')] }
  expect((await alice.call('POST', '/v1/deploys/plan', request)).body.code).toBe('invalid_config')
})

import { setTimeout as pause } from 'node:timers/promises'
import { AwsV4Signer } from 'aws4fetch'
import type { Config } from '../../platform/config.ts'
import { type StreamedAnswer, type Transport, TransportError } from '../transport.ts'

export interface S3Connection {
  s3: NonNullable<Config['blobs']>
  transport: Pick<Transport, 'stream'>
}

export interface S3Call {
  method: 'GET' | 'HEAD' | 'PUT' | 'DELETE'
  /** Within the bucket; empty for the bucket itself. */
  key: string
  query?: Readonly<Record<string, string>>
  /** What is sent: the signature is over its hash, so that the server refuses anything else. */
  body?: { sha256: string; size: number; chunks: AsyncIterable<Uint8Array> | readonly Uint8Array[] }
}

/** What the store said, or the code of the trouble on the way to it. */
export type S3Answer = StreamedAnswer | { status: undefined; code: string }

const IDLE_MS = 20_000
const TRIES = 3
const PAUSE_SECONDS_MAX = 5
/** SHA-256 of nothing. */
const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

/**
 * One signed call. It is repeated while the store is in trouble: every call that we make is as good done twice as
 * once. Only a body that streams in cannot be sent again.
 */
export async function callS3(connection: S3Connection, call: S3Call): Promise<S3Answer> {
  const repeatable = !call.body || Array.isArray(call.body.chunks)
  for (let attempt = 1; ; attempt++) {
    const answer = await callOnce(connection, call)
    const troubled = answer.status === undefined || answer.status === 429 || answer.status >= 500
    if (!troubled || !repeatable || attempt === TRIES) return answer
    const asked = answer.status === undefined ? 0 : Number(answer.headers['retry-after'])
    if (answer.status !== undefined) await textOf(answer)
    const backOffSeconds = 0.2 * 2 ** (attempt - 1) * (0.5 + Math.random() / 2)
    await pause(Math.min(asked > 0 ? asked : backOffSeconds, PAUSE_SECONDS_MAX) * 1000)
  }
}

async function callOnce({ s3, transport }: S3Connection, call: S3Call): Promise<S3Answer> {
  const { method, key, query = {}, body } = call
  const signed = await new AwsV4Signer({
    method,
    url: `${s3.endpoint}/${[s3.bucket, key].filter(Boolean).join('/')}?${new URLSearchParams(query)}`,
    headers: { 'x-amz-content-sha256': body?.sha256 ?? EMPTY },
    accessKeyId: s3.accessKeyId,
    secretAccessKey: s3.secretAccessKey.reveal(),
    region: s3.region,
    service: 's3',
  }).sign()
  const headers = Object.fromEntries(signed.headers)
  try {
    return await transport.stream({
      method,
      url: signed.url.href,
      headers: body ? { ...headers, 'content-length': String(body.size) } : headers,
      ...(body && body.size > 0 ? { body: iterate(body.chunks) } : {}),
      idleMs: IDLE_MS,
    })
  } catch (error) {
    if (!(error instanceof TransportError)) throw error
    return { status: undefined, code: error.code }
  }
}

export async function* iterate(
  chunks: AsyncIterable<Uint8Array> | readonly Uint8Array[],
): AsyncGenerator<Uint8Array> {
  yield* chunks
}

const TEXT_BYTES_MAX = 8 * 1024 * 1024

/** The body of an answer that is no content: a listing, or an error's XML. */
export async function textOf({ chunks }: StreamedAnswer): Promise<string> {
  const parts: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const chunk of chunks) {
      bytes += chunk.length
      if (bytes > TEXT_BYTES_MAX) break
      parts.push(chunk)
    }
  } catch {
    // Cut off: what has come has to do, and a listing without its end is noticed.
  }
  return Buffer.concat(parts).toString()
}

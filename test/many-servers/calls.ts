import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { BLOB_STREAM_MEDIA_TYPE } from '@agentctl/contract/blob-stream.ts'
import type { Server } from './platform.ts'

export interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: what each route answers is the contract's to say.
  body: any
}

/** Asks one server, past the balancer. */
export async function ask(
  server: Server,
  route: string,
  { token, body, headers }: { token?: string; body?: unknown; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const [method = 'GET', path = '/'] = route.split(' ')
  const isRaw = body instanceof Uint8Array
  const response = await fetch(`http://127.0.0.1:${server.port}${path}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': isRaw ? BLOB_STREAM_MEDIA_TYPE : 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: isRaw ? new Uint8Array(body) : JSON.stringify(body) }),
  })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? undefined : JSON.parse(text),
  }
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** A content as uploads carry it. */
export function blobOf(text: string): Buffer {
  const length = Buffer.alloc(8)
  length.writeBigUInt64BE(BigInt(Buffer.byteLength(text)))
  return Buffer.concat([Buffer.from(sha256(text), 'hex'), length, Buffer.from(text)])
}

/** Asks one router for an agent's address; resolves with the head of its answer. */
export async function visit(
  port: number,
  address: string,
  path = '/',
  headers: Record<string, string> = {},
): Promise<IncomingMessage> {
  const asking = visiting(port, address, path, headers)
  const [answer] = await once(asking, 'response')
  return answer
}

export function visiting(
  port: number,
  address: string,
  path: string,
  headers: Record<string, string> = {},
): ClientRequest {
  const { host } = new URL(address)
  return request({ host: '127.0.0.1', port, path, agent: false, headers: { host, ...headers } }).end()
}

import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { ROUTER_CREDENTIAL_HEADER } from '@agentctl/contract/runner-constants.ts'

/** Name and value alternate, in the order and spelling in which they came. */
export type RawHeaders = string[]

/** Those of one connection. `te` and `trailer` are set again where they still hold. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** What only the router may say to an agent. */
const OURS: ReadonlySet<string> = new Set([
  'host',
  'expect',
  'content-length',
  'forwarded',
  'x-real-ip',
  'x-request-id',
])

export interface Visitor {
  /** The header in which a proxy in front of the router tells the client's address; undefined without one. */
  addressHeader: string | undefined
  requestId: string
  host: string
}

/** How the body of a request is framed; undefined for a framing that must not be passed on. */
export type Framing = { kind: 'none' } | { kind: 'length'; bytes: string } | { kind: 'chunked' }

export function framingOf(request: IncomingMessage): Framing | undefined {
  const coding = request.headers['transfer-encoding']
  if (coding !== undefined) return coding.trim().toLowerCase() === 'chunked' ? { kind: 'chunked' } : undefined
  const bytes = request.headers['content-length']
  return bytes === undefined ? { kind: 'none' } : { kind: 'length', bytes }
}

export function headersForAgent(
  request: IncomingMessage,
  visitor: Visitor,
  framing: Framing,
  credential: string,
): RawHeaders {
  const named = namedByConnection(request.rawHeaders)
  const headers: RawHeaders = ['Host', visitor.host]
  for (const [name, value] of pairs(request.rawHeaders)) {
    // CGI-like servers cannot tell `_` from `-`: X_Forwarded_For would arrive as X-Forwarded-For.
    const plain = name.toLowerCase().replaceAll('_', '-')
    if (HOP_BY_HOP.has(plain) || named.has(plain) || OURS.has(plain)) continue
    if (plain.startsWith('x-forwarded-') || plain.startsWith('x-agentctl-')) continue
    headers.push(name, value)
  }
  headers.push(
    'X-Forwarded-For',
    clientAddress(request, visitor.addressHeader),
    'X-Forwarded-Host',
    visitor.host,
    'X-Forwarded-Proto',
    clientProtocol(request, visitor.addressHeader),
    'X-Request-Id',
    visitor.requestId,
    ROUTER_CREDENTIAL_HEADER,
    credential,
  )
  if (tokens(request.headers.te?.toString()).includes('trailers')) headers.push('TE', 'trailers')
  if (framing.kind === 'length') headers.push('Content-Length', framing.bytes)
  if (framing.kind === 'chunked') {
    headers.push('Transfer-Encoding', 'chunked')
    if (request.headers.trailer) headers.push('Trailer', request.headers.trailer)
  }
  // Without it Node frames the absent body of a POST as chunks, which changes what the agent sees.
  if (framing.kind === 'none' && /^(POST|PUT|PATCH)$/.test(request.method ?? '')) {
    headers.push('Content-Length', '0')
  }
  return headers
}

/** Those of the agent's answer that its client may see. */
export function headersForClient(answer: IncomingMessage, options: { chunked: boolean }): RawHeaders {
  const named = namedByConnection(answer.rawHeaders)
  const headers: RawHeaders = []
  for (const [name, value] of pairs(answer.rawHeaders)) {
    const plain = name.toLowerCase()
    if (plain === 'trailer' && options.chunked) headers.push(name, value)
    if (HOP_BY_HOP.has(plain) || plain.startsWith('x-agentctl-')) continue
    if (named.has(plain) && plain !== 'content-length') continue
    headers.push(name, value)
  }
  return headers
}

const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  ...OURS,
  'authorization',
  'content-encoding',
  'content-type',
  'cookie',
  'set-cookie',
])

export function trailersOf(message: IncomingMessage): [string, string][] {
  return pairs(message.rawTrailers).filter(([name]) => {
    const plain = name.toLowerCase().replaceAll('_', '-')
    return (
      !NOT_IN_TRAILERS.has(plain) && !plain.startsWith('x-forwarded-') && !plain.startsWith('x-agentctl-')
    )
  })
}

function clientAddress(request: IncomingMessage, header: string | undefined): string {
  const told = header === undefined ? undefined : request.headers[header.toLowerCase()]
  // Of a list, the last was written by the proxy in front; those before it by anybody.
  const last = (typeof told === 'string' ? told : told?.at(-1))?.split(',').at(-1)?.trim()
  if (last !== undefined && isIP(last) !== 0) return last
  return (request.socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, '')
}

function clientProtocol(request: IncomingMessage, header: string | undefined): string {
  const told = header === undefined ? undefined : request.headers['x-forwarded-proto']
  return told === 'https' ? 'https' : 'http'
}

function namedByConnection(raw: readonly string[]): ReadonlySet<string> {
  return new Set(
    pairs(raw).flatMap(([name, value]) => (name.toLowerCase() === 'connection' ? tokens(value) : [])),
  )
}

function tokens(value: string | undefined): string[] {
  return (value ?? '').split(',').map((token) => token.trim().toLowerCase())
}

function pairs(raw: readonly string[]): [string, string][] {
  const result: [string, string][] = []
  for (let at = 0; at + 1 < raw.length; at += 2) result.push([raw[at] ?? '', raw[at + 1] ?? ''])
  return result
}

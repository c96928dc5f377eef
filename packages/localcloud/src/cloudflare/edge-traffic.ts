import { randomBytes } from 'node:crypto'
import { Agent, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { KeptState } from '../kept-state.ts'
import type { CloudflareState } from './cloudflare-state.ts'
import { isUnder, plainName } from './dns-answers.ts'

/** What the edge itself answers, in Cloudflare's own numbers. */
interface EdgeRefusal {
  status: number
  code: number
  reason: string
}

const NOT_RESOLVED: EdgeRefusal = { status: 409, code: 1001, reason: 'DNS resolution error' }
const ORIGIN_NOT_RESOLVED: EdgeRefusal = { status: 530, code: 1016, reason: 'Origin DNS error' }
const ORIGIN_DOWN: EdgeRefusal = { status: 521, code: 521, reason: 'Web server is down' }

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
/** What only the edge says; visitors may claim what they like. */
const OURS: ReadonlySet<string> = new Set([
  'cf-connecting-ip',
  'cf-ray',
  'cf-visitor',
  'cdn-loop',
  'x-forwarded-proto',
])

/** Passes requests for names that are served on to the origin, in both directions as a stream. */
export class EdgeTraffic {
  private readonly zoneName: string
  private readonly state: KeptState<CloudflareState>
  private readonly agent = new Agent({ keepAlive: true })
  private readonly tunnels = new Set<Duplex>()

  constructor(parts: { zoneName: string; state: KeptState<CloudflareState> }) {
    this.zoneName = parts.zoneName
    this.state = parts.state
  }

  pass(incoming: IncomingMessage, response: ServerResponse): void {
    const origin = this.originFor(incoming)
    if (!(origin instanceof URL)) {
      refuse(response, origin)
      return
    }
    const outgoing = this.ask(origin, incoming)
    outgoing.once('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.statusMessage, [
        ...passedOn(answer.rawHeaders, new Set()),
        ...['CF-RAY', rayOf(), 'Server', 'cloudflare'],
      ])
      // So that the first event of a stream is not kept back until there is a second.
      response.flushHeaders()
      answer.pipe(response)
      answer.once('error', () => response.destroy())
    })
    outgoing.once('error', () => {
      if (response.headersSent) response.destroy()
      else refuse(response, ORIGIN_DOWN)
    })
    response.once('close', () => outgoing.destroy())
    incoming.pipe(outgoing)
  }

  passUpgrade(incoming: IncomingMessage, socket: Duplex, head: Buffer): void {
    const origin = this.originFor(incoming)
    this.tunnels.add(socket)
    socket.once('close', () => this.tunnels.delete(socket))
    socket.on('error', () => socket.destroy())
    if (!(origin instanceof URL)) {
      socket.end(
        `HTTP/1.1 ${origin.status} ${origin.reason}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
      )
      return
    }
    const outgoing = this.ask(origin, incoming, [
      ...['Connection', 'Upgrade', 'Upgrade', String(incoming.headers.upgrade)],
    ])
    outgoing.once('upgrade', (answer, tunnel, rest) => {
      const said = pairs(answer.rawHeaders).map(([name, value]) => `${name}: ${value}\r\n`)
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${said.join('')}\r\n`)
      socket.write(rest)
      tunnel.write(head)
      tunnel.pipe(socket)
      socket.pipe(tunnel)
      tunnel.on('error', () => socket.destroy())
      tunnel.once('close', () => socket.destroy())
      socket.once('close', () => tunnel.destroy())
    })
    outgoing.once('response', (answer) => {
      const said = pairs(passedOn(answer.rawHeaders, new Set())).map(
        ([name, value]) => `${name}: ${value}\r\n`,
      )
      socket.write(
        `HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\n${said.join('')}Connection: close\r\n\r\n`,
      )
      answer.pipe(socket)
    })
    outgoing.once('error', () => socket.destroy())
    outgoing.end()
  }

  close(): void {
    for (const tunnel of this.tunnels) tunnel.destroy()
    this.agent.destroy()
  }

  private originFor(incoming: IncomingMessage): URL | EdgeRefusal {
    const name = plainName((incoming.headers.host ?? '').replace(/:\d+$/, ''))
    const { hostnames, records, fallbackOrigin, originUrl } = this.state.value
    const custom = hostnames.find((one) => one.hostname === name)
    const star = `*.${name.split('.').slice(1).join('.')}`
    const isOurs = isUnder(name, this.zoneName)
    const record = isOurs && records.find((one) => one.proxied && (one.name === name || one.name === star))
    if (custom ? custom.status !== 'active' : !record) return NOT_RESOLVED
    if (originUrl === null || (custom && !fallbackOrigin)) return ORIGIN_NOT_RESOLVED
    return new URL(originUrl)
  }

  private ask(origin: URL, incoming: IncomingMessage, more: string[] = []) {
    const address = incoming.socket.remoteAddress ?? ''
    const earlier = incoming.headers['x-forwarded-for']
    const forwarded = [earlier, address].flat().filter((one) => one !== undefined)
    return request({
      host: origin.hostname,
      port: origin.port,
      method: incoming.method,
      path: incoming.url,
      agent: this.agent,
      setHost: false,
      headers: [
        ...passedOn(incoming.rawHeaders, new Set([...OURS, 'x-forwarded-for'])),
        ...[
          'CF-Connecting-IP',
          address,
          'X-Forwarded-For',
          forwarded.join(', '),
          'X-Forwarded-Proto',
          'https',
        ],
        ...['CF-Visitor', '{"scheme":"https"}', 'CDN-Loop', 'cloudflare', 'CF-RAY', rayOf()],
        ...(incoming.headers['transfer-encoding'] === undefined ? [] : ['Transfer-Encoding', 'chunked']),
        ...more,
      ],
    })
  }
}

/** Name and value alternate. */
function passedOn(raw: readonly string[], without: ReadonlySet<string>): string[] {
  return pairs(raw)
    .filter(([name]) => !HOP_BY_HOP.has(name.toLowerCase()) && !without.has(name.toLowerCase()))
    .flat()
}

function pairs(raw: readonly string[]): [string, string][] {
  const result: [string, string][] = []
  for (let at = 0; at + 1 < raw.length; at += 2) result.push([raw[at] ?? '', raw[at + 1] ?? ''])
  return result
}

function rayOf(): string {
  return `${randomBytes(8).toString('hex')}-ICN`
}

function refuse(response: ServerResponse, { status, code, reason }: EdgeRefusal): void {
  response.writeHead(status, {
    'content-type': 'text/html; charset=UTF-8',
    server: 'cloudflare',
    'cf-ray': rayOf(),
  })
  response.end(`<!DOCTYPE html><title>${reason}</title><h1>Error ${code}</h1><p>${reason}</p>\n`)
}

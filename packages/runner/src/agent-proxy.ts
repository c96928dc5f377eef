import { createHash, timingSafeEqual } from 'node:crypto'
import http from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { ROUTER_CREDENTIAL_HEADER } from '@agentctl/contract/runner-constants.ts'
import { pause } from './back-off.ts'
import { exchange } from './exchange.ts'
import { answerHeaders, HEADER_BYTES_MAX, requestHeaders } from './proxied-headers.ts'

/** An agent's process as the proxy sees it. */
export interface Target {
  host: string
  port: number
  /** Requests and tunnels that are open now. */
  open: number
}

type Absence = 'no_release' | 'starting' | 'crashed' | 'stopped'

/** How long one side of a tunnel may go on after the other has ended; the router waits a little less. */
const TUNNEL_END_MS = 3000

const REASON_HEADER = 'x-agentctl-reason'

/**
 * What the router talks to: hands each request to the agent, both directions streamed. It buffers nothing, knows no
 * time limit of its own, and passes an abort on to the other side.
 */
export class AgentProxy {
  readonly #server: http.Server
  readonly #credential: Buffer
  #target: Target | undefined
  #absence: Absence = 'starting'

  constructor(routerCredential: string) {
    this.#credential = digest(routerCredential)
    this.#server = http.createServer({
      // Longer than the router keeps a connection, so that it is the router who ends one.
      keepAliveTimeout: 90_000,
      requestTimeout: 0,
      noDelay: true,
      maxHeaderSize: HEADER_BYTES_MAX,
    })
    this.#server.on('request', (request, response) => this.#forward(request, response))
    this.#server.on('upgrade', (request, socket, head) => this.#tunnel(request, socket, head))
    // The agent decides about the body, so its 100 Continue is ours.
    this.#server.on('checkContinue', (request, response) => {
      response.writeContinue()
      this.#forward(request, response)
    })
    this.#server.on('clientError', (_error, socket) => socket.destroy())
  }

  /** Listens at the first of these ports that can be had; 0 stands for any. */
  async listen(address: string, ports: readonly number[]): Promise<number> {
    for (const port of ports) {
      try {
        return await this.#listenAt(address, port)
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? error.code : undefined
        if (code !== 'EADDRINUSE' && code !== 'EACCES') throw error
      }
    }
    throw new Error(`no port of ${address} is free`)
  }

  #listenAt(address: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host: address, port }, () => {
        this.#server.off('error', reject)
        const bound = this.#server.address()
        resolve(typeof bound === 'object' && bound ? bound.port : port)
      })
    })
  }

  pointTo(target: Target): void {
    this.#target = target
  }

  /** Nothing serves any more, unless another target took over in the meantime. */
  pointAway(target: Target | undefined, absence: Absence): void {
    if (target && this.#target !== target) return
    this.#target = undefined
    this.#absence = absence
  }

  get open(): number {
    return this.#target?.open ?? 0
  }

  /** Waits until a target has no open request, at most `ms`. */
  async drained(target: Target, ms: number): Promise<void> {
    const deadline = Date.now() + ms
    while (target.open > 0 && Date.now() < deadline) await pause(20)
  }

  /** Takes no new connection, lets what is open end within `ms`, and cuts off the rest. */
  async close(ms: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeIdleConnections()
    await Promise.race([closed, pause(ms)])
    this.#server.closeAllConnections()
  }

  #knows(request: http.IncomingMessage): boolean {
    const sent = request.headers[ROUTER_CREDENTIAL_HEADER]
    return typeof sent === 'string' && timingSafeEqual(digest(sent), this.#credential)
  }

  #forward(request: http.IncomingMessage, response: http.ServerResponse): void {
    if (!this.#knows(request)) {
      refuse(response, 403, 'forbidden', 'Only the router may talk to this port.')
      return
    }
    const target = this.#target
    if (!target) {
      this.#absent(response, this.#absence)
      return
    }
    target.open++
    response.once('close', () => {
      target.open--
    })
    exchange({
      request,
      response,
      at: target,
      unanswered: (error) => {
        // Its process has just ended, or does not take connections any more.
        if (error.code === 'ECONNREFUSED') this.#absent(response, 'crashed')
        else refuse(response, 502, 'agent_failed', 'The agent closed the connection without an answer.')
      },
    })
  }

  #tunnel(request: http.IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy())
    if (!this.#knows(request)) {
      socket.end(plainAnswer(403, 'forbidden', 'Only the router may talk to this port.'))
      return
    }
    const target = this.#target
    if (!target) {
      socket.end(plainAnswer(503, 'agent_not_running', absenceSentence(this.#absence), this.#absence))
      return
    }
    target.open++
    socket.once('close', () => {
      target.open--
    })
    const outgoing = http.request({
      method: request.method,
      path: request.url,
      headers: [
        ...requestHeaders(request.rawHeaders),
        'connection',
        'Upgrade',
        'upgrade',
        request.headers.upgrade ?? '',
      ],
      setHost: false,
      maxHeaderSize: HEADER_BYTES_MAX,
      // Either side may finish sending and go on receiving.
      createConnection: () =>
        connect({ host: target.host, port: target.port, allowHalfOpen: true, noDelay: true }),
    })
    outgoing.on('upgrade', (answer, upstream: Socket, upstreamHead) => {
      socket.write(headText(answer, answerHeaders(answer.rawHeaders, ['connection', 'upgrade'])))
      if (upstreamHead.length > 0) socket.write(upstreamHead)
      if (head.length > 0) upstream.write(head)
      upstream.pipe(socket)
      socket.pipe(upstream)
      upstream.on('error', () => socket.destroy())
      upstream.on('close', () => socket.destroy())
      socket.on('close', () => upstream.destroy())
      // Both sides stay open for writing after the other's end; one that never says anything again would be held, and
      // counted as a request under way, for as long as the agent runs.
      for (const side of [socket, upstream]) {
        side.once('end', () => {
          setTimeout(() => {
            socket.destroy()
            upstream.destroy()
          }, TUNNEL_END_MS).unref()
        })
      }
    })
    // The agent declines the upgrade: its answer goes back as it is, and the connection ends with it.
    outgoing.on('response', (answer) => {
      const headers = answerHeaders(answer.rawHeaders, [], ['transfer-encoding'])
      socket.write(headText(answer, [...headers, 'connection', 'close']))
      answer.pipe(socket)
      answer.on('error', () => socket.destroy())
    })
    outgoing.on('error', () => {
      if (socket.writable) {
        socket.end(plainAnswer(502, 'agent_failed', 'The agent closed the connection without an answer.'))
      }
    })
    socket.once('close', () => outgoing.destroy())
    outgoing.end()
  }

  #absent(response: http.ServerResponse, absence: Absence): void {
    refuse(response, 503, 'agent_not_running', absenceSentence(absence), absence)
  }
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

const absenceSentence = (absence: Absence): string =>
  ({
    no_release: 'No release runs on this machine yet.',
    starting: 'The agent is starting.',
    crashed: 'The agent crashed and is started again.',
    stopped: 'The agent is stopped.',
  })[absence]

function refuse(
  response: http.ServerResponse,
  status: number,
  code: string,
  message: string,
  reason: string = code,
): void {
  const body = JSON.stringify({ code, message, reason })
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    [REASON_HEADER]: reason,
    // A stranger's request is read no further. The router's is, into nowhere: hanging up on one who still sends would
    // cost it the answer.
    ...(status === 403 ? { connection: 'close' } : {}),
  })
  response.end(body)
}

function plainAnswer(status: number, code: string, message: string, reason: string = code): string {
  const body = JSON.stringify({ code, message, reason })
  return [
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status] ?? ''}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    `${REASON_HEADER}: ${reason}`,
    'connection: close',
    '',
    body,
  ].join('\r\n')
}

const headText = (answer: http.IncomingMessage, headers: string[]): string => {
  const lines = [`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage ?? ''}`]
  for (let at = 0; at + 1 < headers.length; at += 2) lines.push(`${headers[at]}: ${headers[at + 1]}`)
  return `${lines.join('\r\n')}\r\n\r\n`
}

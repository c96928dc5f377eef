import {
  type ClientRequest,
  Agent as Connections,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { type Framing, headersForClient, type RawHeaders, trailersOf } from './forwarded-headers.ts'
import { stopReading } from './linger.ts'
import type { Silence } from './refusal.ts'
import type { RoutedMachine } from './route-table.ts'

export interface Patience {
  connectMs: number
  /** A runner that replaces itself does not listen for some hundred milliseconds: how long it is tried again. */
  refusedMs: number
  /** Until the answer begins, counted from the last byte of the request. */
  answerMs: number
}

export const PATIENCE: Patience = { connectMs: 5000, refusedMs: 2000, answerMs: 120_000 }

const REFUSED_PAUSE_MS = 25

/** A client that waits for `100 Continue` in vain sends its body after about as long. */
const CONTINUE_PATIENCE_MS = 1000
const HEADER_BYTES_MAX = 32 * 1024

/** One request on its way to a machine, and the answer on its way back. */
export interface Exchange {
  incoming: IncomingMessage
  response: ServerResponse
  machine: RoutedMachine
  path: string
  headers: RawHeaders
  framing: Framing
  /** The client waits for `100 Continue` before it sends its body. */
  expectsContinue: boolean
  patience: Patience
  /** The machine agreed to another protocol; only called when `headers` ask for one. */
  switched?(answer: IncomingMessage, socket: Socket, head: Buffer): void
}

/** How an exchange ended for which the client has not been answered. */
export type Unanswered = { silence: Silence; fault: unknown } | { absence: string; status: number }

/** A runner keeps a connection for longer, so that it is never it who ends one that is about to be used. */
const IDLE_MS = 60_000

/** Kept-alive connections, one pool for each machine. */
export class MachineConnections extends Connections {
  constructor() {
    super({ keepAlive: true, maxFreeSockets: 64, timeout: IDLE_MS })
  }

  override getName(options: { host?: string; port?: number; machineId?: string }): string {
    return `${options.machineId} ${options.host} ${options.port}`
  }
}

/**
 * Each connection serves one request. Not by `agent: false`: that announces the end of the connection, and the machine
 * would then hang up on an upload that it refuses early.
 */
class OneOffConnections extends Connections {
  constructor() {
    super({ keepAlive: true })
  }

  override keepSocketAlive(): boolean {
    return false
  }
}

const oneOff = new OneOffConnections()

class TooLate extends Error {
  readonly silence: Silence

  constructor(silence: Silence) {
    super(silence)
    this.silence = silence
  }
}

/**
 * Streams both ways and resolves when the answer has begun (undefined), or when none will come and the client is
 * still waiting for one. A client that goes away ends the request at the machine, and the other way round.
 */
export async function carry(
  exchange: Exchange,
  connections: MachineConnections,
): Promise<Unanswered | undefined> {
  const { incoming, response, patience } = exchange
  const deadline = performance.now() + patience.refusedMs
  // A kept-alive connection may close at the moment of its use; who cannot be sent twice gets one of their own.
  let pool: Connections = mayRepeat(exchange) ? connections : oneOff
  for (;;) {
    const end = await attempt(exchange, pool)
    if (end === 'closed before any byte') {
      if (pool === oneOff || response.destroyed) return { silence: 'closed', fault: end }
      pool = oneOff
      continue
    }
    if (end !== 'refused') return end
    if (response.destroyed || performance.now() > deadline) {
      stopReading(incoming)
      return { silence: 'unreachable', fault: 'ECONNREFUSED' }
    }
    await pause(REFUSED_PAUSE_MS)
  }
}

/** How an attempt ended after which another one may be made. `refused`: nothing was sent, and nothing taken. */
type Repeatable = 'closed before any byte' | 'refused'

/** The machine may close a kept-alive connection at the very moment in which it is used again. */
function mayRepeat({ incoming, framing }: Exchange): boolean {
  const idempotent = /^(GET|HEAD|OPTIONS|PUT|DELETE|TRACE)$/.test(incoming.method ?? '')
  return idempotent && framing.kind === 'none'
}

function attempt(exchange: Exchange, connections: Connections): Promise<Unanswered | Repeatable | undefined> {
  const { incoming, response, machine, patience } = exchange
  return new Promise((resolve) => {
    const options = {
      host: machine.address,
      port: machine.port,
      machineId: machine.id,
      method: incoming.method ?? 'GET',
      path: exchange.path,
      headers: exchange.headers,
      setHost: false,
      maxHeaderSize: HEADER_BYTES_MAX,
      agent: connections,
    }
    let outgoing: ClientRequest
    try {
      outgoing = request(options)
    } catch (fault) {
      // Characters in the target that Node does not send.
      resolve({ silence: 'garbled', fault })
      return
    }
    const late = setTimeout(() => outgoing.destroy(new TooLate('late')), patience.answerMs)
    const clientLeft = (): void => {
      if (!response.writableFinished) outgoing.destroy()
    }
    response.once('close', clientLeft)
    const settle = (end: Unanswered | Repeatable | undefined): void => {
      clearTimeout(late)
      resolve(end)
    }
    outgoing.once('socket', (socket) => limitConnecting(outgoing, socket, patience.connectMs))
    outgoing.once('error', (fault: NodeJS.ErrnoException) => {
      response.off('close', clientLeft)
      if (fault.code === 'ECONNREFUSED') {
        settle('refused')
        return
      }
      stopReading(incoming)
      settle(
        outgoing.reusedSocket && (fault.code === 'ECONNRESET' || fault.code === 'EPIPE')
          ? 'closed before any byte'
          : { silence: silenceOf(fault), fault },
      )
    })
    outgoing.once('response', (answer) => {
      const absence = answer.headers['x-agentctl-reason']
      if (typeof absence === 'string') {
        response.off('close', clientLeft)
        stopReading(incoming)
        outgoing.on('error', () => {})
        outgoing.destroy()
        settle({ absence, status: answer.statusCode ?? 0 })
        return
      }
      settle(deliver(exchange, outgoing, answer))
    })
    if (exchange.switched) {
      outgoing.once('upgrade', (answer, socket, head) => {
        response.off('close', clientLeft)
        exchange.switched?.(answer, socket, head)
        settle(undefined)
      })
    }
    // No part of the body is taken before there is a connection, so that a refused one costs nothing.
    const send = (): void => sendBody(exchange, outgoing, () => late.refresh())
    if (exchange.framing.kind === 'none') send()
    else outgoing.once('socket', (socket) => (socket.connecting ? socket.once('connect', send) : send()))
  })
}

function limitConnecting(outgoing: ClientRequest, socket: Socket, connectMs: number): void {
  if (!socket.connecting) return
  const timer = setTimeout(() => outgoing.destroy(new TooLate('unreachable')), connectMs)
  socket.once('connect', () => clearTimeout(timer))
  socket.once('close', () => clearTimeout(timer))
}

function silenceOf(fault: NodeJS.ErrnoException): Silence {
  if (fault instanceof TooLate) return fault.silence
  if (fault.code?.startsWith('HPE_')) return 'garbled'
  return fault.code === 'ECONNRESET' || fault.code === 'EPIPE' ? 'closed' : 'unreachable'
}

function sendBody(exchange: Exchange, outgoing: ClientRequest, progress: () => void): void {
  const { incoming, response, framing } = exchange
  if (framing.kind === 'none') {
    outgoing.end()
    return
  }
  // The pipe does not end the request: trailers come after the body and before the end.
  const begin = (): void => {
    incoming.pipe(outgoing, { end: false })
    incoming.on('data', progress)
    incoming.once('end', () => {
      if (framing.kind === 'chunked') outgoing.addTrailers(trailersOf(incoming))
      outgoing.end()
    })
    incoming.on('error', () => outgoing.destroy())
  }
  if (!exchange.expectsContinue) {
    begin()
    return
  }
  let begun = false
  const proceed = (): void => {
    if (begun || response.headersSent || response.destroyed || outgoing.destroyed) return
    begun = true
    response.writeContinue()
    begin()
  }
  const timer = setTimeout(proceed, CONTINUE_PATIENCE_MS)
  outgoing.once('continue', proceed)
  outgoing.once('close', () => clearTimeout(timer))
  outgoing.flushHeaders()
}

function deliver(
  { incoming, response, expectsContinue }: Exchange,
  outgoing: ClientRequest,
  answer: IncomingMessage,
): Unanswered | undefined {
  // From here on the client has an answer; that it was cut short is told by cutting it short.
  outgoing.on('error', () => {})
  const chunked = incoming.httpVersion !== '1.0' && answer.headers['content-length'] === undefined
  const headers = headersForClient(answer, { chunked: chunked && hasBody(incoming, answer) })
  // A client whose expectation was not met may or may not send its body: only a new connection is sure to be clear.
  if (expectsContinue && !incoming.complete && incoming.readableFlowing === null) {
    headers.push('Connection', 'close')
  }
  try {
    response.writeHead(answer.statusCode ?? 0, answer.statusMessage, headers)
  } catch (fault) {
    outgoing.destroy()
    return { silence: 'garbled', fault }
  }
  // The headers of an event stream must not wait for its first event.
  response.flushHeaders()
  answer.once('end', () => {
    if (chunked) response.addTrailers(trailersOf(answer))
  })
  response.once('finish', () => {
    if (incoming.complete) return
    stopReading(incoming)
    outgoing.destroy()
  })
  // Not `pipeline`, whose abort signal, with an error and its stack for each request, costs a tenth of the whole.
  answer.on('error', () => {
    outgoing.destroy()
    response.destroy()
  })
  answer.pipe(response)
  return undefined
}

function hasBody(incoming: IncomingMessage, answer: IncomingMessage): boolean {
  return incoming.method !== 'HEAD' && answer.statusCode !== 204 && answer.statusCode !== 304
}

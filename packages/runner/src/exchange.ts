import http from 'node:http'
import { AgentConnections } from './agent-connections.ts'
import { answerHeaders, HEADER_BYTES_MAX, requestHeaders } from './proxied-headers.ts'

interface Exchange {
  request: http.IncomingMessage
  response: http.ServerResponse
  at: { host: string; port: number }
  /** No answer will come, and the router is still waiting for one. */
  unanswered(error: NodeJS.ErrnoException): void
}

const kept = new AgentConnections({ kept: true })
const fresh = new AgentConnections({ kept: false })

/**
 * Hands one request to the agent and its answer back, both streamed. A kept connection may turn out to be closed when
 * it is used, and nobody knows then whether the request arrived: over one goes only what may be sent twice, or what
 * goes to an agent that has always promised to keep its connections for some time.
 */
export function exchange(parts: Exchange): void {
  attempt(parts, mayRepeat(parts.request) || promises.get(parts.at) ? kept : fresh)
}

/** Whether an agent announces with each answer for how long it keeps a connection; once without is never again. */
const promises = new WeakMap<Exchange['at'], boolean>()

function notePromise(at: Exchange['at'], { headers }: http.IncomingMessage): void {
  if (headers.connection?.toLowerCase() === 'close' || promises.get(at) === false) return
  promises.set(at, /timeout=\d/.test(String(headers['keep-alive'])))
}

function mayRepeat({ method, headers }: http.IncomingMessage): boolean {
  const changesNothing = method === 'GET' || method === 'HEAD' || method === 'OPTIONS'
  return (
    changesNothing && headers['transfer-encoding'] === undefined && headers['content-length'] === undefined
  )
}

function attempt(parts: Exchange, connections: AgentConnections): void {
  const { request, response, at } = parts
  let answered = false
  const outgoing = http.request({
    host: at.host,
    port: at.port,
    method: request.method,
    path: request.url,
    headers: requestHeaders(request.rawHeaders),
    setHost: false,
    agent: connections,
    maxHeaderSize: HEADER_BYTES_MAX,
  })
  const over = (): void => {
    if (!response.writableFinished || !request.complete) outgoing.destroy()
    // The router sends the rest of its request into nowhere, and the connection to it can be used again.
    if (request.complete) return
    request.unpipe(outgoing)
    request.resume()
  }
  response.once('close', over)
  outgoing.on('response', (answer) => {
    answered = true
    notePromise(at, answer)
    response.writeHead(answer.statusCode ?? 502, answer.statusMessage, answerHeaders(answer.rawHeaders))
    // The first byte of a stream of events may be long in coming; its headers must not wait for it.
    response.flushHeaders()
    carry(answer, response)
    // Cut off in the middle: the router must see that too, not an end.
    answer.on('error', () => response.destroy())
  })
  outgoing.on('error', (error: NodeJS.ErrnoException) => {
    // After an answer the rest of the request is of no interest to the agent; the answer still goes its way.
    if (answered) return
    answered = true
    response.off('close', over)
    request.unpipe(outgoing)
    request.resume()
    if (response.destroyed) return
    const broken = outgoing.reusedSocket && error.code === 'ECONNRESET'
    if (broken) promises.set(at, false)
    if (broken && mayRepeat(request)) attempt(parts, fresh)
    else parts.unanswered(error)
  })
  if (mayRepeat(request)) {
    outgoing.end()
    return
  }
  carry(request, outgoing)
  request.on('error', () => outgoing.destroy())
}

/** Carries a body to its end, and then the trailers that came after it. */
function carry(from: http.IncomingMessage, to: http.OutgoingMessage): void {
  from.pipe(to, { end: false })
  from.once('end', () => {
    const trailers: [string, string][] = []
    for (let at = 0; at + 1 < from.rawTrailers.length; at += 2) {
      trailers.push([from.rawTrailers[at] ?? '', from.rawTrailers[at + 1] ?? ''])
    }
    if (trailers.length > 0) to.addTrailers(trailers)
    to.end()
  })
}

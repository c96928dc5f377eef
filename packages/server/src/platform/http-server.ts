import { createServer, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import { answerHeaders, problemBody, problemHeaders } from './answers.ts'
import { newId } from './ids.ts'
import { Problem } from './problem.ts'

const CLOSE_PATIENCE_MS = 5000
const IDLE_LOOK_MS = 20

export function listen(
  fetch: (request: Request) => Response | Promise<Response>,
  host: string,
  port: number,
): Promise<Server> {
  return new Promise((resolve, reject) => {
    const answer = getRequestListener(fetch, { hostname: host, errorHandler: () => unreadable().answer })
    // Node itself would refuse a request without a host in words of its own.
    const http = createServer({ requireHostHeader: false }, (incoming, outgoing) => {
      if (incoming.headers.host !== undefined || incoming.httpVersion === '1.0') answer(incoming, outgoing)
      else send(unreadable('A request names its host.'), outgoing)
    })
    http.on('clientError', (error: NodeJS.ErrnoException, socket) => answerUnread(error, socket))
    http.on('checkExpectation', (_incoming, outgoing) => {
      send(unreadable('This server takes no such Expect header.'), outgoing)
    })
    // A connection that was busy when the stop began would be kept alive after its answer, and a runner would go on
    // polling over it until the patience of the stop is over.
    http.prependListener('request', (_incoming, response) => {
      if (!http.listening) response.shouldKeepAlive = false
    })
    http.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE' ? new Error(`Port ${port} is taken. Set PORT to a free one.`) : error,
      )
    })
    http.listen(port, host, () => resolve(http))
  })
}

/** Answers what Node itself could not read, in the same words as everything else is refused. */
function answerUnread({ code }: NodeJS.ErrnoException, socket: Duplex): void {
  if (code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const { status, headers, text } =
    code === 'HPE_HEADER_OVERFLOW'
      ? refusal(new Problem('headers_too_large'))
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? refusal(new Problem('request_timeout'))
        : unreadable()
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}content-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`,
  )
}

function send({ status, headers, text }: ReturnType<typeof refusal>, outgoing: ServerResponse): void {
  outgoing.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(text) }).end(text)
}

const unreadable = (detail = 'This is not a request that can be read as HTTP.') =>
  refusal(new Problem('invalid_request', detail, { fix: 'Correct the request line and the headers.' }))

function refusal(problem: Problem) {
  const requestId = newId('req')
  const body = problemBody(problem, requestId)
  const { status } = body
  const text = JSON.stringify(body)
  const headers = { ...answerHeaders({ https: false }), ...problemHeaders(problem, requestId) }
  return { status, headers, text, answer: new Response(text, { status, headers }) }
}

/** Takes no new connections and lets requests under way end; cuts off what is left when the patience is. */
export function closeServer(http: Server, patienceMs = CLOSE_PATIENCE_MS): Promise<void> {
  return new Promise((resolve) => {
    // Looked for again and again: to be told by each answer that it is over would cost every request something.
    const idle = setInterval(() => http.closeIdleConnections(), IDLE_LOOK_MS)
    http.close(() => {
      clearInterval(idle)
      resolve()
    })
    http.closeIdleConnections()
    setTimeout(() => http.closeAllConnections(), patienceMs).unref()
  })
}

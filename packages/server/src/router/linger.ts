import type { IncomingMessage, ServerResponse } from 'node:http'

/** How long a client may go on sending a body that nobody reads any more. */
const LINGER_MS = 5000

/** Lets the client finish its sentence, so that it reads the answer instead of a reset connection. */
export function stopReading(incoming: IncomingMessage): void {
  if (incoming.complete) return
  incoming.unpipe()
  incoming.removeAllListeners('data')
  incoming.on('error', () => {})
  incoming.resume()
  const timer = setTimeout(() => {
    if (!incoming.complete) incoming.destroy()
  }, LINGER_MS)
  incoming.once('close', () => clearTimeout(timer))
  incoming.once('end', () => clearTimeout(timer))
}

/**
 * Node hangs up on a client that asked for that as soon as it has its answer, also while it is still sending: its
 * writing fails then, and the answer is lost. This hangs up once both have been said to their end.
 */
export function hangUpLater(incoming: IncomingMessage, response: ServerResponse): void {
  // Before HTTP/1.1 it is the end of the connection that ends an answer.
  if (response.shouldKeepAlive || incoming.httpVersion === '1.0') return
  const { socket } = incoming
  response.shouldKeepAlive = true
  response.once('finish', () => {
    if (incoming.complete) socket.destroySoon()
    else incoming.once('close', () => socket.destroySoon())
  })
}

import type { Server } from 'node:http'
import { serve } from '@hono/node-server'

const CLOSE_PATIENCE_MS = 5000

export function listen(
  fetch: (request: Request) => Response | Promise<Response>,
  host: string,
  port: number,
): Promise<Server> {
  return new Promise((resolve, reject) => {
    const http = serve({ fetch, hostname: host, port }, () => resolve(http as Server)) as Server
    // A connection that was busy when the stop began would be kept alive after its answer, and a runner would go on
    // polling over it until the patience of the stop is over.
    http.prependListener('request', (_incoming, response) => {
      if (!http.listening) response.shouldKeepAlive = false
      response.once('close', () => {
        if (!http.listening) setImmediate(() => http.closeIdleConnections())
      })
    })
    http.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE' ? new Error(`Port ${port} is taken. Set PORT to a free one.`) : error,
      )
    })
  })
}

/** Takes no new connections and lets requests under way end; cuts off what is left when the patience is. */
export function closeServer(http: Server, patienceMs = CLOSE_PATIENCE_MS): Promise<void> {
  return new Promise((resolve) => {
    http.close(() => resolve())
    http.closeIdleConnections()
    setTimeout(() => http.closeAllConnections(), patienceMs).unref()
  })
}

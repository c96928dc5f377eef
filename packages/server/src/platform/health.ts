import { createServer, type ServerResponse } from 'node:http'
import type { Db } from './db.ts'
import type { Metrics } from './metrics.ts'

export interface Health {
  /** From now on no new work should come here. */
  retire(): void
  close(): Promise<void>
}

const PING_MS = 2000

/**
 * Tells whoever runs this server whether it is alive (if not, start it anew: a database that is away does not count,
 * since starting anew would not bring it back) and whether it is ready for work; and what it counts of itself, in the
 * text format of Prometheus. This port is for them only: no route from outside leads to it.
 */
export async function tellHealth(
  {
    db,
    host,
    port,
    metrics,
  }: { db: Pick<Db, 'ping'>; host: string; port: number; metrics: Pick<Metrics, 'text'> },
  isAlive: () => boolean,
): Promise<Health & { port: number }> {
  let retired = false
  const isReady = async (): Promise<boolean> => {
    if (retired || !isAlive()) return false
    const late = new Promise<boolean>((resolve) => setTimeout(resolve, PING_MS, false).unref())
    return Promise.race([
      late,
      db.ping().then(
        () => true,
        () => false,
      ),
    ])
  }
  const tell = async (response: ServerResponse): Promise<void> => {
    const text = await metrics.text()
    response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text)
  }
  const server = createServer((request, response) => {
    const answer = (good: boolean): void => {
      response.writeHead(good ? 200 : 503, { 'content-type': 'text/plain' }).end(good ? 'ok\n' : 'no\n')
    }
    if (request.url === '/live') answer(isAlive())
    else if (request.url === '/ready') void isReady().then(answer)
    else if (request.url === '/metrics') void tell(response)
    else response.writeHead(404).end()
  })
  const actual = await new Promise<number>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address ? address.port : port)
    })
  })
  return {
    port: actual,
    retire() {
      retired = true
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

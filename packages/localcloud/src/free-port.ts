import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/** Below those that systems give to outgoing connections, one of which would take a port before it is listened on. */
const PORTS = [20_000, 32_000] as const
const TRIES = 100

/** Whether nobody listens on this port of 127.0.0.1. */
export async function isFree(port: number): Promise<boolean> {
  return (await tryPort(port)) !== undefined
}

/** A port of 127.0.0.1 on which nobody listens: the preferred one when it is free, else any. */
export async function freePort(preferred?: number): Promise<number> {
  if (preferred !== undefined) {
    const port = await tryPort(preferred)
    if (port !== undefined) return port
  }
  for (let tries = 0; tries < TRIES; tries++) {
    const port = await tryPort(randomInt(...PORTS))
    if (port !== undefined) return port
  }
  throw new Error('No port of 127.0.0.1 is free.')
}

function tryPort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(undefined))
    probe.listen({ host: '127.0.0.1', port, exclusive: true }, () => {
      const address = probe.address()
      const found = typeof address === 'object' && address ? address.port : undefined
      probe.close(() => resolve(found))
    })
  })
}

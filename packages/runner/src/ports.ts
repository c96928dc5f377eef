import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/** Whether a process could listen on this port now, on every address. */
const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, exclusive: true }, () => server.close(() => resolve(true)))
  })

// Below the range from which Linux takes the ports of outgoing connections: such a port cannot be lost between the
// test and the moment when the agent listens.
const FIRST = 20_000
const LAST = 32_000

/** The wished port when it is free, else a fresh one. */
export async function choosePort(wished: number | null): Promise<number> {
  if (wished !== null && (await isFree(wished))) return wished
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(FIRST, LAST)
    if (await isFree(port)) return port
  }
  throw new Error(`no port between ${FIRST} and ${LAST} is free`)
}

import http from 'node:http'
import { connect, type Socket } from 'node:net'
import { pause } from './back-off.ts'

/** Loopback by both families: some programs listen only where `localhost` first leads them. */
const LOOPBACKS = ['127.0.0.1', '::1'] as const

/** Time that one answer to the health path may take. */
const ANSWER_MS = 5000
const FIRST_PAUSE_MS = 10
const LONGEST_PAUSE_MS = 250

export type Probe =
  | { is: 'healthy'; host: string }
  | { is: 'not_listening' }
  | { is: 'unhealthy'; how: string }

/** Asks until the agent is healthy or the time is over; answers with the last thing that was seen. */
export async function waitForHealth(
  port: number,
  path: string | null,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Probe> {
  const deadline = Date.now() + timeoutMs
  let pauseMs = FIRST_PAUSE_MS
  let asked = 0
  for (;;) {
    const probe = await probeOnce(port, path, deadline, signal)
    if (probe.is === 'healthy' || signal.aborted || Date.now() >= deadline) return probe
    await pause(Math.min(pauseMs, Math.max(deadline - Date.now(), 1)), signal)
    // For the first two seconds or so an agent is about to start at any moment.
    if (++asked > 100) pauseMs = Math.min(pauseMs * 1.2, LONGEST_PAUSE_MS)
  }
}

async function probeOnce(
  port: number,
  path: string | null,
  deadline: number,
  signal: AbortSignal,
): Promise<Probe> {
  for (const host of LOOPBACKS) {
    const socket = await connectTo(host, port)
    if (!socket) continue
    if (path === null) {
      socket.destroy()
      return { is: 'healthy', host }
    }
    const answer = await ask(socket, path, {
      host: `${host === '::1' ? '[::1]' : host}:${port}`,
      timeoutMs: Math.min(ANSWER_MS, Math.max(deadline - Date.now(), 100)),
      signal,
    })
    if (typeof answer === 'number' && answer >= 200 && answer < 400) return { is: 'healthy', host }
    return { is: 'unhealthy', how: typeof answer === 'number' ? `answered ${answer}` : answer }
  }
  return { is: 'not_listening' }
}

/** A bare connection, since most attempts come before the agent listens and shall cost it no processor time. */
const connectTo = (host: string, port: number): Promise<Socket | undefined> =>
  new Promise((resolve) => {
    const socket = connect({ host, port, noDelay: true })
    const giveUp = (): void => {
      socket.destroy()
      resolve(undefined)
    }
    socket.setTimeout(ANSWER_MS, giveUp)
    socket.once('error', giveUp)
    socket.once('connect', () => {
      socket.setTimeout(0)
      socket.off('error', giveUp)
      // Whoever uses it listens for faults; until then one must not end the runner.
      socket.on('error', () => {})
      resolve(socket)
    })
  })

const ask = (
  socket: Socket,
  path: string,
  { host, timeoutMs, signal }: { host: string; timeoutMs: number; signal: AbortSignal },
): Promise<number | string> =>
  new Promise((resolve) => {
    const request = http.get({
      path,
      signal,
      createConnection: () => socket,
      headers: { host, 'user-agent': 'agentctl-health', connection: 'close' },
    })
    const timer = setTimeout(() => {
      resolve(`did not answer within ${Math.round(timeoutMs / 100) / 10} seconds`)
      request.destroy()
    }, timeoutMs)
    request.on('response', (response) => {
      clearTimeout(timer)
      resolve(response.statusCode ?? 0)
      response.resume()
      request.destroy()
    })
    request.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer)
      resolve(`closed the connection without an answer (${error.code ?? error.message})`)
    })
  })

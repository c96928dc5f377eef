import http from 'node:http'
import { connect } from 'node:net'
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
    if (path === null) {
      if (await accepts(host, port)) return { is: 'healthy', host }
      continue
    }
    const answer = await ask(
      host,
      port,
      path,
      Math.min(ANSWER_MS, Math.max(deadline - Date.now(), 100)),
      signal,
    )
    if (answer === 'refused') continue
    if (typeof answer === 'number' && answer >= 200 && answer < 400) return { is: 'healthy', host }
    return { is: 'unhealthy', how: typeof answer === 'number' ? `answered ${answer}` : answer }
  }
  return { is: 'not_listening' }
}

const accepts = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port })
    socket.setTimeout(ANSWER_MS, () => {
      socket.destroy()
      resolve(false)
    })
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })

const ask = (
  host: string,
  port: number,
  path: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<number | string> =>
  new Promise((resolve) => {
    const request = http.get({
      host,
      port,
      path,
      agent: false,
      signal,
      headers: { host: `${host === '::1' ? '[::1]' : host}:${port}`, 'user-agent': 'agentctl-health' },
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
      const refused =
        error.code === 'ECONNREFUSED' || error.code === 'EADDRNOTAVAIL' || error.code === 'EAFNOSUPPORT'
      resolve(
        refused ? 'refused' : `closed the connection without an answer (${error.code ?? error.message})`,
      )
    })
  })

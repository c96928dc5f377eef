import type { Metrics } from '../platform/metrics.ts'
import { type Transport, TransportError } from './transport.ts'

/** In place of the host that somebody tried to call: it could be any. */
const NOT_ALLOWED = 'not allowed'
const CALL_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** The transport with each call counted by its host, of which there are only those that may be called. */
export function measuredTransport(transport: Transport, metrics: Metrics): Transport {
  const calls = metrics.counter('agentctl_provider_calls_total', 'Calls to others by what came of them.')
  const seconds = metrics.histogram('agentctl_provider_seconds', 'Time of a call to others.', CALL_SECONDS)
  const counted = async <T extends { status: number }>(url: string, call: () => Promise<T>): Promise<T> => {
    const host = hostOf(url)
    const begun = performance.now()
    try {
      const answer = await call()
      calls({ host, outcome: `${Math.floor(answer.status / 100)}xx` }).add()
      return answer
    } catch (error) {
      calls({ host, outcome: outcomeOf(error) }).add()
      throw error
    } finally {
      seconds({ host }).observe((performance.now() - begun) / 1000)
    }
  }
  const { processors, infrastructure } = transport.egress
  const hosts = new Map([...processors, ...infrastructure].map((origin) => [origin, new URL(origin).host]))
  const hostOf = (url: string): string => hosts.get(new URL(url).origin) ?? NOT_ALLOWED
  // Told as zero from the start: a series that begins at one has not increased, and the first refusal would wake nobody.
  calls({ host: NOT_ALLOWED, outcome: 'host_not_allowed' })
  for (const origin of processors) calls({ host: hostOf(origin), outcome: 'field_not_allowed' })
  return {
    ...transport,
    send: (call) => counted(call.url, () => transport.send(call)),
    stream: (call) => counted(call.url, () => transport.stream(call)),
  }
}

/** Few words for many codes: each is a series. */
function outcomeOf(error: unknown): string {
  if (!(error instanceof TransportError)) return 'failed'
  if (error.code === 'timeout' || error.code === 'host_not_allowed' || error.code === 'field_not_allowed') {
    return error.code
  }
  return error.mayHaveBeenSent ? 'broken_off' : 'unreachable'
}

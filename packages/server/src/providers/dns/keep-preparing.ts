import { setTimeout as pause } from 'node:timers/promises'
import { faultOf, type Log } from '../../platform/log.ts'
import type { Hostnames } from './cloudflare.ts'

/** Loading the provider's client takes half a second, which a server that has just started needs for others. */
const START_PAUSE_MS = 2_000
const FIRST_PAUSE_MS = 10_000
const PAUSE_MS_MAX = 10 * 60_000

/** Prepares the zone in the background until it is ready, and says what is in the way. Returns what stops it. */
export function keepPreparing(hostnames: Pick<Hostnames, 'prepare'>, log: Log): () => Promise<void> {
  const stopping = new AbortController()
  const { signal } = stopping
  const keep = async (): Promise<void> => {
    const rest = (ms: number) => pause(ms, undefined, { signal }).catch(() => undefined)
    await rest(START_PAUSE_MS)
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX)) {
      const { isReady, troubles } = await hostnames.prepare()
      if (isReady) return log.info("The zone is ready for customers' domains", { provider: 'cloudflare' })
      for (const trouble of troubles) log.error(trouble, { provider: 'cloudflare' })
      await rest(pauseMs)
    }
  }
  const kept = keep().catch((error: unknown) => {
    log.error("The zone could not be prepared for customers' domains", { fault: faultOf(error) })
  })
  return async () => {
    stopping.abort()
    await kept
  }
}

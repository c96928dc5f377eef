import { setTimeout as pause } from 'node:timers/promises'
import { faultOf } from '../../platform/fault.ts'
import type { Log } from '../../platform/log.ts'
import type { Hostnames } from './cloudflare.ts'

const PAUSES = {
  /** Loading the provider's client takes half a second, which a server that has just started needs for others. */
  startMs: 2_000,
  firstMs: 10_000,
  mostMs: 10 * 60_000,
}

const BROKEN = "The zone could not be prepared for customers' domains"

/** Prepares the zone in the background until it is ready, and says what is in the way. Returns what stops it. */
export function keepPreparing(
  hostnames: Pick<Hostnames, 'prepare'>,
  log: Log,
  { startMs, firstMs, mostMs } = PAUSES,
): () => Promise<void> {
  const stopping = new AbortController()
  const { signal } = stopping
  const keep = async (): Promise<void> => {
    const rest = (ms: number) => pause(ms, undefined, { signal }).catch(() => undefined)
    await rest(startMs)
    for (let pauseMs = firstMs; !signal.aborted; pauseMs = Math.min(pauseMs * 2, mostMs)) {
      const { isReady, troubles } = await hostnames.prepare()
      // A stop waits for no answer, and an answer that comes after it says nothing.
      if (signal.aborted) return
      if (isReady) return log.info("The zone is ready for customers' domains", { provider: 'cloudflare' })
      for (const trouble of troubles) log.error(trouble, { provider: 'cloudflare' })
      await rest(pauseMs)
    }
  }
  keep().catch((error: unknown) => {
    if (!signal.aborted) log.error(BROKEN, { fault: faultOf(error) })
  })
  return async () => stopping.abort()
}

import { setTimeout as pause } from 'node:timers/promises'

/** Hands out so many turns a second, evenly once a burst has been used at once: a second's worth unless told. */
export function tokenBucket(perSecond: number, burst = perSecond): { take(): Promise<void> } {
  let tokens = burst
  let filledAt = performance.now()
  return {
    async take() {
      const now = performance.now()
      tokens = Math.min(burst, tokens + ((now - filledAt) / 1000) * perSecond)
      filledAt = now
      // Taken at once, below zero if need be: everybody who waits has a turn of their own.
      tokens -= 1
      if (tokens < 0) await pause((-tokens / perSecond) * 1000)
    },
  }
}

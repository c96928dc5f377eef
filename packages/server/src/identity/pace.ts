import { setTimeout as wait } from 'node:timers/promises'

/**
 * Makes a refusal that needs no call to a provider take as long as one that does: otherwise the time of an answer
 * tells what its words keep to themselves.
 */
export interface Pace {
  /** Runs a real call and learns how long calls take. */
  keep<T>(call: () => Promise<T>): Promise<T>
  /** Takes about as long as the calls before. */
  imitate(): Promise<void>
}

const WEIGHT_OF_LATEST = 0.3
/** One call that hung must not make every refusal after it hang. */
const IMITATED_MS_MAX = 1_500

export function newPace(): Pace {
  let usualMs: number | undefined
  return {
    async keep(call) {
      const startedAt = performance.now()
      try {
        return await call()
      } finally {
        const tookMs = performance.now() - startedAt
        usualMs = usualMs === undefined ? tookMs : usualMs + (tookMs - usualMs) * WEIGHT_OF_LATEST
      }
    },
    async imitate() {
      await wait(Math.min(usualMs ?? 0, IMITATED_MS_MAX))
    },
  }
}

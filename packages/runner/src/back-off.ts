import { setTimeout as delay } from 'node:timers/promises'

/** Pauses that double from `firstMs` to `mostMs`. */
export class BackOff {
  readonly #firstMs: number
  readonly #mostMs: number
  #nextMs: number

  constructor(firstMs: number, mostMs: number) {
    this.#firstMs = firstMs
    this.#mostMs = mostMs
    this.#nextMs = firstMs
  }

  reset(): void {
    this.#nextMs = this.#firstMs
  }

  next(): number {
    const ms = this.#nextMs
    this.#nextMs = Math.min(ms * 2, this.#mostMs)
    return ms
  }

  /** Waits; `atLeastMs` is for a refusal that time alone is unlikely to change. */
  async wait(signal?: AbortSignal, atLeastMs = 0): Promise<void> {
    const ms = Math.max(this.next(), atLeastMs)
    // A little spread, so that many machines do not come back to a restarted server in the same moment.
    await pause(ms * (0.85 + Math.random() * 0.3), signal)
  }
}

/** Resolves after `ms`, or at once when aborted: who waits looks at the signal itself. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, signal ? { signal } : {})
  } catch {
    // Aborted.
  }
}

import type { Db } from './db.ts'

/** Ends a wait early when the database announces something about a key. */
export interface Wakes {
  /** Hears from now on: subscribe first, look at the rows then, and nothing falls between the two. */
  of(key: string): Wake
}

export interface Wake {
  /** Resolves at the next announcement (also one since the last wait), when the time is up, or when the signal aborts. */
  next(ms: number, signal: AbortSignal): Promise<void>
  close(): void
}

/** One LISTEN serves any number of waits, none of which holds a connection. */
export async function openWakes(db: Pick<Db, 'listen'>, channel: string): Promise<Wakes> {
  const waits = new Map<string, Set<() => void>>()
  const wakeAll = (): void => {
    for (const wake of [...waits.values()].flatMap((set) => [...set])) wake()
  }
  await db.listen(
    channel,
    (key) => {
      for (const wake of waits.get(key) ?? []) wake()
    },
    // Also after a lost connection, when announcements may have been missed.
    wakeAll,
  )
  return {
    of(key) {
      let announced = false
      let resolveWait = (): void => {}
      const wake = (): void => {
        announced = true
        resolveWait()
      }
      const set = waits.get(key) ?? new Set()
      waits.set(key, set.add(wake))
      return {
        async next(ms, signal) {
          if (!announced && !signal.aborted && ms > 0) {
            await new Promise<void>((resolve) => {
              const timer = setTimeout(resolve, ms)
              const stop = (): void => {
                clearTimeout(timer)
                signal.removeEventListener('abort', stop)
                resolve()
              }
              resolveWait = stop
              signal.addEventListener('abort', stop)
            })
          }
          resolveWait = () => {}
          announced = false
        },
        close() {
          set.delete(wake)
          if (set.size === 0 && waits.get(key) === set) waits.delete(key)
        },
      }
    },
  }
}

/** Opens on first use and again after a failure: routes are mounted before the database answers. */
export function lazyWakes(db: Pick<Db, 'listen'>, channel: string): () => Promise<Wakes> {
  let opened: Promise<Wakes> | undefined
  return () => {
    opened ??= openWakes(db, channel).catch((error: unknown) => {
      opened = undefined
      throw error
    })
    return opened
  }
}

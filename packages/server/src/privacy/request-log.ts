import type { Deps } from '../deps.ts'
import { clientNetwork } from '../platform/client-network.ts'
import { secondsAfter } from '../platform/clock.ts'
import { faultOf } from '../platform/fault.ts'
import type { AnsweredRequest } from '../platform/http.ts'
import { REQUEST_DAYS_ALARM } from '../platform/retention.ts'
import { insertRequests, oldestDay, prepareDays, type RequestRow } from './request-log-store.ts'

/**
 * Policy 1e: metadata of requests, written in batches off their path. A clean stop loses none; a crash loses those of the
 * last second.
 */
export interface RequestLog {
  record(request: AnsweredRequest): void
  /** Writes what is waiting; what cannot be written waits on. */
  flush(): Promise<void>
  stop(): Promise<void>
}

const FLUSH_EVERY_MS = 1000
export const ROWS_AT_ONCE = 2000
/** While the database is away; then the newest are dropped, and it is said how many. */
const WAITING_MAX = 100_000
const STOP_TRIES = 3
const LOOK_EVERY_MS = 3_600_000
const DAY_SECONDS = 86_400

export function openRequestLog({
  db,
  clock,
  log,
  pepper,
}: Pick<Deps, 'db' | 'clock' | 'log' | 'pepper'>): RequestLog {
  const waiting: AnsweredRequest[] = []
  const preparedDays = new Set<number>()
  let dropped = 0

  const rowOf = ({ clientAddress, ...kept }: AnsweredRequest): RequestRow => ({
    ...kept,
    networkHash: pepper.hmac(`network:${clientNetwork(clientAddress)}`).subarray(0, 16),
  })
  // The days ahead are made by durable work; this is for the first start, and for a clock that was moved.
  const prepare = async (requests: readonly AnsweredRequest[]): Promise<void> => {
    const days = new Set(requests.map(({ at }) => Math.floor(at.getTime() / 1000 / DAY_SECONDS)))
    for (const day of days) {
      if (preparedDays.has(day)) continue
      const begin = new Date(day * DAY_SECONDS * 1000)
      await prepareDays(db.jobs, begin, begin)
      preparedDays.add(day)
    }
  }
  const writeWaiting = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, ROWS_AT_ONCE)
      await prepare(batch)
      await insertRequests(db.jobs, batch.map(rowOf))
      waiting.splice(0, batch.length)
    }
    if (dropped === 0) return
    log.error('Requests were not logged: too many waited for the database', { count: dropped })
    dropped = 0
  }
  let writing: Promise<void> | undefined
  const flush = (): Promise<void> => {
    writing ??= writeWaiting().finally(() => {
      writing = undefined
    })
    return writing
  }

  let lookedAt = 0
  // Said here and not by the work that deletes: that one may be what stands still.
  const look = async (): Promise<void> => {
    const now = clock.now()
    if (Math.abs(now.getTime() - lookedAt) < LOOK_EVERY_MS) return
    lookedAt = now.getTime()
    const oldest = await oldestDay(db.jobs)
    if (oldest && oldest <= secondsAfter(now, -REQUEST_DAYS_ALARM * DAY_SECONDS)) {
      log.error('The request log is not being deleted in time: look at the workers', { kind: 'retention' })
    }
  }
  const timer = setInterval(() => {
    flush()
      .then(look)
      .catch((error: unknown) => {
        // Whatever the reason, a day that was thought to be there is made anew.
        preparedDays.clear()
        log.warn('Requests wait to be logged', { count: waiting.length, fault: faultOf(error) })
      })
  }, FLUSH_EVERY_MS)
  timer.unref()

  return {
    record(request) {
      if (waiting.length < WAITING_MAX) waiting.push(request)
      else dropped += 1
    },
    flush,
    async stop() {
      clearInterval(timer)
      for (let attempt = 1; waiting.length > 0 || writing; attempt++) {
        try {
          await flush()
        } catch (error) {
          preparedDays.clear()
          if (attempt < STOP_TRIES) continue
          log.error('Requests were lost at the stop', { count: waiting.length, fault: faultOf(error) })
          return
        }
      }
    },
  }
}

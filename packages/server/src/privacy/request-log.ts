import { endpoints } from '@agentctl/contract/api.ts'
import type { Endpoint } from '@agentctl/contract/endpoint.ts'
import type { Deps } from '../deps.ts'
import { clientNetwork } from '../platform/client-network.ts'
import { secondsAfter } from '../platform/clock.ts'
import { isUniqueViolation } from '../platform/db.ts'
import { faultOf } from '../platform/fault.ts'
import type { AnsweredRequest } from '../platform/http.ts'
import { REQUEST_DAYS_ALARM } from '../platform/retention.ts'
import { insertRequests, oldestDay, prepareDays, type RequestRow } from './request-log-store.ts'

/**
 * Policy 1e: metadata of requests, written in batches off their path. A clean stop loses none; a crash loses those of the
 * last second.
 */
export interface RequestLog {
  /** Runners' own calls are left out, which would be most of them. */
  record(request: AnsweredRequest): void
  /** Writes what is waiting; what cannot be written waits on. */
  flush(): Promise<void>
  stop(): Promise<void>
}

const FLUSH_EVERY_MS = 1000
export const ROWS_AT_ONCE = 2000
/** Statements at once: the database writes some while the next is put together. */
const LANES = 3
/** While the database is away; then the newest are dropped, and it is said how many. */
const WAITING_MAX = 100_000
const STOP_TRIES = 3
const LOOK_EVERY_MS = 3_600_000
const DAY_SECONDS = 86_400
const OF_MACHINES: ReadonlySet<string> = new Set(
  Object.entries<Endpoint>(endpoints)
    .filter(([, { access }]) => access === 'machine')
    .map(([route]) => route),
)

export function openRequestLog({
  db,
  clock,
  log,
  pepper,
}: Pick<Deps, 'db' | 'clock' | 'log' | 'pepper'>): RequestLog {
  const waiting: AnsweredRequest[][] = []
  let waitingCount = 0
  /** The batch that takes what comes. */
  let filling: AnsweredRequest[] | undefined
  const preparedDays = new Set<number>()
  let dropped = 0

  const rowsOf = (requests: readonly AnsweredRequest[]): RequestRow[] => {
    // Of a batch most come from few networks.
    const hashes = new Map<string, string>()
    const hashOf = (clientAddress: string): string => {
      let hash = hashes.get(clientAddress)
      if (hash === undefined) {
        hash = pepper.hmac(`network:${clientNetwork(clientAddress)}`).toString('hex', 0, 16)
        hashes.set(clientAddress, hash)
      }
      return hash
    }
    return requests.map(({ clientAddress, ...kept }) => ({ ...kept, networkHash: hashOf(clientAddress) }))
  }
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
  const write = async (batch: readonly AnsweredRequest[]): Promise<void> => {
    await prepare(batch)
    try {
      await insertRequests(db.jobs, rowsOf(batch))
    } catch (error) {
      // It was written the time before, and only the answer did not come.
      if (!isUniqueViolation(error)) throw error
    }
    waitingCount -= batch.length
  }
  const writeWaiting = async (): Promise<void> => {
    // What comes meanwhile is for the next time, in batches of its own: one that may have been written stays as it is.
    filling = undefined
    const left = waiting.splice(0)
    const lane = async (): Promise<void> => {
      for (let batch = left.shift(); batch; batch = left.shift()) {
        try {
          await write(batch)
        } catch (error) {
          waiting.push(batch)
          throw error
        }
      }
    }
    const lanes = await Promise.allSettled(Array.from({ length: LANES }, lane))
    waiting.push(...left)
    const failed = lanes.find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
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
        log.warn('Requests wait to be logged', { count: waitingCount, fault: faultOf(error) })
      })
  }, FLUSH_EVERY_MS)
  timer.unref()

  return {
    record(request) {
      if (OF_MACHINES.has(request.route)) return
      if (waitingCount >= WAITING_MAX) {
        dropped += 1
        return
      }
      if (!filling || filling.length === ROWS_AT_ONCE) {
        filling = []
        waiting.push(filling)
      }
      filling.push(request)
      waitingCount += 1
    },
    flush,
    async stop() {
      clearInterval(timer)
      let failures = 0
      while (waitingCount > 0 || writing) {
        try {
          await flush()
        } catch (error) {
          preparedDays.clear()
          failures += 1
          if (failures < STOP_TRIES) continue
          log.error('Requests were lost at the stop', { count: waitingCount, fault: faultOf(error) })
          return
        }
      }
    },
  }
}

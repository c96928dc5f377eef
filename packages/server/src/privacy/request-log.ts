import { endpoints } from '@agentctl/contract/api.ts'
import type { Endpoint } from '@agentctl/contract/endpoint.ts'
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
  /** Runners' own calls are left out, which would be most of them. */
  record(request: AnsweredRequest): void
  /** Writes what is waiting; what cannot be written waits on. */
  flush(): Promise<void>
  stop(): Promise<void>
}

const FLUSH_EVERY_MS = 1000
export const ROWS_AT_ONCE = 2000
/** Statements at once: the database writes one while the next is put together. */
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
  const waiting: AnsweredRequest[] = []
  const preparedDays = new Set<number>()
  let dropped = 0

  const rowsOf = (requests: readonly AnsweredRequest[]): RequestRow[] => {
    // Of a batch most come from few networks.
    const hashes = new Map<string, Buffer>()
    const hashOf = (clientAddress: string): Buffer => {
      let hash = hashes.get(clientAddress)
      if (!hash) {
        hash = pepper.hmac(`network:${clientNetwork(clientAddress)}`).subarray(0, 16)
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
  const writeWaiting = async (): Promise<void> => {
    while (waiting.length > 0) {
      const taken = waiting.slice(0, LANES * ROWS_AT_ONCE)
      await prepare(taken)
      const lanes: Promise<void>[] = []
      for (let at = 0; at < taken.length; at += ROWS_AT_ONCE) {
        lanes.push(insertRequests(db.jobs, rowsOf(taken.slice(at, at + ROWS_AT_ONCE))))
      }
      // If one of them fails all wait on: what was written will be the same row once more.
      const failed = (await Promise.allSettled(lanes)).find(({ status }) => status === 'rejected')
      if (failed?.status === 'rejected') throw failed.reason
      waiting.splice(0, taken.length)
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
      if (OF_MACHINES.has(request.route)) return
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

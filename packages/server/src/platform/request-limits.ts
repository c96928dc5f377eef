import type { Clock } from './clock.ts'
import type { Db } from './db.ts'
import { faultOf } from './fault.ts'
import type { Pepper } from './keyring.ts'
import type { Log } from './log.ts'
import { Problem } from './problem.ts'
import { addRequestCounts, deleteRequestCounts } from './request-count-store.ts'

/** Who is counted: an address, an account, one session or API key, a machine. */
export type Quota = 'address' | 'account' | 'credential' | 'machine'
export type RequestQuotas = Readonly<Record<Quota, number>>

export interface Turn {
  quota: Quota
  subject: string
}

/**
 * How many requests a minute. Counted in memory, since a row for each request would cost more than most requests do;
 * the counts of several servers meet in the database every two seconds, so that together they let through little more
 * than one would alone. Logins have exact limits of their own.
 */
export interface RequestLimits {
  /** Counts one request for each of these; throws `rate_limited` where one of them has none left. */
  take(...turns: Turn[]): void
  /** RateLimit-Policy and RateLimit as of now, for those that a request was counted for. */
  headers(...turns: Turn[]): Record<string, string>
  /** Shares what was counted since the last time. */
  flush(): Promise<void>
  stop(): Promise<void>
}

const WINDOW_SECONDS = 60
const WINDOW_MS = WINDOW_SECONDS * 1000
const FLUSH_EVERY_MS = 2000
/** Somebody with many addresses must not fill the memory: the one that was met first is forgotten. */
const SUBJECTS_MAX = 200_000

interface Count extends Turn {
  windowStart: number
  /** Requests in this window and in the one before, at all servers as far as is known here. */
  used: number
  usedBefore: number
  /** Those of this window that no other server knows of yet. */
  unshared: number
}

export function openRequestLimits(
  {
    db,
    clock,
    log,
    pepper,
  }: { db: Pick<Db, 'jobs'>; clock: Clock; log: Log; pepper: Pick<Pepper, 'hmac' | 'versions'> },
  quotas: RequestQuotas,
): RequestLimits {
  const counts = new Map<string, Count>()
  const countOf = (turn: Turn, nowMs: number): Count => {
    const windowStart = nowMs - (nowMs % WINDOW_MS)
    const key = keyOf(turn)
    let count = counts.get(key)
    if (count === undefined) {
      if (counts.size >= SUBJECTS_MAX) counts.delete(counts.keys().next().value ?? '')
      count = { ...turn, windowStart, used: 0, usedBefore: 0, unshared: 0 }
      counts.set(key, count)
    } else if (count.windowStart !== windowStart) {
      count.usedBefore = count.windowStart === windowStart - WINDOW_MS ? count.used : 0
      count.windowStart = windowStart
      count.used = 0
      count.unshared = 0
    }
    return count
  }

  const limits: RequestLimits = {
    take(...turns) {
      const nowMs = clock.now().getTime()
      for (const turn of turns) {
        const count = countOf(turn, nowMs)
        const max = quotas[turn.quota]
        if (remaining(count, max, nowMs) < 1) {
          throw new Problem('rate_limited', `This ${turn.quota} may send ${max} requests a minute.`, {
            retryAfterSeconds: secondsUntilTurn(count, max, nowMs),
          })
        }
        count.used += 1
        count.unshared += 1
      }
    },
    headers(...turns) {
      const nowMs = clock.now().getTime()
      const reset = Math.ceil((WINDOW_MS - (nowMs % WINDOW_MS)) / 1000)
      let policy = ''
      let left = ''
      for (const turn of turns) {
        const max = quotas[turn.quota]
        const separator = policy === '' ? '' : ', '
        const rest = Math.max(0, Math.floor(remaining(countOf(turn, nowMs), max, nowMs)))
        policy += `${separator}"${turn.quota}";q=${max};w=${WINDOW_SECONDS}`
        left += `${separator}"${turn.quota}";r=${rest};t=${reset}`
      }
      return { 'ratelimit-policy': policy, ratelimit: left }
    },
    async flush() {
      const nowMs = clock.now().getTime()
      const windowStart = nowMs - (nowMs % WINDOW_MS)
      for (const [key, { windowStart: last }] of counts) {
        if (last < windowStart - WINDOW_MS) counts.delete(key)
      }
      const fresh = [...counts.values()].filter(
        (count) => count.unshared > 0 && count.windowStart === windowStart,
      )
      if (fresh.length === 0) return
      const shared = fresh.map((count) => ({
        // No address and no id is written down: a keyed hash is enough to meet under, of the oldest pepper, which all
        // servers know while a new one is rolled out.
        subject: pepper.hmac(`requests:${keyOf(count)}`, pepper.versions[0]).toString('hex'),
        count: count.unshared,
      }))
      const totals = await addRequestCounts(db.jobs, {
        windowStart: new Date(windowStart),
        windowBefore: new Date(windowStart - WINDOW_MS),
        counts: shared,
      })
      for (const [at, count] of fresh.entries()) {
        const sent = shared[at]
        const total = sent && totals.get(sent.subject)
        // A new window may have begun meanwhile.
        if (!sent || !total || count.windowStart !== windowStart) continue
        count.unshared -= sent.count
        count.used = total.used + count.unshared
        count.usedBefore = Math.max(count.usedBefore, total.usedBefore)
      }
    },
    async stop() {
      clearInterval(timer)
      await sharing
      await share()
    },
  }

  let purgedAt = 0
  const share = async (): Promise<void> => {
    try {
      await limits.flush()
      const nowMs = clock.now().getTime()
      if (Math.abs(nowMs - purgedAt) < WINDOW_MS) return
      purgedAt = nowMs
      await deleteRequestCounts(db.jobs, new Date(nowMs - 2 * WINDOW_MS))
    } catch (error) {
      // Each server counts alone until the database is back.
      log.warn('Request counts were not shared', { fault: faultOf(error) })
    }
  }
  let sharing: Promise<void> | undefined
  const timer = setInterval(() => {
    sharing ??= share().finally(() => {
      sharing = undefined
    })
  }, FLUSH_EVERY_MS)
  timer.unref()
  return limits
}

const keyOf = ({ quota, subject }: Turn): string => `${quota}:${subject}`

/** The window before counts by the part of it that a window ending now would still cover, so that no burst fits in between. */
function remaining({ used, usedBefore, windowStart }: Count, max: number, nowMs: number): number {
  const past = (nowMs - windowStart) / WINDOW_MS
  return max - used - usedBefore * (1 - past)
}

function secondsUntilTurn({ used, usedBefore, windowStart }: Count, max: number, nowMs: number): number {
  // Within this window, as the one before fades; else in the next, as this one does.
  const fading =
    used + 1 <= max ? { from: 0, count: usedBefore, free: max - used } : { from: 1, count: used, free: max }
  const windows = fading.from + Math.max(0, 1 - (fading.free - 1) / Math.max(fading.count, 1))
  return Math.ceil((windowStart + windows * WINDOW_MS - nowMs) / 1000)
}

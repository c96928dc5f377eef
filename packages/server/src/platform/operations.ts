import { backOffSeconds } from './back-off.ts'
import type { Clock } from './clock.ts'
import type { Db, Sql } from './db.ts'
import { faultOf } from './fault.ts'
import { newId } from './ids.ts'
import type { Log } from './log.ts'
import { Problem } from './problem.ts'

/** Durable work: a row in `operations`, as one claim of it sees it. */
export interface Operation {
  id: string
  kind: string
  subject: string
  namespaceId: string | null
  step: string
  stepData: Record<string, unknown>
  attempts: number
  createdAt: Date
  fencing: bigint
}

/** How one visit to an operation ended. Level-triggered: each visit looks at what is and does the next thing. */
export type Outcome =
  | { state: 'done' }
  | { state: 'failed'; error: string }
  /** Visit again, at the latest after this long; a wake comes sooner. */
  | { state: 'again'; afterSeconds: number; step?: string; stepData?: Record<string, unknown> }

export interface Lease {
  /**
   * One transaction of the jobs role that holds only while this claim does: a worker that slept past its lease gets
   * `LeaseLost` and changes nothing.
   */
  write<T>(run: (tx: Sql) => Promise<T>): Promise<T>
  /** Ends this visit in the same transaction as its last write. */
  settle(tx: Sql, outcome: Outcome): Promise<void>
}

export type Work = (operation: Operation, lease: Lease) => Promise<Outcome | 'settled'>

export class LeaseLost extends Error {
  override name = 'LeaseLost'
}

const LOOK_EVERY_MS = 1000
const STUCK_AFTER_MS = 120_000
const RETRY_SECONDS_MAX = 60

/** Records work in the caller's transaction: the intent row precedes every call. False when the subject is busy. */
export async function startOperation(
  tx: Sql,
  operation: {
    kind: string
    subject: string
    namespaceId: string | null
    stepData?: Record<string, unknown>
    afterSeconds?: number
    now: Date
  },
): Promise<string | undefined> {
  const id = newId('op')
  const rows = await tx`
    insert into operations (id, kind, subject, namespace_id, step_data, created_at, run_at)
    values (${id}, ${operation.kind}, ${operation.subject}, ${operation.namespaceId},
            ${tx.json((operation.stepData ?? {}) as never)}, ${operation.now},
            clock_timestamp() + make_interval(secs => ${operation.afterSeconds ?? 0}))
    on conflict (subject) where state = 'pending' do nothing
    returning id`
  return rows.length === 0 ? undefined : id
}

/** Makes the live operation of a subject due now. */
export async function wakeOperation(tx: Sql, subject: string): Promise<void> {
  await tx`
    update operations set run_at = clock_timestamp()
    where subject = ${subject} and state = 'pending' and run_at > clock_timestamp()`
}

/** Takes the live operation of a subject out of the hands of whoever works on it. */
export async function cancelOperation(tx: Sql, subject: string, now: Date): Promise<void> {
  await tx`
    update operations set state = 'cancelled', fencing = fencing + 1, lease_until = null, finished_at = ${now}
    where subject = ${subject} and state = 'pending'`
}

/**
 * Makes workers on a subject wait for the caller's transaction, and tells what is being done about it. Everybody who
 * locks both takes the operation first and the rows that it works on then.
 */
export async function lockOperation(tx: Sql, subject: string): Promise<string | undefined> {
  const [row] = await tx<{ kind: string }[]>`
    select kind from operations where subject = ${subject} and state = 'pending' for update`
  return row?.kind
}

/** Its kind, as it is at this moment. */
export async function findOperation(sql: Sql, subject: string): Promise<string | undefined> {
  const [row] = await sql<{ kind: string }[]>`
    select kind from operations where subject = ${subject} and state = 'pending'`
  return row?.kind
}

/** Ends the live operation of a subject because its goal is reached, whoever is visiting it. */
export async function finishOperation(tx: Sql, subject: string, now: Date): Promise<void> {
  await tx`
    update operations set state = 'done', fencing = fencing + 1, lease_until = null, last_error = null,
      finished_at = ${now}
    where subject = ${subject} and state = 'pending'`
}

interface Deps {
  db: Db
  clock: Clock
  log: Log
  /** How long a claim holds without a heartbeat: what a crash costs at most before somebody else goes on. */
  leaseSeconds: number
}

export interface Worker {
  /** False once it has not looked for work for so long that it never will again. */
  isAlive(): boolean
  /** Stops claiming and waits for visits under way. */
  stop(): Promise<void>
}

/** Claims due operations and visits them, several at a time. */
export async function startWorker(
  deps: Deps,
  kinds: Readonly<Record<string, Work>>,
  concurrency = 8,
): Promise<Worker> {
  const { db, log } = deps
  const visits = new Set<Promise<void>>()
  const names = Object.keys(kinds)
  let stopping = false
  let wake = (): void => {}
  let woken = false
  const nudge = (): void => {
    woken = true
    wake()
  }
  // A visit that asks to be repeated soon must not wait for the next look.
  const nudgeIn = (seconds: number): void => {
    if (seconds * 1000 < LOOK_EVERY_MS) setTimeout(nudge, seconds * 1000 + 1)
  }
  await db.listen('operations', nudge, nudge)

  let lookedAt = performance.now()
  const loop = async (): Promise<void> => {
    while (!stopping) {
      lookedAt = performance.now()
      woken = false
      let claimed = false
      if (visits.size < concurrency) {
        try {
          const operation = await claim(deps, names)
          const work = operation && kinds[operation.kind]
          if (operation && work) {
            claimed = true
            const visit: Promise<void> = visitOnce(deps, operation, work, nudgeIn).finally(() => {
              visits.delete(visit)
              nudge()
            })
            visits.add(visit)
          }
        } catch (error) {
          log.error('Operations cannot be claimed', { fault: faultOf(error) })
        }
      }
      if (claimed || woken) continue
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, LOOK_EVERY_MS)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }
  const running = loop()
  return {
    isAlive: () => performance.now() - lookedAt < STUCK_AFTER_MS,
    async stop() {
      stopping = true
      nudge()
      await running
      await Promise.all(visits)
    },
  }
}

async function claim({ db, leaseSeconds }: Deps, kinds: string[]): Promise<Operation | undefined> {
  const [row] = await db.jobs<Operation[]>`
    update operations set
      fencing = fencing + 1, attempts = attempts + 1,
      lease_until = clock_timestamp() + make_interval(secs => ${leaseSeconds}),
      -- Out of the way, so that a wake during the visit shows: it sets run_at back to its moment.
      run_at = clock_timestamp() + make_interval(secs => ${leaseSeconds})
    where id = (
      select id from operations
      where state = 'pending' and kind = any(${kinds}) and run_at <= clock_timestamp()
        and (lease_until is null or lease_until < clock_timestamp())
      order by run_at
      for update skip locked
      limit 1
    )
    returning id, kind, subject, namespace_id as "namespaceId", step, step_data as "stepData", attempts,
      created_at as "createdAt", fencing`
  return row
}

async function visitOnce(
  deps: Deps,
  operation: Operation,
  work: Work,
  nudgeIn: (seconds: number) => void,
): Promise<void> {
  const { db, log, leaseSeconds } = deps
  const fields = { operationId: operation.id, kind: operation.kind, step: operation.step }
  const lease: Lease = {
    write: (run) =>
      db.work(async (tx) => {
        const held = await tx`
          select 1 from operations
          where id = ${operation.id} and fencing = ${operation.fencing} and state = 'pending'
          for update`
        if (held.length === 0) throw new LeaseLost()
        return run(tx)
      }),
    settle: async (tx, outcome) => {
      await settle(deps, tx, operation, outcome)
      if (outcome.state === 'again') nudgeIn(outcome.afterSeconds)
    },
  }
  const heartbeat = setInterval(
    () => {
      db.jobs`
        update operations set lease_until = clock_timestamp() + make_interval(secs => ${leaseSeconds})
        where id = ${operation.id} and fencing = ${operation.fencing} and state = 'pending'
          -- Not once the visit has given it back: a late heartbeat would hold what nobody works on.
          and lease_until is not null`.catch(() => {})
    },
    (leaseSeconds / 3) * 1000,
  )
  try {
    const outcome = await work(operation, lease)
    if (outcome !== 'settled') await lease.write((tx) => lease.settle(tx, outcome))
  } catch (error) {
    if (error instanceof LeaseLost) {
      log.warn('The lease was lost; somebody else goes on', fields)
      return
    }
    if (isTrouble(error)) log.warn('A provider is in trouble; the visit will be repeated', fields)
    else log.error('A visit failed and will be repeated', { ...fields, fault: faultOf(error) })
    await postpone(db, operation, error).catch((cause: unknown) => {
      // The lease runs out by itself; then the visit is repeated all the same.
      log.error('A visit could not be postponed', { ...fields, fault: faultOf(cause) })
    })
  } finally {
    clearInterval(heartbeat)
  }
}

async function settle(
  { clock }: Pick<Deps, 'clock'>,
  tx: Sql,
  operation: Operation,
  outcome: Outcome,
): Promise<void> {
  if (outcome.state === 'again') {
    await tx`
      update operations set
        step = ${outcome.step ?? operation.step},
        step_data = ${tx.json((outcome.stepData ?? operation.stepData) as never)},
        attempts = 0, last_error = null, lease_until = null,
        run_at = case when run_at <= clock_timestamp() then run_at
          else clock_timestamp() + make_interval(secs => ${outcome.afterSeconds}) end
      where id = ${operation.id} and fencing = ${operation.fencing}`
    return
  }
  await tx`
    update operations set state = ${outcome.state}, lease_until = null, finished_at = ${clock.now()},
      last_error = ${outcome.state === 'failed' ? outcome.error : null}
    where id = ${operation.id} and fencing = ${operation.fencing}`
}

/** Nothing is wrong with the work: it comes to its end when its provider does what is asked again. */
function isTrouble(error: unknown): error is Problem {
  return error instanceof Problem && error.code === 'provider_unavailable'
}

async function postpone(db: Db, operation: Operation, error: unknown): Promise<void> {
  const pause = isTrouble(error)
    ? Math.max(error.retryAfterSeconds ?? 0, backOffSeconds(operation.attempts))
    : Math.min(0.25 * 2 ** operation.attempts, RETRY_SECONDS_MAX)
  await db.jobs`
    update operations set lease_until = null, last_error = ${faultOf(error)},
      run_at = clock_timestamp() + make_interval(secs => ${pause})
    where id = ${operation.id} and fencing = ${operation.fencing} and state = 'pending'`
}

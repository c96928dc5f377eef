import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { systemClock } from './clock.ts'
import { silentLog } from './log.ts'
import {
  cancelOperation,
  finishOperation,
  LeaseLost,
  type Operation,
  startOperation,
  startWorker,
  type Work,
  type Worker,
  wakeOperation,
} from './operations.ts'
import { Problem } from './problem.ts'

const { db } = await testDatabase()
const deps = { db, clock: systemClock, log: silentLog, leaseSeconds: 1 }
const now = new Date()

let workers: Worker[] = []
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.stop()))
  workers = []
  await db.jobs`delete from operations`
})

async function work(kinds: Record<string, Work>, leaseSeconds = 1): Promise<Worker> {
  const worker = await startWorker({ ...deps, leaseSeconds }, kinds)
  workers.push(worker)
  return worker
}

const start = (subject: string, more: { kind?: string; afterSeconds?: number } = {}) =>
  startOperation(db.jobs, { kind: 'test', subject, namespaceId: null, now, ...more })

async function until(look: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const deadline = Date.now() + withinMs
  while (!(await look())) {
    if (Date.now() > deadline) throw new Error('It did not come to pass.')
    await pause(5)
  }
}

const stateOf = async (subject: string): Promise<string | undefined> => {
  const [row] = await db.jobs<{ state: string }[]>`
    select state from operations where subject = ${subject} order by created_at desc limit 1`
  return row?.state
}

test('a subject has one live operation', async () => {
  expect(await start('one')).toMatch(/^op_/)
  expect(await start('one')).toBeUndefined()
  await cancelOperation(db.jobs, 'one', now)
  expect(await start('one')).toMatch(/^op_/)
})

test('an operation whose transaction rolls back never was', async () => {
  await expect(
    db.work(async (tx) => {
      await startOperation(tx, { kind: 'test', subject: 'undone', namespaceId: null, now })
      throw new Error('no')
    }),
  ).rejects.toThrow('no')
  expect(await stateOf('undone')).toBeUndefined()
})

test('each operation is visited by one of several workers', async () => {
  const visits = new Map<string, number>()
  const kinds: Record<string, Work> = {
    test: async ({ subject }) => {
      visits.set(subject, (visits.get(subject) ?? 0) + 1)
      await pause(5)
      return { state: 'done' }
    },
  }
  await work(kinds)
  await work(kinds)
  const subjects = Array.from({ length: 40 }, (_, at) => `many-${at}`)
  await Promise.all(subjects.map((subject) => start(subject)))
  await until(async () => (await db.jobs`select 1 from operations where state = 'pending'`).length === 0)
  expect([...visits.values()]).toEqual(subjects.map(() => 1))
})

test('what a visit remembers is there at the next one', async () => {
  const seen: unknown[] = []
  await work({
    test: async ({ step, stepData }) => {
      seen.push([step, stepData])
      if (step === 'second') return { state: 'done' }
      return { state: 'again', afterSeconds: 0, step: 'second', stepData: { count: 1 } }
    },
  })
  await start('remembers')
  await until(async () => (await stateOf('remembers')) === 'done')
  expect(seen).toEqual([
    ['start', {}],
    ['second', { count: 1 }],
  ])
})

test('a visit that throws is repeated', async () => {
  let visits = 0
  await work({
    test: async () => {
      visits += 1
      if (visits < 3) throw new Error('provider away')
      return { state: 'done' }
    },
  })
  await start('stubborn')
  await until(async () => (await stateOf('stubborn')) === 'done')
  expect(visits).toBe(3)
})

test('one whose provider is in trouble is repeated later and later, and not before the provider wants it', async () => {
  let retryAfterSeconds = 0
  let visits = 0
  await work({
    test: async () => {
      visits += 1
      throw new Problem('provider_unavailable', 'It is away.', { retryAfterSeconds })
    },
  })
  await start('away')
  const waits = async (visit: number): Promise<number> => {
    await until(() => visits === visit)
    let seconds = 0
    await until(async () => {
      const [row] = await db.jobs<{ seconds: number | null }[]>`
        select extract(epoch from run_at - clock_timestamp())::float as seconds from operations
        where subject = 'away' and state = 'pending' and lease_until is null`
      seconds = row?.seconds ?? 0
      return row !== undefined
    })
    await db.jobs`update operations set run_at = clock_timestamp() where subject = 'away'`
    return seconds
  }
  for (const [visit, most] of [2, 4, 8, 16, 30, 30].entries()) {
    const seconds = await waits(visit + 1)
    expect(seconds).toBeGreaterThan(most / 2 - 1)
    expect(seconds).toBeLessThanOrEqual(most)
  }
  retryAfterSeconds = 300
  await waits(7)
  expect(await waits(8)).toBeGreaterThan(299)
})

test('a wake brings a waiting operation forward', async () => {
  const seen: number[] = []
  await work({
    test: async () => {
      seen.push(Date.now())
      return seen.length === 1 ? { state: 'again', afterSeconds: 3600 } : { state: 'done' }
    },
  })
  await start('sleeper')
  await until(() => seen.length === 1)
  // Also while the visit is still being settled: then the operation is due again at once.
  await wakeOperation(db.jobs, 'sleeper')
  await until(async () => (await stateOf('sleeper')) === 'done')
})

test('a wake during a visit is not lost', async () => {
  let visits = 0
  await work({
    test: async ({ subject }) => {
      visits += 1
      if (visits === 1) {
        await wakeOperation(db.jobs, subject)
        return { state: 'again', afterSeconds: 3600 }
      }
      return { state: 'done' }
    },
  })
  await start('woken')
  await until(async () => (await stateOf('woken')) === 'done')
  expect(visits).toBe(2)
})

test('who lost the lease writes nothing, and the next one finishes', async () => {
  const written: string[] = []
  const first = Promise.withResolvers<void>()
  const outcome = Promise.withResolvers<unknown>()
  let visits = 0
  const kinds: Record<string, Work> = {
    test: async (operation: Operation, lease) => {
      visits += 1
      if (visits > 1) {
        await lease.write(async () => void written.push('second'))
        return { state: 'done' }
      }
      // A worker that sleeps: its heartbeat does not run either, so another takes the operation over.
      await db.jobs`update operations set lease_until = clock_timestamp(), run_at = clock_timestamp() where id = ${operation.id}`
      await first.promise
      const write = lease.write(async () => void written.push('first'))
      outcome.resolve(await write.catch((error: unknown) => error))
      await write
      return { state: 'failed', error: 'must not be' }
    },
  }
  await work(kinds, 60)
  await work(kinds, 60)
  await start('contested')
  await until(async () => (await stateOf('contested')) === 'done')
  first.resolve()
  expect(await outcome.promise).toBeInstanceOf(LeaseLost)
  expect(written).toEqual(['second'])
  expect(await stateOf('contested')).toBe('done')
})

test('a long visit keeps its lease', async () => {
  let visits = 0
  const kinds: Record<string, Work> = {
    test: async () => {
      visits += 1
      await pause(2500)
      return { state: 'done' }
    },
  }
  await work(kinds)
  await work(kinds)
  await start('long')
  await until(async () => (await stateOf('long')) === 'done')
  expect(visits).toBe(1)
})

test('an operation whose worker died is taken over when the lease runs out', async () => {
  const id = await start('orphaned')
  await db.jobs`
    update operations set fencing = 1, lease_until = clock_timestamp() + interval '0.5 seconds' where id = ${id ?? ''}`
  await work({ test: async () => ({ state: 'done' }) })
  await until(async () => (await stateOf('orphaned')) === 'done')
})

test('cancelling or finishing takes an operation out of the hands of its worker', async () => {
  for (const end of [cancelOperation, finishOperation]) {
    const subject = end.name
    const lost = Promise.withResolvers<unknown>()
    const worker = await work({
      test: async (_, lease) => {
        await end(db.jobs, subject, now)
        await lease.write(async () => {}).catch(lost.resolve)
        return { state: 'failed', error: 'must not be' }
      },
    })
    await start(subject)
    expect(await lost.promise).toBeInstanceOf(LeaseLost)
    await worker.stop()
    expect(await stateOf(subject)).toBe(end === cancelOperation ? 'cancelled' : 'done')
  }
})

test('a stopped worker has ended its visits', async () => {
  let ended = false
  let begun = false
  const worker = await work({
    test: async () => {
      begun = true
      await pause(200)
      ended = true
      return { state: 'done' }
    },
  })
  await start('last')
  await until(() => begun)
  await worker.stop()
  expect(ended).toBe(true)
  expect(await stateOf('last')).toBe('done')
})

test('kinds that a worker does not know are left for others', async () => {
  await work({ other: async () => ({ state: 'done' }) })
  await start('foreign')
  await start('known', { kind: 'other' })
  await until(async () => (await stateOf('known')) === 'done')
  expect(await stateOf('foreign')).toBe('pending')
})

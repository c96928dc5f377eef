import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isDatabaseTrouble } from './database-trouble.ts'
import type { Db } from './db.ts'
import type { AnsweredRequest } from './http.ts'
import type { Counter, Histogram, Metrics } from './metrics.ts'

const ANSWER_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
const QUERY_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5]

/** What is true of every process: its processor, memory and how long it was not free to do the next thing. */
export function countProcess(metrics: Metrics): void {
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  metrics.gauge(() => {
    const { user, system } = process.cpuUsage()
    const slowest = delay.count === 0 ? 0 : delay.max / 1e9
    delay.reset()
    return [
      {
        ...sample('process_cpu_seconds_total', 'Processor time since the start.', (user + system) / 1e6),
        type: 'counter',
      },
      sample('process_resident_memory_bytes', 'Memory that the process holds.', process.memoryUsage.rss()),
      sample(
        'agentctl_event_loop_delay_seconds',
        'Longest pause of the process since the last scrape.',
        slowest,
      ),
    ]
  })
}

const sample = (name: string, help: string, value: number) => ({ name, help, samples: [{ value }] })

/** Requests by their route as the contract declares it, never by their address. */
export function countRequests(metrics: Metrics): (request: AnsweredRequest) => void {
  const requests = metrics.counter('agentctl_http_requests_total', 'Requests that were answered.')
  const seconds = metrics.histogram(
    'agentctl_http_request_seconds',
    'Time until the answer was there; long polls of runners wait on purpose.',
    ANSWER_SECONDS,
  )
  const counters = new Map<string, Counter>()
  const histograms = new Map<string, Histogram>()
  return ({ route, status, durationMs }) => {
    const named = route === '' ? 'none' : route
    const key = `${status} ${named}`
    let counter = counters.get(key)
    if (!counter) {
      counter = requests({ route: named, status: String(status) })
      counters.set(key, counter)
    }
    counter.add()
    let histogram = histograms.get(named)
    if (!histogram) {
      histogram = seconds({ route: named })
      histograms.set(named, histogram)
    }
    histogram.observe(durationMs / 1000)
  }
}

/** The database with each visit timed, the wait for a connection included. */
export function measuredDb(db: Db, metrics: Metrics): Db {
  const seconds = metrics.histogram(
    'agentctl_database_seconds',
    'Time of a transaction or a look at the database, the wait for a connection included.',
    QUERY_SECONDS,
  )
  const failures = metrics.counter(
    'agentctl_database_failures_total',
    'Those that ended because of a trouble of the database.',
  )
  const ways: { way: string; underWay: number }[] = []
  metrics.gauge(() => [
    {
      name: 'agentctl_database_under_way',
      help: 'Transactions and looks that wait for a connection or for their answer.',
      samples: ways.map(({ way, underWay }) => ({ labels: { way }, value: underWay })),
    },
  ])
  const timed = (way: string) => {
    const histogram = seconds({ way })
    const failed = failures({ way })
    const now = { way, underWay: 0 }
    ways.push(now)
    // The caller gets what the database answers, with nothing around it: each layer costs every request a turn.
    return <T>(run: () => Promise<T>): Promise<T> => {
      const begun = performance.now()
      const answer = run()
      now.underWay += 1
      const ended = (): void => {
        now.underWay -= 1
        histogram.observe((performance.now() - begun) / 1000)
      }
      answer.then(ended, (error: unknown) => {
        ended()
        if (isDatabaseTrouble(error)) failed.add()
      })
      return answer
    }
  }
  const [as, read, work, operate] = [timed('as'), timed('read'), timed('work'), timed('operate')]
  return {
    ...db,
    as: (caller, run) => as(() => db.as(caller, run)),
    read: (caller, query) => read(() => db.read(caller, query)),
    work: (run) => work(() => db.work(run)),
    operate: (run) => operate(() => db.operate(run)),
  }
}

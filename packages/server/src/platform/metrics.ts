/** Labels of one sample. Never an id, an address or a name that a user chose: each value is a series for ever. */
export type Labels = Readonly<Record<string, string>>

/** One series of a counter. */
export interface Counter {
  add(by?: number): void
}

/** One series of a histogram. */
export interface Histogram {
  observe(seconds: number): void
}

/** A sample of something that is looked at when it is asked for. */
export interface Reading {
  name: string
  help: string
  /** A gauge unless told. */
  type?: 'counter'
  samples: readonly { labels?: Labels; value: number }[]
}

/** What this process counts of itself, told in the text format of Prometheus (version 0.0.4). */
export interface Metrics {
  counter(name: string, help: string): (labels?: Labels) => Counter
  histogram(name: string, help: string, boundsSeconds: readonly number[]): (labels?: Labels) => Histogram
  /** Asked at each scrape. One that fails is left out, and `agentctl_metrics_failed` says how many did. */
  gauge(read: () => readonly Reading[] | Promise<readonly Reading[]>): void
  text(): Promise<string>
}

/** More series than this of one name are a fault in our own labels: they fall together in one, `other`. */
const SERIES_MAX = 1000
const READ_MS = 5000
const OTHER: Labels = { series: 'other' }

interface Series {
  labels: Labels
  counts: number[]
  sum: number
}

interface Family {
  name: string
  help: string
  type: 'counter' | 'histogram'
  bounds: readonly number[]
  series: Map<string, Series>
}

export function openMetrics(): Metrics {
  const families = new Map<string, Family>()
  const readers: (() => readonly Reading[] | Promise<readonly Reading[]>)[] = []
  const family = (name: string, help: string, type: Family['type'], bounds: readonly number[]): Family => {
    const known = families.get(name)
    if (known) return known
    const fresh: Family = { name, help, type, bounds, series: new Map() }
    families.set(name, fresh)
    return fresh
  }
  return {
    counter(name, help) {
      const own = family(name, help, 'counter', [])
      return (labels = {}) => {
        const series = seriesOf(own, labels)
        return {
          add: (by = 1) => {
            series.sum += by
          },
        }
      }
    },
    histogram(name, help, bounds) {
      const own = family(name, help, 'histogram', bounds)
      return (labels = {}) => {
        const series = seriesOf(own, labels)
        return {
          observe: (seconds) => {
            const at = bounds.findIndex((bound) => seconds <= bound)
            const slot = at === -1 ? bounds.length : at
            series.counts[slot] = (series.counts[slot] ?? 0) + 1
            series.sum += seconds
          },
        }
      }
    },
    gauge(read) {
      readers.push(read)
    },
    async text() {
      const read = await Promise.allSettled(readers.map((reader) => within(READ_MS, reader)))
      const failed = read.filter(({ status }) => status === 'rejected').length
      const readings: Reading[] = read.flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
      readings.push({
        name: 'agentctl_metrics_failed',
        help: 'Looks at the state of the service that failed in this scrape.',
        samples: [{ value: failed }],
      })
      return [...[...families.values()].map(shownFamily), ...readings.map(shownReading)].join('')
    },
  }
}

async function within<T>(ms: number, read: () => T | Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(reject, ms, new Error('A look at the state took too long.'))
  })
  try {
    return await Promise.race([read(), late])
  } finally {
    clearTimeout(timer)
  }
}

function seriesOf(family: Family, labels: Labels): Series {
  const key = shownLabels(labels)
  const known = family.series.get(key)
  if (known) return known
  if (family.series.size >= SERIES_MAX && labels !== OTHER) return seriesOf(family, OTHER)
  const fresh: Series = { labels, counts: family.bounds.map(() => 0).concat(0), sum: 0 }
  family.series.set(key, fresh)
  return fresh
}

function shownFamily({ name, help, type, bounds, series }: Family): string {
  const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`]
  for (const { labels, counts, sum } of series.values()) {
    if (type === 'counter') {
      lines.push(`${name}${shownLabels(labels)} ${sum}`)
      continue
    }
    let total = 0
    for (const [at, count] of counts.entries()) {
      total += count
      lines.push(`${name}_bucket${shownLabels({ ...labels, le: String(bounds[at] ?? '+Inf') })} ${total}`)
    }
    lines.push(`${name}_sum${shownLabels(labels)} ${sum}`, `${name}_count${shownLabels(labels)} ${total}`)
  }
  return `${lines.join('\n')}\n`
}

function shownReading({ name, help, type, samples }: Reading): string {
  const lines = samples.map(({ labels = {}, value }) => `${name}${shownLabels(labels)} ${value}`)
  return `${[`# HELP ${name} ${help}`, `# TYPE ${name} ${type ?? 'gauge'}`, ...lines].join('\n')}\n`
}

function shownLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

const escaped = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')

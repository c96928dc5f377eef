import { randomUUID } from 'node:crypto'

export const FAULT_KINDS = [
  /** Answers with `status`, `headers` and `body`; the request has no effect. */
  'status',
  /** What a load balancer answers when nobody is behind it: 503 with a page of HTML. */
  'html-503',
  /** Closes the connection; the request has no effect. */
  'drop-before',
  /** Does what was asked, then closes the connection without an answer. */
  'drop-after-effect',
  /** Does what was asked, then answers with `status` (500), `headers` and `body`. */
  'error-after-effect',
  /** Never answers, and the request has no effect. */
  'hang',
  /** Does what was asked and never answers. */
  'hang-after-effect',
  /** Waits `delayMs` and then goes on as usual. */
  'delay',
] as const

export type FaultKind = (typeof FAULT_KINDS)[number]

export interface Fault {
  id: string
  kind: FaultKind
  /** Any method when absent. */
  method?: string
  /** The beginning of the path, or all of it with a `$` at the end; `*` stands for one segment or a part of one. */
  path: string
  /** How many matching requests pass before the first that is hit. */
  skip: number
  /** How many requests it still hits; null for all. */
  times: number | null
  status?: number
  headers?: Record<string, string>
  body?: unknown
  delayMs?: number
}

/** What a stand-in was told to do wrong. */
export class Faults {
  private faults: Fault[] = []

  list(): readonly Fault[] {
    return this.faults
  }

  clear(): void {
    this.faults = []
  }

  remove(id: string): boolean {
    const before = this.faults.length
    this.faults = this.faults.filter((fault) => fault.id !== id)
    return this.faults.length < before
  }

  /** Takes a description as it came over HTTP; returns a sentence instead when it makes no sense. */
  add(asked: unknown): Fault | string {
    if (typeof asked !== 'object' || asked === null) return 'A fault is a JSON object.'
    const { kind, method, path, skip, times, status, headers, body, delayMs, ...rest } = asked as Record<
      string,
      unknown
    >
    const unknown = Object.keys(rest)
    if (unknown.length > 0) return `A fault has no ${unknown.join(', ')}.`
    const known = FAULT_KINDS.find((one) => one === kind)
    if (!known) return `kind is one of ${FAULT_KINDS.join(', ')}.`
    if (typeof path !== 'string' || !path.startsWith('/')) return 'path begins with a slash.'
    if (method !== undefined && typeof method !== 'string') return 'method is a string.'
    if (!isCount(skip ?? 0) || !(times === null || isCount(times ?? 1))) return 'skip and times are counts.'
    if (status !== undefined && !(isCount(status) && status >= 200 && status <= 599))
      return 'status is 200 to 599.'
    if (known === 'status' && status === undefined) return 'kind "status" needs a status.'
    if (delayMs !== undefined && !isCount(delayMs)) return 'delayMs is a number of milliseconds.'
    if (headers !== undefined && !isTextRecord(headers)) return 'headers are strings by name.'
    const fault: Fault = {
      id: randomUUID(),
      kind: known,
      path,
      skip: isCount(skip) ? skip : 0,
      times: times === null ? null : isCount(times) ? times : 1,
      ...(method === undefined ? {} : { method: method.toUpperCase() }),
      ...(status === undefined ? {} : { status }),
      ...(headers === undefined ? {} : { headers }),
      ...(body === undefined ? {} : { body }),
      ...(delayMs === undefined ? {} : { delayMs }),
    }
    this.faults.push(fault)
    return fault
  }

  /** The fault that hits this request, if any; counts it. */
  take(method: string, path: string): Fault | undefined {
    for (const fault of this.faults) {
      if (fault.method !== undefined && fault.method !== method) continue
      if (!matches(fault.path, path)) continue
      if (fault.skip > 0) {
        fault.skip -= 1
        continue
      }
      if (fault.times === null) return fault
      fault.times -= 1
      if (fault.times <= 0) this.remove(fault.id)
      return fault
    }
    return undefined
  }
}

function matches(pattern: string, path: string): boolean {
  const isWhole = pattern.endsWith('$')
  const beginning = isWhole ? pattern.slice(0, -1) : pattern
  const parts = beginning.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('[^/]*')}${isWhole ? '$' : ''}`).test(path)
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0
}

function isTextRecord(value: unknown): value is Record<string, string> {
  return (
    typeof value === 'object' && value !== null && Object.values(value).every((v) => typeof v === 'string')
  )
}

import type { Deps } from '../../deps.ts'
import type { Sql } from '../../platform/db.ts'
import type { Section } from '../policy.ts'
import type { Publication } from '../policy-versions.ts'

/** Numbers, names and times that show whether a sentence holds; nothing of anybody's. */
export type Evidence = Record<string, string | number | boolean | null>

export interface Finding {
  holds: boolean
  evidence: Evidence
}

/** What the evidence is measured on. */
export type EvidenceDeps = Pick<Deps, 'db' | 'clock' | 'config' | 'egress'> & {
  /** Endpoints that answer here, as `GET /policy`. */
  mounted: ReadonlySet<string>
  /** Asks this server for one of its pages. */
  ask(path: string): Promise<Response>
  /** What the log makes of a message and these fields. */
  logLine(message: string, fields: Readonly<Record<string, string>>): string
  /** Names of the cookies that this server has set since its start. */
  cookies(): readonly string[]
  /** The text whose evidence is asked for. */
  text: readonly Section[]
  /** Its versions and what is announced; the code's own unless told. */
  published?: Publication
}

const measured = new WeakMap<EvidenceDeps, Map<unknown, Promise<unknown>>>()

/** What several sentences rest on, measured once for all of them: for one object of deps is one verification. */
export function once<T>(deps: EvidenceDeps, measure: (sql: Sql) => Promise<T>): Promise<T> {
  const known = measured.get(deps) ?? new Map<unknown, Promise<unknown>>()
  measured.set(deps, known)
  const result = (known.get(measure) as Promise<T> | undefined) ?? measure(deps.db.jobs)
  known.set(measure, result)
  return result
}

export type Check = (deps: EvidenceDeps) => Promise<Finding>
export type Checks = Readonly<Record<string, Check>>

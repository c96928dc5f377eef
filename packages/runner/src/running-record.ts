import type { DesiredRelease } from '@agentctl/contract/runner.ts'
import type { LogPipes } from './log-pipes.ts'
import type { ProcessIdentity } from './proc.ts'
import { readJsonState, writeState } from './state-file.ts'

interface RecordedProcess {
  identity: ProcessIdentity
  pipes: LogPipes
  startedAt: number
  /** Where it listens, once it is the one that serves. */
  serving?: { host: string; port: number }
}

interface Recorded {
  /** The release that serves, with its secrets: the file is on tmpfs and the runner's own. */
  release: DesiredRelease | null
  /** Release before that one; its files are kept for a rollback. */
  previousReleaseId: string | null
  processes: RecordedProcess[]
}

/** What the next runner must know about this one's processes, on tmpfs, current at every moment. */
export class RunningRecord {
  readonly #file: string
  #recorded: Recorded

  constructor(file: string) {
    this.#file = file
    this.#recorded = readJsonState<Recorded>(file) ?? {
      release: null,
      previousReleaseId: null,
      processes: [],
    }
  }

  get release(): DesiredRelease | null {
    return this.#recorded.release
  }

  get previousReleaseId(): string | null {
    return this.#recorded.previousReleaseId
  }

  get processes(): readonly RecordedProcess[] {
    return this.#recorded.processes
  }

  started(started: RecordedProcess): void {
    this.#recorded.processes.push(started)
    this.#write()
  }

  ended(identity: ProcessIdentity): void {
    this.#recorded.processes = this.#recorded.processes.filter((one) => one.identity.pid !== identity.pid)
    this.#write()
  }

  /** This process serves now, and no other. */
  serves(identity: ProcessIdentity, serving: { host: string; port: number }, release: DesiredRelease): void {
    for (const one of this.#recorded.processes) {
      delete one.serving
      if (one.identity.pid === identity.pid) one.serving = serving
    }
    const before = this.#recorded.release
    if (before && before.id !== release.id) this.#recorded.previousReleaseId = before.id
    this.#recorded.release = release
    this.#write()
  }

  nothingServes(): void {
    for (const one of this.#recorded.processes) delete one.serving
    this.#recorded.release = null
    this.#write()
  }

  #write(): void {
    writeState(this.#file, JSON.stringify(this.#recorded))
  }
}

import type { Report } from '@agentctl/contract/runner.ts'
import { BackOff } from './back-off.ts'
import { type OwnLog, reasonOf } from './own-log.ts'
import { Refusal, type ServerClient } from './server-client.ts'
import { readJsonState, writeState } from './state-file.ts'

/** More than this many reports can only pile up while an agent crash-loops and the server is away. */
const KEPT_MAX = 200

const PROGRESS: ReadonlySet<Report['state']> = new Set(['fetching', 'installing', 'starting'])

/** Brings reports to the server in their order, at least once each, also across a kill of the runner. */
export class ReportOutbox {
  readonly #server: ServerClient
  readonly #file: string
  readonly #log: OwnLog
  #reports: Report[]
  #sending: Promise<void> | undefined
  #stopped = false

  constructor(server: ServerClient, file: string, log: OwnLog) {
    this.#server = server
    this.#file = file
    this.#log = log
    this.#reports = readJsonState<Report[]>(file) ?? []
    this.#send()
  }

  /** What was still to be said about the progress of the same release is overtaken, unless it is on its way. */
  add(report: Report): void {
    const overtaken = (one: Report, at: number): boolean =>
      one.releaseId === report.releaseId && PROGRESS.has(one.state) && (at > 0 || !this.#sending)
    this.#reports = this.#reports.filter((one, at) => !overtaken(one, at))
    this.#reports.push(report)
    if (this.#reports.length > KEPT_MAX) this.#reports.splice(0, this.#reports.length - KEPT_MAX)
    this.#keep()
    this.#send()
  }

  /** Waits until all have arrived, for at most `ms`; the rest stays kept for the next runner. */
  async flush(ms: number): Promise<void> {
    const deadline = Date.now() + ms
    while (this.#sending && Date.now() < deadline) {
      await Promise.race([this.#sending, new Promise((resolve) => setTimeout(resolve, 50))])
    }
    this.#stopped = true
  }

  #keep(): void {
    writeState(this.#file, JSON.stringify(this.#reports))
  }

  #send(): void {
    if (this.#reports.length === 0) return
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined
      if (!this.#stopped) this.#send()
    })
  }

  async #sendAll(): Promise<void> {
    const backOff = new BackOff(200, 3000)
    while (!this.#stopped) {
      const [report] = this.#reports
      if (!report) return
      try {
        await this.#server.post('/v1/runner/reports', report)
        backOff.reset()
      } catch (error) {
        if (!(error instanceof Refusal) || error.passing) {
          await backOff.wait()
          continue
        }
        this.#log(`the server refuses a report (${report.state}), dropped: ${reasonOf(error)}`)
      }
      // Looked for anew: the list may have been cut while the request was on its way.
      const at = this.#reports.indexOf(report)
      if (at >= 0) this.#reports.splice(at, 1)
      this.#keep()
    }
  }
}

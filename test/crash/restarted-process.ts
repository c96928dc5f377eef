import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'

const STOP_PATIENCE_MS = 10_000

/** A program that is started again whenever it ends, as an orchestrator would, until it is told to stop. */
export class RestartedProcess {
  readonly #args: string[]
  readonly #argsAgain: string[]
  readonly #environment: Record<string, string>
  readonly #logFile: string
  #child: ChildProcess
  #stopping = false
  restarts = 0

  /** `again` comes before the arguments at every start but the first. */
  constructor(args: string[], environment: Record<string, string>, logFile: string, again: string[] = []) {
    this.#args = args
    this.#argsAgain = [...again, ...args]
    this.#environment = environment
    this.#logFile = logFile
    this.#child = this.#launch()
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  #launch(): ChildProcess {
    const output = openSync(this.#logFile, 'a', 0o600)
    const child = spawn(process.execPath, this.restarts > 0 ? this.#argsAgain : this.#args, {
      stdio: ['ignore', output, output],
      env: { PATH: process.env.PATH ?? '', ...this.#environment },
    })
    closeSync(output)
    child.once('exit', () => {
      if (this.#stopping) return
      this.restarts += 1
      this.#child = this.#launch()
    })
    return child
  }

  async stop(): Promise<void> {
    this.#stopping = true
    const child = this.#child
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    const patience = setTimeout(() => child.kill('SIGKILL'), STOP_PATIENCE_MS)
    await exited
    clearTimeout(patience)
  }
}

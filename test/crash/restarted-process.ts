import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'

const STOP_PATIENCE_MS = 10_000

/** A program that is started again whenever it ends, as an orchestrator would, until it is told to stop. */
export class RestartedProcess {
  readonly #args: string[]
  readonly #environment: Record<string, string>
  readonly #logFile: string
  readonly #afterDeath: () => Promise<void>
  #child: ChildProcess
  #stopping = false
  restarts = 0

  /** `afterDeath` comes before each start but the first. */
  constructor(
    args: string[],
    environment: Record<string, string>,
    logFile: string,
    afterDeath: () => Promise<void> = async () => {},
  ) {
    this.#args = args
    this.#environment = environment
    this.#logFile = logFile
    this.#afterDeath = afterDeath
    this.#child = this.#launch()
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  #launch(): ChildProcess {
    const output = openSync(this.#logFile, 'a', 0o600)
    const child = spawn(process.execPath, this.#args, {
      stdio: ['ignore', output, output],
      env: { PATH: process.env.PATH ?? '', ...this.#environment },
    })
    closeSync(output)
    child.once('exit', async () => {
      if (this.#stopping) return
      this.restarts += 1
      await this.#afterDeath().catch(() => {})
      if (!this.#stopping) this.#child = this.#launch()
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

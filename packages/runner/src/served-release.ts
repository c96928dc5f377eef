import { setTimeout as delay } from 'node:timers/promises'
import type { DesiredRelease } from '@agentctl/contract/runner.ts'
import type { AgentProcess, Ending } from './agent-process.ts'
import type { Target } from './agent-proxy.ts'
import { BackOff } from './back-off.ts'
import { type Launched, launch } from './launch.ts'
import type { Machine } from './machine.ts'
import { reasonOf } from './own-log.ts'

/** After so long without a crash the back-off starts anew. */
const STEADY_MS = 60_000
const RESTART_FIRST_MS = 500
const RESTART_MOST_MS = 30_000
/** How long open requests may take to end when another release has taken over. */
export const DRAIN_MS = 30_000

/** A release that was healthy: kept running, started again when it crashes, until it is retired. */
export class ServedRelease {
  readonly release: DesiredRelease
  /** Tells apart two wishes for the same release with, say, other secrets. */
  readonly key: string
  readonly #machine: Machine
  readonly #retired = new AbortController()
  #agent: AgentProcess | undefined
  #target: Target | undefined
  #kept: Promise<void> | undefined

  constructor(machine: Machine, release: DesiredRelease, key: string) {
    this.#machine = machine
    this.release = release
    this.key = key
  }

  /** Whether it serves now, and is not about to be started again. */
  get healthy(): boolean {
    return this.#agent !== undefined && !this.#agent.over
  }

  /** Lets it serve, from now on and again after each crash. */
  serve(launched: Launched): void {
    this.#take(launched)
    this.#kept = this.#keepRunning()
  }

  /** Waits for its open requests, then stops it for good; another release serves already, or none shall. */
  async retire(drainMs: number): Promise<void> {
    this.#retired.abort()
    const [agent, target] = [this.#agent, this.#target]
    if (target) await this.#machine.proxy.drained(target, drainMs)
    await agent?.stop()
    if (agent?.identity) this.#machine.record.ended(agent.identity)
    await this.#kept
  }

  #take({ agent, host, port }: Launched): void {
    this.#agent = agent
    this.#target = { host, port, open: 0 }
    if (agent.identity) this.#machine.record.serves(agent.identity, { host, port }, this.release)
    this.#machine.proxy.pointTo(this.#target)
  }

  async #keepRunning(): Promise<void> {
    const { proxy, reports, record, logs, log } = this.#machine
    const { signal } = this.#retired
    const backOff = new BackOff(RESTART_FIRST_MS, RESTART_MOST_MS)
    while (!signal.aborted) {
      const agent = this.#agent
      const target = this.#target
      if (!agent || !target) return
      const ending = await agent.ended
      if (signal.aborted) return
      proxy.pointAway(target, 'crashed')
      if (Date.now() - agent.startedAt > STEADY_MS) backOff.reset()
      const message = crashMessage(ending)
      logs.push('platform', this.release.id, message)
      reports.add({
        releaseId: this.release.id,
        state: 'crashed',
        message,
        exitCode: ending.code,
        logTail: agent.tail(),
      })
      // What is left of its group would hold its port.
      await agent.stop()
      if (agent.identity) record.ended(agent.identity)
      const again = await this.#launchAgain(backOff)
      if (!again) return
      log(`${this.release.id} runs again`)
      this.#take(again)
      reports.add({ releaseId: this.release.id, state: 'healthy' })
    }
  }

  async #launchAgain(backOff: BackOff): Promise<Launched | undefined> {
    const { signal } = this.#retired
    for (;;) {
      await backOff.wait(signal)
      if (signal.aborted) return undefined
      let outcome: Awaited<ReturnType<typeof launch>>
      try {
        outcome = await launch(this.#machine, this.release, {}, signal)
      } catch (error) {
        this.#machine.log(`${this.release.id} could not be started again: ${reasonOf(error)}`)
        continue
      }
      if (!outcome) return undefined
      if ('agent' in outcome) {
        if (!signal.aborted) return outcome
        await outcome.agent.stop()
        return undefined
      }
      this.#machine.logs.push(
        'platform',
        this.release.id,
        outcome.message ?? 'The agent did not start again.',
      )
      // Other work goes on between two attempts, however quickly they fail.
      await delay(0)
    }
  }
}

function crashMessage(ending: Ending): string {
  if (ending.signal) {
    const memory = ending.signal === 'SIGKILL' ? ' (perhaps the machine ran out of memory)' : ''
    return `The agent was ended by ${ending.signal}${memory} and is started again.`
  }
  if (ending.code === null) return 'The agent ended and is started again.'
  return `The agent ended with exit code ${ending.code} and is started again.`
}

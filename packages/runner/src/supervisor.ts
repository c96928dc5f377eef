import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import type { Desired, DesiredRelease, Report, Timings } from '@agentctl/contract/runner.ts'
import { AgentProcess, endSession } from './agent-process.ts'
import { BackOff } from './back-off.ts'
import { launch } from './launch.ts'
import type { Machine } from './machine.ts'
import { reasonOf } from './own-log.ts'
import { elapsed, type Failure, prepareRelease } from './prepare-release.ts'
import { keepOnlyReleases } from './release-files.ts'
import { DRAIN_MS, ServedRelease } from './served-release.ts'
import { readJsonState, writeState } from './state-file.ts'

/** The last wish that failed, kept so that no later runner tries it again. */
interface FailedRelease {
  key: string
  report: Report
}

/** How long open requests may take to end when the machine goes down. */
const GOING_DOWN_MS = 2000

/** Makes real what is desired: at most one release serves, and a new one replaces it only when it is healthy. */
export class Supervisor {
  readonly #machine: Machine
  readonly #retiring = new Set<Promise<void>>()
  #desired: Desired | undefined
  #served: ServedRelease | undefined
  #underWay: { key: string | null; abort: AbortController } | undefined
  #wake: () => void = () => {}
  #stopped = false

  constructor(machine: Machine) {
    this.#machine = machine
  }

  /** Nothing is being fetched, installed, started or replaced. */
  get idle(): boolean {
    return this.#underWay === undefined && this.#retiring.size === 0
  }

  desire(desired: Desired): void {
    const again = this.#desired !== undefined && this.#desired.revision !== desired.revision
    this.#desired = desired
    const { release } = desired
    if (again && release) this.#repeatOutcome(keyOf(release))
    if (this.#underWay && this.#underWay.key !== (release && keyOf(release))) this.#underWay.abort.abort()
    this.#wake()
  }

  /** A wish for what is already decided causes no work, and still whoever wishes waits for a word. */
  #repeatOutcome(key: string): void {
    const { reports } = this.#machine
    if (this.#served?.key === key) {
      if (this.#served.healthy) reports.add({ releaseId: this.#served.release.id, state: 'healthy' })
      return
    }
    const failed = this.#failed()
    if (failed?.key === key) reports.add(failed.report)
  }

  /** Takes over the agent that an earlier runner left running, and ends whatever else it left. */
  adopt(): void {
    const { record, logs, reports, log, proxy } = this.#machine
    const { release } = record
    for (const recorded of [...record.processes]) {
      if (release && recorded.serving) {
        const agent = AgentProcess.adopt(recorded, (stream, line) => logs.push(stream, release.id, line))
        if (agent) {
          this.#served = new ServedRelease(this.#machine, release, keyOf(release))
          this.#served.serve({ agent, ...recorded.serving })
          log(`adopted ${release.id}, process ${recorded.identity.pid}`)
          // Said again: the runner before may have been killed before it could say it.
          reports.add({ releaseId: release.id, state: 'healthy' })
          continue
        }
        log(`the process of ${release.id} is gone`)
      }
      const leaving = endSession(recorded.identity).then(() => {
        for (const pipe of [recorded.pipes.stdout, recorded.pipes.stderr]) rmSync(pipe, { force: true })
        record.ended(recorded.identity)
      })
      this.#track(leaving)
    }
    if (!this.#served) proxy.pointAway(undefined, 'starting')
  }

  async run(): Promise<void> {
    const backOff = new BackOff(250, 10_000)
    while (!this.#stopped) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      let worked = false
      try {
        worked = await this.#step()
        backOff.reset()
      } catch (error) {
        // A fault of the machine (a full disk, say), not of the release: it may pass.
        this.#machine.log(`could not make the desired state real, trying again: ${reasonOf(error)}`)
        this.#underWay = undefined
        await backOff.wait()
        worked = true
      }
      if (!worked) await woken
    }
  }

  /** Ends everything, since the machine goes down. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#underWay?.abort.abort()
    this.#wake()
    this.#machine.proxy.pointAway(undefined, 'stopped')
    await this.#served?.retire(GOING_DOWN_MS)
    while (this.#underWay || this.#retiring.size > 0) {
      await Promise.race([...this.#retiring, new Promise((resolve) => setTimeout(resolve, 20))])
    }
  }

  /** Does what is to be done now; false when there is nothing. */
  async #step(): Promise<boolean> {
    const desired = this.#desired
    if (!desired) return false
    const { proxy, record } = this.#machine
    const { release } = desired
    if (release === null) {
      proxy.pointAway(undefined, 'stopped')
      if (!this.#served) return false
      this.#retire(this.#served)
      this.#served = undefined
      record.nothingServes()
      return true
    }
    const key = keyOf(release)
    if (this.#served?.key === key || this.#failed()?.key === key) return false
    const abort = new AbortController()
    this.#underWay = { key, abort }
    try {
      await this.#replaceWith(release, key, abort.signal)
    } finally {
      this.#underWay = undefined
    }
    return true
  }

  async #replaceWith(release: DesiredRelease, key: string, signal: AbortSignal): Promise<void> {
    const { reports, proxy, log } = this.#machine
    if (!this.#served) proxy.pointAway(undefined, 'starting')
    log(`release ${release.id} (number ${release.number}) is desired`)
    const timings: Timings = {}
    const unprepared = await prepareRelease(this.#machine, release, timings, signal)
    if (signal.aborted) return
    if (unprepared) {
      this.#fail(release, key, unprepared, timings)
      return
    }
    reports.add({ releaseId: release.id, state: 'starting', timings })
    const outcome = await launch(this.#machine, release, timings, signal)
    if (!outcome) return
    if (!('agent' in outcome)) {
      this.#fail(release, key, outcome, timings)
      return
    }
    const since = performance.now()
    const before = this.#served
    const served = new ServedRelease(this.#machine, release, key)
    this.#served = served
    served.serve(outcome)
    timings.switchMs = elapsed(since)
    reports.add({ releaseId: release.id, state: 'healthy', timings })
    log(`release ${release.id} is healthy on port ${outcome.port}`)
    if (before) this.#retire(before)
    await this.#prune(release)
  }

  #fail(release: DesiredRelease, key: string, failure: Failure, timings: Timings): void {
    const { layout, reports, logs, proxy, log } = this.#machine
    const report: Report = { releaseId: release.id, state: 'failed', ...failure, timings }
    writeState(layout.failed, JSON.stringify({ key, report } satisfies FailedRelease))
    reports.add(report)
    logs.push('platform', release.id, failure.message ?? 'The release failed.')
    log(`release ${release.id} failed: ${failure.reason}`)
    if (!this.#served) proxy.pointAway(undefined, 'no_release')
  }

  #failed(): FailedRelease | undefined {
    return readJsonState<FailedRelease>(this.#machine.layout.failed)
  }

  #retire(served: ServedRelease): void {
    this.#track(served.retire(DRAIN_MS))
  }

  #track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => this.#machine.log(`an old process could not be ended: ${reasonOf(error)}`))
      .finally(() => this.#retiring.delete(tracked))
    this.#retiring.add(tracked)
  }

  /** Keeps the files of this release and the one before, for a rollback; the rest of the disk is the agent's. */
  async #prune(release: DesiredRelease): Promise<void> {
    const { layout, cache, record } = this.#machine
    const ids = new Set([release.id, ...(record.previousReleaseId ? [record.previousReleaseId] : [])])
    await keepOnlyReleases(layout.releases, new Set([...ids].flatMap((id) => [id, `${id}.ready`])))
    await cache.keepOnly(new Set(release.files.map((file) => file.sha256)))
  }
}

/** A release with other secrets, or under another configuration, is another wish; in another order it is the same. */
const keyOf = (release: DesiredRelease): string => {
  const files = [...release.files].sort((a, b) => (a.path < b.path ? -1 : 1))
  return createHash('sha256')
    .update(JSON.stringify({ ...release, files }, inOrder))
    .digest('hex')
}

const inOrder = (_key: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value

import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { type Point, pointText } from './control.ts'
import type { Fault } from './faults.ts'
import { brokenInvariants } from './invariants.ts'
import type { Journey, Operation, Subject } from './journey.ts'
import { type Choice, choosePoints, type Depth, type Hits } from './point-choice.ts'
import type { World } from './world.ts'

const SETTLE_MS = 45_000
/** A point that depends on timing is tried again in later runs before it counts as not reached. */
const ATTEMPTS = 3
/** So many runs that come to no point any more mean that the journey is broken for good. */
const IDLE_RUNS = 3
/** How long to wait before traces are cleared that need it. */
const TRACES_MS = 3_000
const RECORDINGS = 2

/** What one run hits in one operation. */
interface Shot {
  points: Point[]
  attempts: number
}

export interface Violation {
  operation: string
  fault: string
  point: string
  sentence: string
}

export interface ShardReport {
  world: string
  runs: number
  hit: number
  restarts: number
  seconds: number
}

export interface CampaignReport {
  fault: string
  /** By operation and program. */
  found: Record<string, number>
  chosen: number
  collapsed: number
  hit: number
  /** Points that no run reached again, such as those of a rare order of events. */
  unreached: string[]
  violations: Violation[]
  shards: ShardReport[]
  seconds: number
}

/** By the name of the operation. */
export type FoundPoints = Map<string, Choice>

export interface CampaignOptions {
  journey: Journey
  found: FoundPoints
  fault: Fault
  worlds: World[]
  /** How many points of an operation one run hits, one after another; several save runs. */
  pointsPerRun?: number
  /** Chooses among the points found, for a fault that is too slow to be tried at all of them. */
  choose?: (points: Point[]) => Point[]
  /** How long everything may take to be in order again after an operation. */
  settleMs?: number
  log: (line: string) => void
}

/** The points of a journey, found by running it without any fault; with `hits`, those of calls that are not hit yet. */
export async function findPoints(
  world: World,
  journey: Journey,
  depth: Depth,
  {
    hits,
    /** Each finds a few more, where the order of events differs. */
    recordings = RECORDINGS,
  }: { hits?: Hits | undefined; recordings?: number } = {},
): Promise<FoundPoints> {
  const noted = new Map<string, Point[][]>()
  for (let serial = 1; serial <= recordings; serial++) {
    await runOnce(world, journey, `${journey.name}-${serial}`, async (operation, subject) => {
      const id = `record-${operation.name}-${serial}`
      const trouble = await runArmed(world, operation, subject, {
        id,
        settleMs: SETTLE_MS,
        known: new Set(),
      })
      if (trouble.length > 0) {
        throw new Error(`The journey breaks without any fault: ${operation.name}: ${trouble.join('; ')}`)
      }
      noted.set(operation.name, [...(noted.get(operation.name) ?? []), world.control.noted(id)])
      return true
    })
  }
  return chooseForEach(noted, depth, hits)
}

/**
 * What every recording of an operation has reached is hit there; only then what some have, such as a turn of a work
 * that repeats by itself: it may come at another time, but is sure to be reached where it is made to come.
 */
function chooseForEach(
  noted: ReadonlyMap<string, Point[][]>,
  depth: Depth,
  hits: Hits | undefined,
): FoundPoints {
  const hitsOf = new Map([...noted.keys()].map((name) => [name, hits ?? new Map()]))
  const sure = new Map(
    [...noted].map(([name, recordings]) => {
      const texts = recordings.map((points) => new Set(points.map(pointText)))
      const inAll = recordings.map((points) =>
        points.filter((point) => texts.every((one) => one.has(pointText(point)))),
      )
      return [name, choosePoints(inAll, depth, hitsOf.get(name))] as const
    }),
  )
  return new Map(
    [...noted].map(([name, recordings]) => {
      const first = sure.get(name)?.points ?? []
      const chosen = new Set(first.map(pointText))
      const others = recordings.map((points) => points.filter((point) => !chosen.has(pointText(point))))
      const { points, collapsed } = choosePoints(others, depth, hitsOf.get(name))
      return [name, { points: [...first, ...points], collapsed }]
    }),
  )
}

/** Runs the journey once for each point with the fault there, in all worlds at the same time. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignReport> {
  const { journey, fault, worlds, log } = options
  const since = performance.now()
  const report: CampaignReport = {
    fault: fault.name,
    found: {},
    chosen: 0,
    collapsed: 0,
    hit: 0,
    unreached: [],
    violations: [],
    shards: [],
    seconds: 0,
  }
  const queues = new Map<Operation, Shot[]>()
  for (const operation of journey.operations) {
    const { points, collapsed } = options.found.get(operation.name) ?? { points: [], collapsed: 0 }
    const fitting = points.filter((point) => fault.appliesTo(point))
    for (const point of fitting) {
      const key = `${operation.name} ${point.role}`
      report.found[key] = (report.found[key] ?? 0) + 1
    }
    report.collapsed += collapsed
    const chosen = options.choose ? options.choose(fitting) : fitting
    report.chosen += chosen.length
    queues.set(operation, shots(chosen, options.pointsPerRun ?? 1))
  }
  report.shards = await Promise.all(worlds.map((world) => runShard(world, options, queues, report)))
  for (const [operation, queue] of queues) {
    const left = queue.flatMap(({ points }) => points)
    report.unreached.push(...left.map((point) => `${operation.name} │ ${pointText(point)}`))
  }
  report.seconds = (performance.now() - since) / 1000
  log(reportText(report))
  return report
}

async function runShard(
  world: World,
  { journey, fault, log, settleMs = SETTLE_MS }: CampaignOptions,
  queues: Map<Operation, Shot[]>,
  report: CampaignReport,
): Promise<ShardReport> {
  const since = performance.now()
  const { server, worker } = world.processes
  const restartsBefore = server.restarts + worker.restarts
  // Part of the agents' names, which have their rules.
  const tag = fault.name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '')
    .slice(0, 12)
  let runs = 0
  let hit = 0
  let idleRuns = 0
  /** What was reported once is not reported again, nor waited for. */
  const known = new Set<string>()
  while ([...queues.values()].some((queue) => queue.length > 0) && idleRuns < IDLE_RUNS) {
    runs += 1
    idleRuns += 1
    await runOnce(world, journey, `${tag}-${runs}`, async (operation, subject, serial) => {
      const shot = queues.get(operation)?.shift()
      if (shot) idleRuns = 0
      else if (operation.optional) return true
      const sentences = await runArmed(world, operation, subject, {
        id: `${operation.name}-${serial}`,
        settleMs,
        known,
        ...(shot ? { points: shot.points, fault } : {}),
      })
      for (const [index, point] of (shot?.points ?? []).entries()) {
        if (!fault.signal || world.control.hit(index)) {
          hit += 1
          report.hit += 1
          continue
        }
        const attempts = (shot?.attempts ?? 0) + 1
        if (attempts < ATTEMPTS) queues.get(operation)?.push({ points: [point], attempts })
        else report.unreached.push(`${operation.name} │ ${pointText(point)}`)
      }
      const point = shot ? shot.points.map(pointText).join(' and ') : 'no point'
      for (const sentence of sentences) {
        known.add(sentence)
        report.violations.push({ operation: operation.name, fault: fault.name, point, sentence })
        log(`  violation in ${operation.name} at ${point}\n    ${sentence}`)
      }
      return sentences.length === 0
    })
  }
  return {
    world: world.name,
    runs,
    hit,
    restarts: server.restarts + worker.restarts - restartsBefore,
    seconds: (performance.now() - since) / 1000,
  }
}

/** Points of one run lie far apart, so that the next is reached after the process has come back from the one before. */
function shots(points: Point[], perRun: number): Shot[] {
  const runs = Math.ceil(points.length / perRun)
  return Array.from({ length: runs }, (_, run) => ({
    points: points.filter((_, index) => index % runs === run),
    attempts: 0,
  }))
}

/** One pass through the journey on a subject of its own; ends early, and cleans up, where `each` says false. */
async function runOnce(
  world: World,
  journey: Journey,
  serial: string,
  each: (operation: Operation, subject: Subject, serial: string) => Promise<boolean>,
): Promise<void> {
  const subject: Subject = { name: `crash-${serial}`, agentId: '', url: '' }
  for (const operation of journey.operations) {
    if (await each(operation, subject, serial)) continue
    await journey.abandon(world, subject).catch(() => {})
    return
  }
}

/** Runs an operation with the fault at these points and says what is broken when it has ended and everything had time to settle. */
async function runArmed(
  world: World,
  operation: Operation,
  subject: Subject,
  {
    id,
    settleMs,
    known,
    points = [],
    fault,
  }: { id: string; settleMs: number; known: ReadonlySet<string>; points?: Point[]; fault?: Fault },
): Promise<string[]> {
  const { control } = world
  control.forget(id)
  const undo: (() => Promise<void>)[] = []
  for (const point of points) {
    const taken = await fault?.prepare?.(world, point)
    if (taken) undo.push(taken)
  }
  control.arm({ id, signal: fault?.signal ?? 'SIGKILL', targets: fault?.signal ? points : [] })
  const released = fault?.whileHeld ? points.map((_, index) => releaseHeld(world, fault, id, index)) : []
  try {
    await operation.run(world, subject)
    let broken = await settle(world, fault?.clearTraces ? TRACES_MS : settleMs, known)
    if (broken.length > 0 && fault?.clearTraces) {
      await fault.clearTraces(world)
      broken = await settle(world, settleMs, known)
    }
    return [...broken, ...(await operation.check(world, subject))]
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)]
  } finally {
    control.disarm()
    await Promise.all(released)
    for (const take of undo) await take()
  }
}

/** Waits for the process that stops itself, does what the fault says, and lets it go on. */
async function releaseHeld(world: World, fault: Fault, id: string, target: number): Promise<void> {
  while (world.control.armed()?.id === id) {
    const hit = world.control.hit(target)
    if (hit) {
      // It says that it was hit before it stops; a SIGCONT in between would be lost.
      while (!isStopped(hit.pid)) await pause(1)
      try {
        await fault.whileHeld?.(world, hit)
      } finally {
        process.kill(hit.pid, 'SIGCONT')
      }
      return
    }
    await pause(5)
  }
}

function isStopped(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T')
  } catch {
    return true
  }
}

/** Waits until nothing is broken but what was reported before, and says what is when that does not come. */
async function settle(world: World, settleMs: number, known: ReadonlySet<string>): Promise<string[]> {
  const deadline = Date.now() + settleMs
  for (;;) {
    const all = await brokenInvariants(world).catch((error: unknown) => [`not known: ${error}`])
    const broken = all.filter((sentence) => !known.has(sentence))
    if (broken.length === 0 || Date.now() > deadline) return broken
    await pause(20)
  }
}

export function reportText(report: CampaignReport): string {
  const found = Object.values(report.found).reduce((sum, count) => sum + count, 0)
  return [
    `${report.fault}: ${found} points found, ${report.chosen} chosen, ${report.hit} hit, ${report.unreached.length} not reached again, ` +
      `${report.collapsed} further occurrences not hit, ${report.violations.length} violations, ${report.seconds.toFixed(0)} s`,
    ...Object.entries(report.found).map(([key, count]) => `  ${key}: ${count} points`),
    ...report.shards.map(
      (shard) =>
        `  shard ${shard.world}: ${shard.runs} runs, ${shard.hit} points hit, ${shard.restarts} server restarts, ${shard.seconds.toFixed(0)} s`,
    ),
    ...report.unreached.map((point) => `  not reached again: ${point}`),
  ].join('\n')
}

import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { type Point, pointText } from './control.ts'
import type { Fault, Prepared } from './faults.ts'
import type { Invariant } from './invariant.ts'
import { brokenOf, invariants } from './invariants.ts'
import type { Journey, Operation, Subject } from './journey.ts'
import { type Choice, type Choose, choosePoints, type Depth, type Hits } from './point-choice.ts'
import type { World } from './world.ts'

const SETTLE_MS = 45_000
const SETTLE_LOOK_MS = 30
/** A point that depends on timing is tried again in later runs before it counts as not reached. */
const ATTEMPTS = 3
/** So many runs that come to no point any more mean that the journey is broken for good. */
const IDLE_RUNS = 3
/** How long to wait before traces are cleared that need it. */
const TRACES_MS = 3_000

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
  /** Hits one point in each run, so that nothing else can be what breaks something. */
  oneByOne?: boolean
  /** Chooses among the points found, for a fault that is too slow to be tried at all of them. */
  choose?: Choose
  /** How long everything may take to be in order again after an operation. */
  settleMs?: number
  log: (line: string) => void
}

/** What each recording of a journey has reached, by the name of the operation. */
export type Recordings = Map<string, Point[][]>

/**
 * Runs journeys without any fault, in all worlds at the same time; one that is named twice is recorded twice, which
 * finds a few more points, where the order of events differs. `before` is run in each world and not recorded: what is
 * done once in a world and never again cannot be hit.
 */
export async function record(
  worlds: World[],
  journeys: Journey[],
  before?: Journey,
): Promise<(journey: Journey) => Recordings> {
  const left = [...journeys.entries()]
  const recorded = new Map<Journey, Recordings>(journeys.map((journey) => [journey, new Map()]))
  const of = (journey: Journey): Recordings => recorded.get(journey) ?? new Map()
  await Promise.all(
    worlds.map(async (world) => {
      if (before) await recordOnce(world, before, journeys.length)
      for (let next = left.shift(); next; next = left.shift()) {
        const [serial, journey] = next
        for (const [operation, points] of await recordOnce(world, journey, serial)) {
          of(journey).set(operation, [...(of(journey).get(operation) ?? []), points])
        }
      }
    }),
  )
  return of
}

async function recordOnce(world: World, journey: Journey, serial: number): Promise<Map<string, Point[]>> {
  const noted = new Map<string, Point[]>()
  await runOnce(world, journey, `${journey.name}-${serial}`, async (operation, subject) => {
    const id = `record-${operation.name}-${serial}`
    const { sentences } = await runArmed(world, operation, subject, {
      id,
      settleMs: SETTLE_MS,
      known: new Set(),
    })
    if (sentences.length > 0) {
      throw new Error(`The journey breaks without any fault: ${operation.name}: ${sentences.join('; ')}`)
    }
    noted.set(
      operation.name,
      world.control.noted(id).filter((point) => !isRace(point)),
    )
    return true
  })
  return noted
}

/**
 * A lease is lost when two come at one moment, and seldom at the same one again; `SIGSTOP` is what makes it happen. A
 * lease is made longer when a visit takes long, which a busy machine decides.
 */
const isRace = ({ call }: Point): boolean =>
  call.startsWith('rollback of select 1 from operations') ||
  call.startsWith('update operations set lease_until = clock_timestamp() + make_interval')

/**
 * What every recording of an operation has reached is hit there; only then what some have, such as a turn of a work
 * that repeats by itself: it may come at another time, but is sure to be reached where it is made to come. With `hits`,
 * only calls that are not hit yet; `apart`: what one operation hits, the next one hits too.
 */
export function chooseAmong(
  noted: Recordings,
  depth: Depth,
  { hits, apart = hits === undefined }: { hits?: Hits; apart?: boolean } = {},
): FoundPoints {
  const hitsOf = new Map([...noted.keys()].map((name) => [name, apart ? new Map(hits) : hits]))
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

/** How many there were in this process. */
let campaigns = 0

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
  for (const [index, operation] of journey.operations.entries()) {
    const { points, collapsed } = options.found.get(operation.name) ?? { points: [], collapsed: 0 }
    const fitting = points.filter((point) => fault.appliesTo(point))
    for (const point of fitting) {
      const key = `${operation.name} ${point.role}`
      report.found[key] = (report.found[key] ?? 0) + 1
    }
    report.collapsed += collapsed
    const chosen = options.choose ? options.choose(fitting, index) : fitting
    report.chosen += chosen.length
    queues.set(operation, shots(chosen, options.oneByOne ? 1 : (fault.perRun ?? 1)))
  }
  campaigns += 1
  // Part of the agents' names, which have their rules; no two campaigns work on the same names, for labels are never given out again.
  const tag = `${fault.name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '')
    .slice(0, 12)}${campaigns}`
  report.shards = await Promise.all(worlds.map((world) => runShard(world, options, queues, report, tag)))
  for (const [operation, queue] of queues) {
    const left = queue.flatMap(({ points }) => points)
    report.unreached.push(...left.map((point) => `${operation.name} │ ${pointText(point)}`))
  }
  report.seconds = (performance.now() - since) / 1000
  log([reportText(report), ...(fault.told ?? [])].join('\n'))
  return report
}

async function runShard(
  world: World,
  { journey, fault, log, settleMs = SETTLE_MS }: CampaignOptions,
  queues: Map<Operation, Shot[]>,
  report: CampaignReport,
  tag: string,
): Promise<ShardReport> {
  const since = performance.now()
  const { server, worker } = world.processes
  const restartsBefore = server.restarts + worker.restarts
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
      const { sentences, met, isRefused } = await runArmed(world, operation, subject, {
        id: `${operation.name}-${serial}`,
        settleMs,
        known,
        ...(shot ? { points: shot.points, fault } : {}),
      })
      for (const [index, point] of (shot?.points ?? []).entries()) {
        if (fault.signal ? world.control.hit(index) : met[index]) {
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
      return sentences.length === 0 && !isRefused
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
  const subject: Subject = { name: `crash-${serial}`, agentId: '', url: '', born: '' }
  for (const operation of journey.operations) {
    if (await each(operation, subject, serial)) continue
    await journey.abandon(world, subject).catch(() => {})
    return
  }
}

interface Ended {
  /** What is broken. */
  sentences: string[]
  /** Which of the points have met what was prepared for them. */
  met: boolean[]
  /** Whether the user was told that it cannot be, as a provider's refusal may be; what stands on it cannot be then. */
  isRefused: boolean
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
): Promise<Ended> {
  const { control } = world
  control.forget(id)
  const prepared: Prepared[] = []
  for (const point of points) {
    const one = await fault?.prepare?.(world, point)
    if (one) prepared.push(one)
  }
  control.arm({ id, signal: fault?.signal ?? 'SIGKILL', targets: fault?.signal ? points : [] })
  const released = fault?.whileHeld ? points.map((_, index) => releaseHeld(world, fault, id, index)) : []
  let isRefused = false
  let sentences: string[]
  try {
    await operation.run(world, subject).catch((error: unknown) => {
      isRefused = fault?.refusal?.(points)?.test(String(error)) ?? false
      if (!isRefused) throw error
    })
    let broken = await settle(world, fault?.clearTraces ? TRACES_MS : settleMs, known)
    if (broken.length > 0 && fault?.clearTraces) {
      await fault.clearTraces(world)
      broken = await settle(world, settleMs, known)
    }
    sentences = [...broken, ...(isRefused ? [] : await operation.check(world, subject))]
  } catch (error) {
    sentences = [error instanceof Error ? error.message : String(error)]
  }
  control.disarm()
  await Promise.all(released)
  const met = await Promise.all(prepared.map(({ isMet }) => isMet?.() ?? true))
  for (const { undo } of prepared) await undo()
  return { sentences, met, isRefused }
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
  /** Only what was broken is looked at again; all of it once more when that is in order. */
  let wanted = invariants
  for (;;) {
    const looked = await Promise.all(wanted.map((one) => brokenNow(world, one, known)))
    const broken = looked.flat()
    if (broken.length === 0 && wanted === invariants) return []
    if (Date.now() > deadline) return broken
    wanted = broken.length === 0 ? invariants : wanted.filter((_, index) => looked[index]?.length !== 0)
    if (broken.length > 0) await pause(SETTLE_LOOK_MS)
  }
}

async function brokenNow(world: World, invariant: Invariant, known: ReadonlySet<string>): Promise<string[]> {
  const all = await brokenOf(world, invariant).catch((error: unknown) => [`not known: ${error}`])
  return all.filter((sentence) => !known.has(sentence))
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

import { isThorough } from '../thorough.ts'
import type { Point } from './control.ts'

/**
 * Loops (polls, heartbeats, health checks) and what every request begins with (its session, its namespace) reach the
 * same call again and again. The first occurrences of a call in an operation are hit; the further ones meet the same
 * code and are only counted.
 */
export interface Depth {
  /** How many occurrences of a call are hit, by program. */
  occurrences: Record<string, number>
  /** Whether the same statement for another request is another call. */
  byRequest: boolean
}

/** Every distinct call; of the worker's, which are repeated with another step of the same work, the second time too. */
export const everyCall: Depth = { occurrences: { server: 1, worker: 2, runner: 1 }, byRequest: false }

/** Every distinct call once: where each operation makes calls of its own at each step. */
export const everyCallOnce: Depth = { occurrences: { server: 1, worker: 1, runner: 1 }, byRequest: false }

/** For a nightly run. */
export const everyCallOfEveryRequest: Depth = {
  occurrences: { server: 3, worker: 4, runner: 3 },
  byRequest: true,
}

export interface Choice {
  points: Point[]
  /** How many further occurrences were noted that are not hit. */
  collapsed: number
}

/** How often each call is hit by now. Shared between operations, the same code is not hit again in each of them. */
export type Hits = Map<string, number>

/** In the order in which they were first reached. */
export function choosePoints(
  recordings: Point[][],
  { occurrences, byRequest }: Depth,
  hits: Hits = new Map(),
): Choice {
  const seen = new Set<string>()
  const points: Point[] = []
  let collapsed = 0
  for (const point of recordings.flat()) {
    const key = JSON.stringify([point.role, point.name, point.nth])
    if (seen.has(key)) continue
    seen.add(key)
    const call = JSON.stringify([point.role, byRequest ? point.name : point.call])
    const hit = (hits.get(call) ?? 0) + 1
    hits.set(call, hit)
    if (hit <= (occurrences[point.role] ?? 1)) points.push(point)
    else collapsed += 1
  }
  return { points, collapsed }
}

/** Chooses among the points of one operation that a fault fits. */
export type Choose = (points: Point[], operation: number) => Point[]

/** So many of them, spread evenly over all, the same in every run. */
export function spread(count: number): Choose {
  return (points) => {
    const step = Math.max(1, points.length / count)
    return points.filter((_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step))
  }
}

/** CI hits all of them; whoever waits at a terminal, each eighth. */
export const killedPoints: Choose = (points, operation) =>
  isThorough ? points : spread(Math.ceil(points.length / 8))(points, operation)

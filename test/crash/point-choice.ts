import type { Point } from './control.ts'

/**
 * Loops (polls, heartbeats, health checks) reach the same call again and again. The first occurrences of a call are
 * hit, in each program and operation; later ones meet the same code in the same state and are only counted.
 */
export const OCCURRENCES = 2

export interface Choice {
  points: Point[]
  /** How many further occurrences were noted that are not hit. */
  collapsed: number
}

export function choosePoints(noted: Point[][]): Choice {
  const chosen = new Map<string, Point>()
  const others = new Set<string>()
  for (const point of noted.flat()) {
    const key = JSON.stringify([point.role, point.name, point.nth])
    if (point.nth <= OCCURRENCES) chosen.set(key, point)
    else others.add(key)
  }
  return { points: [...chosen.values()], collapsed: others.size }
}

/** So many of them, spread evenly over all, the same in every run. */
export function spread(count: number): (points: Point[]) => Point[] {
  return (points) => {
    const step = Math.max(1, points.length / count)
    return points.filter((_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step))
  }
}

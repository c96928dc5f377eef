import type { Arming, Hit, Point } from './control.ts'
import type { World } from './world.ts'

/** What goes wrong at a point. New kinds are added here as data; the campaign knows none of them by name. */
export interface Fault {
  name: string
  /** Which points it makes sense at. */
  appliesTo(point: Point): boolean
  /** Sent by the process to itself when it reaches the point; absent when the fault is not in the process. */
  signal?: Arming['signal']
  /** Prepared before the operation begins, such as a fault of a stand-in; returns what takes it away again. */
  prepare?(world: World, point: Point): Promise<() => Promise<void>>
  /** While the process is held by SIGSTOP; it goes on afterwards. */
  whileHeld?(world: World, hit: Hit): Promise<void>
}

export const kill: Fault = { name: 'kill -9', appliesTo: () => true, signal: 'SIGKILL' }

import {
  type Absence,
  didNotAnswer,
  malformed,
  noSuchAgent,
  notRunning,
  type Refusal,
  routesUnavailable,
  type Silence,
} from './refusal.ts'

// As keys, so that a new one is missed by the compiler.
const absences: Record<Absence, true> = { starting: true, failing: true, stopped: true, suspended: true }
const silences: Record<Silence, true> = { unreachable: true, closed: true, late: true, garbled: true }

/** Whatever the router can say instead of the agent of this name. */
export function everyRefusal(name: string): Refusal[] {
  return [
    malformed,
    noSuchAgent,
    routesUnavailable,
    ...Object.keys(absences).map((absence) => notRunning(absence as Absence, name)),
    ...Object.keys(silences).map((silence) => didNotAnswer(silence as Silence, name)),
  ]
}

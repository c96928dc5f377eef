import { readFileSync, statSync, writeFileSync } from 'node:fs'

/** Business time. Leases use the database's own. */
export interface Clock {
  now(): Date
}

export interface MovableClock extends Clock {
  /** Moves the clock of everything that shares the file; resolves to the new time. */
  advance(seconds: number): Date
}

export const systemClock: Clock = { now: () => new Date() }

const LOOK_AGAIN_MS = 50

/** System time plus the milliseconds that a file holds; the whole local cloud shares one such file. */
export function fileClock(path: string): MovableClock {
  let offsetMs = 0
  let lookedAt = 0
  let changedAt = -1
  const look = (): void => {
    if (Date.now() - lookedAt < LOOK_AGAIN_MS) return
    lookedAt = Date.now()
    const changed = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? -1
    if (changed === changedAt) return
    changedAt = changed
    offsetMs = changed === -1 ? 0 : Number(readFileSync(path, 'utf8').trim()) || 0
  }
  return {
    now() {
      look()
      return new Date(Date.now() + offsetMs)
    },
    advance(seconds) {
      lookedAt = 0
      look()
      offsetMs += seconds * 1000
      writeFileSync(path, String(offsetMs))
      return new Date(Date.now() + offsetMs)
    },
  }
}

/** The time `seconds` after `from`; negative for before. */
export function secondsAfter(from: Date, seconds: number): Date {
  return new Date(from.getTime() + seconds * 1000)
}

/** The first moment of its calendar month, in UTC. */
export function startOfMonth(moment: Date): Date {
  return new Date(Date.UTC(moment.getUTCFullYear(), moment.getUTCMonth()))
}

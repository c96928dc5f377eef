import { readKeptFile } from './kept-file.ts'

/** The one clock of the local cloud: the system's time plus what the clock file says. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Milliseconds by which this clock is ahead of the system's. */
  aheadMs(): number
}

/**
 * Reads the file at every question. That costs microseconds, and whoever moved the clock can rely on the very next
 * answer. A file that is missing or holds something else means no offset.
 */
export function clockFromFile(path: string): Clock {
  const aheadMs = () => {
    const text = readKeptFile(path)?.trim()
    return text !== undefined && /^-?\d{1,15}$/.test(text) ? Number(text) : 0
  }
  return { aheadMs, now: () => Date.now() + aheadMs() }
}

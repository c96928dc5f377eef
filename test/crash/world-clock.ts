import { renameSync, writeFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

/** Servers look at the file this often, and then all know. */
const SEEN_MS = 60

/** Business time of one world: system time and what its file says. */
export class WorldClock {
  readonly file: string
  #offsetMs = 0

  constructor(file: string) {
    this.file = file
  }

  async advance(seconds: number): Promise<void> {
    this.#offsetMs += seconds * 1000
    // Whole or not at all: half a number is another time.
    writeFileSync(`${this.file}.next`, String(this.#offsetMs))
    renameSync(`${this.file}.next`, this.file)
    await pause(SEEN_MS)
  }

  now(): Date {
    return new Date(Date.now() + this.#offsetMs)
  }
}

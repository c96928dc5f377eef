import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'

/** Where everything is on the machine. `base` is the disk; `run` is tmpfs, so that what is secret is never on the disk. */
export interface MachineLayout {
  base: string
  run: string
  runners: string
  currentRunner: string
  blobs: string
  releases: string
  /** Home directory of the agent; survives releases, restarts and suspension. */
  home: string
  bootstrap: string
  credential: string
  runner: string
  running: string
  failed: string
  reports: string
  logSequence: string
  proxyPort: string
  pipes: string
}

export const machineLayout = (base: string, run: string): MachineLayout => ({
  base,
  run,
  runners: join(base, 'runner'),
  currentRunner: join(base, 'runner', 'current'),
  blobs: join(base, 'blobs'),
  releases: join(base, 'releases'),
  home: join(base, 'home'),
  bootstrap: join(run, 'bootstrap'),
  credential: join(run, 'credential.json'),
  runner: join(run, 'runner.json'),
  running: join(run, 'agent.json'),
  failed: join(run, 'failed.json'),
  reports: join(run, 'reports.json'),
  logSequence: join(run, 'log-sequence'),
  proxyPort: join(run, 'proxy-port'),
  pipes: join(run, 'pipes'),
})

export function makeDirectories(layout: MachineLayout): void {
  for (const open of [layout.base, layout.runners, layout.releases, layout.home]) {
    mkdirSync(open, { recursive: true, mode: 0o755 })
  }
  // The agent's user has no business in the cache, nor in what the runner remembers.
  for (const closed of [layout.run, layout.blobs, layout.pipes]) {
    mkdirSync(closed, { recursive: true, mode: 0o700 })
    // Whoever made it before may have been less strict.
    chmodSync(closed, 0o700)
  }
}

/** The program that is running now, by its hash. */
export const ownSha256 = (file: string): string =>
  createHash('sha256')
    .update(readFileSync(realpathSync(file)))
    .digest('hex')

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject } from 'vitest'
import { isFull } from '../thorough.ts'
import { type CampaignReport, type FoundPoints, runCampaign } from './campaign.ts'
import type { Fault } from './faults.ts'
import type { Journey } from './journey.ts'
import type { Choose } from './point-choice.ts'
import { answersAt } from './provider-errors.ts'
import type { ProviderErrors } from './stand-in-faults.ts'
import { openWorld, type World } from './world.ts'

export const LONG_MS = 1_800_000
export const log = (line: string): void => void process.stdout.write(`${line}\n`)

/** What is found once, by whoever asks first. */
export function once<T>(find: () => Promise<T>): () => Promise<T> {
  let finding: Promise<T> | undefined
  return () => {
    finding ??= find()
    return finding
  }
}

interface Endured {
  journey: Journey
  found: FoundPoints
}

export interface Worlds {
  /** Beside each other; there from the first test on. */
  all: World[]
  /** The one in which points are looked for. */
  first(): World
  /**
   * A campaign in all of them, which breaks nothing. With `some` a bounded part of the points, unless all are tried. A
   * few are not reached again, for what happens between two requests depends on timing.
   */
  endure(wanted: Endured & { fault: Fault; some?: Choose | undefined }): Promise<void>
  /** Campaigns in which the calls of a provider meet whatever it may answer. */
  endureAnswers(provider: ProviderErrors, wanted: Endured): Promise<void>
  /** One whose servers do something naively, as long as `act` runs. */
  naively(module: string, act: (world: World) => Promise<void>): Promise<void>
}

/** Opens worlds for the tests of a file, and takes them away after the last. */
export function openWorlds(
  name: string,
  shards: number,
  {
    prepare = async () => {},
    ...taken
  }: {
    takesDomains?: boolean
    settings?: Record<string, string>
    /** Done once in each, before any process of it is hit. */
    prepare?: (world: World) => Promise<void>
  } = {},
): Worlds {
  const folder = mkdtempSync(join(tmpdir(), `agentctl-crash-${name}-`))
  const all: World[] = []
  const open = (shard: number | string, naive?: string): Promise<World> =>
    openWorld(folder, `${name}-${shard}`, { ...taken, postgresUrl: inject('postgresUrl'), naive })
  beforeAll(async () => {
    const count = Number(process.env.AGENTCTL_CRASH_SHARDS ?? shards)
    const opened = await Promise.allSettled(Array.from({ length: count }, (_, index) => open(index + 1)))
    // Those that are there are taken away at the end, whatever becomes of the others.
    for (const one of opened) if (one.status === 'fulfilled') all.push(one.value)
    for (const one of opened) if (one.status === 'rejected') throw one.reason
    await Promise.all(all.map(prepare))
  }, 300_000)
  afterAll(async () => {
    await Promise.all(all.map((world) => world.stop()))
    if (process.env.AGENTCTL_CRASH_KEEP) log(`kept: ${folder}`)
    else rmSync(folder, { recursive: true, force: true })
  }, 60_000)
  const endure: Worlds['endure'] = async ({ some, ...wanted }) => {
    const report: CampaignReport = await runCampaign({
      ...wanted,
      worlds: all,
      oneByOne: isFull,
      log,
      ...(isFull || !some ? {} : { choose: some }),
    })
    expect(report.violations).toEqual([])
    expect(report.unreached.length).toBeLessThanOrEqual(2 + report.hit / 10)
    if (report.chosen > 0) expect(report.hit).toBeGreaterThan(0)
  }
  return {
    all,
    endure,
    async endureAnswers(provider, wanted) {
      for (const fault of answersAt(wanted.found, provider)) await endure({ ...wanted, fault })
    },
    first() {
      const [first] = all
      if (!first) throw new Error('There is no world.')
      return first
    },
    async naively(module, act) {
      const world = await open('naive', module)
      try {
        await prepare(world)
        await act(world)
      } finally {
        await world.stop()
      }
    },
  }
}

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject } from 'vitest'
import { isFull, isThorough } from '../thorough.ts'
import { type CampaignReport, type FoundPoints, runCampaign } from './campaign.ts'
import { type Fault, kill } from './faults.ts'
import type { Journey } from './journey.ts'
import type { Choose } from './point-choice.ts'
import { openWorld, type World } from './world.ts'

export const LONG_MS = 1_800_000
export const log = (line: string): void => void process.stdout.write(`${line}\n`)

/** Those that are tried, each with its name for a title. */
export function triedFaults<T extends { fault: Fault }>(faults: readonly T[]): (T & { name: string })[] {
  return faults
    .filter(({ fault }) => isThorough || fault === kill)
    .map((one) => ({ ...one, name: one.fault.name }))
}

/** What is found once, by whoever asks first. */
export function once<T>(find: () => Promise<T>): () => Promise<T> {
  let finding: Promise<T> | undefined
  return () => {
    finding ??= find()
    return finding
  }
}

export interface Worlds {
  /** Beside each other; there from the first test on. */
  all: World[]
  /** The one in which points are looked for. */
  first(): World
  /** A campaign in all of them, which breaks nothing. With `some` a bounded part of the points, unless all are tried. */
  endure(wanted: {
    journey: Journey
    found: FoundPoints
    fault: Fault
    some?: Choose | undefined
  }): Promise<CampaignReport>
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
  const open = async (shard: number | string, naive?: string): Promise<World> => {
    const world = await openWorld(folder, `${name}-${shard}`, {
      ...taken,
      postgresUrl: inject('postgresUrl'),
      naive,
    })
    await prepare(world)
    return world
  }
  beforeAll(async () => {
    const count = Number(process.env.AGENTCTL_CRASH_SHARDS ?? shards)
    all.push(...(await Promise.all(Array.from({ length: count }, (_, index) => open(index + 1)))))
  }, 300_000)
  afterAll(async () => {
    await Promise.all(all.map((world) => world.stop()))
    if (process.env.AGENTCTL_CRASH_KEEP) log(`kept: ${folder}`)
    else rmSync(folder, { recursive: true, force: true })
  }, 60_000)
  return {
    all,
    first() {
      const [first] = all
      if (!first) throw new Error('There is no world.')
      return first
    },
    async endure({ some, ...wanted }) {
      const report = await runCampaign({
        ...wanted,
        worlds: all,
        oneByOne: isFull,
        log,
        ...(isFull || !some ? {} : { choose: some }),
      })
      expect(report.violations).toEqual([])
      return report
    },
    async naively(module, act) {
      const world = await open('naive', module)
      try {
        await act(world)
      } finally {
        await world.stop()
      }
    },
  }
}

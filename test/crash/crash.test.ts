import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cloud, startCloud } from '../../scripts/cloud.ts'
import { agentJourney, deletion, firstDeploy } from './agent-journey.ts'
import { type FoundPoints, findPoints, runCampaign } from './campaign.ts'
import type { Point } from './control.ts'
import {
  databaseRestart,
  type Fault,
  kill,
  providerDropAfterEffect,
  providerErrorAfterEffect,
  providerTimeoutAfterEffect,
  sleepPastLease,
} from './faults.ts'
import { moneyJourney } from './money-journey.ts'
import {
  type Depth,
  everyCall,
  everyCallOfEveryRequest,
  everyCallOnce,
  type Hits,
  killedPoints,
  spread,
} from './point-choice.ts'
import { creditsJourney, restJourney } from './rest-journey.ts'
import { openWorld, type World } from './world.ts'

const SHARDS = Number(process.env.AGENTCTL_CRASH_SHARDS ?? 3)
const LONG_MS = 1_800_000
/** Of one operation, one after the other: what a restart costs is little beside a machine. */
const POINTS_PER_RUN = 6
const folder = mkdtempSync(join(tmpdir(), 'agentctl-crash-'))
const log = (line: string): void => void process.stdout.write(`${line}\n`)
let cloud: Cloud
const worlds: World[] = []

beforeAll(async () => {
  cloud = await startCloud({
    dataDir: join(folder, 'cloud'),
    port: 0,
    routerPort: 0,
    server: false,
    sandbox: 'none',
    log: () => {},
  })
  const names = Array.from({ length: SHARDS }, (_, index) => `crash-${index + 1}`)
  await Promise.all(
    names.map(async (name) => worlds.push(await openWorld(cloud, folder, name, { takesPayments: true }))),
  )
}, 300_000)

afterAll(async () => {
  await Promise.all(worlds.map((world) => world.stop()))
  await cloud?.stop()
  if (!process.env.AGENTCTL_CRASH_KEEP) rmSync(folder, { recursive: true, force: true })
  else log(`kept: ${folder}`)
}, 60_000)

/** Everything, as for a nightly run, instead of a bounded part of the slow faults. */
const isFull = process.env.AGENTCTL_CRASH_FULL === '1'
const pointsPerRun = isFull ? 1 : POINTS_PER_RUN
let finding: Promise<Record<'agent' | 'rest' | 'credits', FoundPoints>> | undefined

function points(): Promise<Record<'agent' | 'rest' | 'credits', FoundPoints>> {
  const [first] = worlds
  if (!first) throw new Error('There is no world.')
  finding ??= isFull ? findAll(first, everyCallOfEveryRequest) : findEachOnce(first)
  return finding
}

async function findAll(world: World, depth: Depth): Promise<Awaited<ReturnType<typeof points>>> {
  return {
    agent: await findPoints(world, agentJourney, depth),
    rest: await findPoints(world, restJourney, depth),
    credits: await findPoints(world, creditsJourney, depth),
  }
}

/** What another journey has reached is not hit again; the calls of payments are hit where they need no machine. */
async function findEachOnce(world: World): Promise<Awaited<ReturnType<typeof points>>> {
  const hits: Hits = new Map()
  const agent = await findPoints(world, agentJourney, everyCall, { hits })
  await findPoints(world, moneyJourney, everyCallOnce, { hits, recordings: 1 })
  return {
    agent,
    rest: await findPoints(world, restJourney, everyCallOnce, { hits, recordings: 1 }),
    credits: await findPoints(world, creditsJourney, everyCallOnce, { hits, recordings: 1 }),
  }
}

test('kill -9 at I/O points of server, worker and runner loses nothing and leaves nothing behind', {
  timeout: LONG_MS,
}, async () => {
  const { agent: found } = await points()
  const report = await runCampaign({
    journey: agentJourney,
    found,
    fault: kill,
    pointsPerRun,
    worlds,
    log,
    ...(isFull ? {} : { choose: killedPoints }),
  })
  expect(report.violations).toEqual([])
  expect(report.unreached.length).toBeLessThan(report.hit / 10)
})

/** At so many points of each operation; without a number, at all at which they make sense. */
const restFaults: { name: string; fault: Fault; count?: number }[] = [
  { fault: kill },
  { fault: sleepPastLease, count: 1 },
  { fault: databaseRestart, count: 2 },
  { fault: providerDropAfterEffect },
].map((one) => ({ ...one, name: one.fault.name }))
test.for(restFaults)(
  'agents are laid to rest and brought back, with their files: $name',
  {
    timeout: LONG_MS,
  },
  async ({ fault, count }) => {
    const choose = isFull || count === undefined ? undefined : spread(count)
    const found = await points()
    for (const journey of [restJourney, creditsJourney]) {
      const report = await runCampaign({
        journey,
        found: journey === restJourney ? found.rest : found.credits,
        fault,
        worlds,
        pointsPerRun: fault === kill ? pointsPerRun : 1,
        log,
        ...(choose ? { choose } : {}),
      })
      expect(report.violations).toEqual([])
      expect(report.unreached.length).toBeLessThanOrEqual(1 + report.hit / 10)
    }
  },
)

const slowFaults: { name: string; fault: Fault; count: number }[] = [
  { name: sleepPastLease.name, fault: sleepPastLease, count: 2 },
  { name: databaseRestart.name, fault: databaseRestart, count: 4 },
]
test.for(slowFaults)(
  '$name loses nothing and leaves nothing behind',
  { timeout: LONG_MS },
  async ({ fault, count }) => {
    // Always there: the one call that cannot be repeated.
    const isOrder = ({ name }: Point): boolean => name.startsWith('POST /v2/instances')
    const choose = (all: Point[]): Point[] =>
      isFull ? all : [...new Set([...spread(count)(all), ...all.filter(isOrder)])]
    const report = await runCampaign({
      journey: agentJourney,
      found: (await points()).agent,
      fault,
      worlds,
      log,
      choose,
    })
    expect(report.violations).toEqual([])
  },
)

const providerFaults = [
  providerErrorAfterEffect,
  providerDropAfterEffect,
  ...(isFull ? [providerTimeoutAfterEffect] : []),
]
test.for(providerFaults)('$name leaves no machine that nobody owns', { timeout: LONG_MS }, async (fault) => {
  const report = await runCampaign({
    journey: agentJourney,
    found: (await points()).agent,
    fault,
    worlds,
    log,
  })
  expect(report.violations).toEqual([])
})

test('a worker that creates without looking for the label first is found out', {
  timeout: LONG_MS,
}, async () => {
  const naive = await openWorld(cloud, folder, 'crash-naive', { naive: 'naive-machines.ts' })
  try {
    const journey = { ...agentJourney, operations: [firstDeploy, deletion] }
    const report = await runCampaign({
      journey,
      found: await findPoints(naive, journey, everyCall, { recordings: 1 }),
      fault: { ...kill, name: 'control: kill -9 of a worker that never adopts' },
      choose: (points) =>
        points.filter(({ role, name }) => role === 'worker' && name.startsWith('POST /v2/instances')),
      worlds: [naive],
      settleMs: 4_000,
      log,
    })
    expect(report.violations.map(({ sentence }) => sentence)).toContainEqual(
      expect.stringMatching(/instance .* belongs to no machine/),
    )
  } finally {
    await naive.stop()
  }
})

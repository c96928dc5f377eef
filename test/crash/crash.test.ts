import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cloud, startCloud } from '../../scripts/cloud.ts'
import { agentJourney } from './agent-journey.ts'
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
import { everyCall, everyCallOfEveryRequest, spread } from './point-choice.ts'
import { restJourney } from './rest-journey.ts'
import { openWorld, type World } from './world.ts'

const SHARDS = Number(process.env.AGENTCTL_CRASH_SHARDS ?? 3)
const LONG_MS = 1_800_000
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
    // The runners' Node is wrapped by a script that needs this checkout, which a sandbox would not show them.
    sandbox: 'none',
    log: () => {},
  })
  for (let shard = 1; shard <= SHARDS; shard++) worlds.push(await openWorld(cloud, folder, `crash-${shard}`))
}, 120_000)

afterAll(async () => {
  await Promise.all(worlds.map((world) => world.stop()))
  await cloud?.stop()
  if (!process.env.AGENTCTL_CRASH_KEEP) rmSync(folder, { recursive: true, force: true })
  else log(`kept: ${folder}`)
}, 60_000)

/** Everything, as for a nightly run, instead of a bounded part of the slow faults. */
const isFull = process.env.AGENTCTL_CRASH_FULL === '1'
const depth = isFull ? everyCallOfEveryRequest : everyCall
let finding: Promise<FoundPoints> | undefined

function points(): Promise<FoundPoints> {
  const [first] = worlds
  if (!first) throw new Error('There is no world.')
  finding ??= findPoints(first, agentJourney, depth)
  return finding
}

test('kill -9 at every I/O point of server, worker and runner loses nothing and leaves nothing behind', {
  timeout: LONG_MS,
}, async () => {
  const report = await runCampaign({
    journey: agentJourney,
    found: await points(),
    fault: kill,
    pointsPerRun: isFull ? 1 : 2,
    worlds,
    log,
  })
  expect(report.violations).toEqual([])
  expect(report.unreached.length).toBeLessThan(report.hit / 10)
})

const restFaults: { fault: Fault; count: number }[] = [
  { fault: kill, count: 10 },
  { fault: sleepPastLease, count: 2 },
  { fault: providerDropAfterEffect, count: 8 },
]
test('agents are stopped, started, suspended and brought back through faults, with their files', {
  timeout: LONG_MS,
}, async () => {
  const [first] = worlds
  if (!first) throw new Error('There is no world.')
  const all = await findPoints(first, restJourney, depth)
  // Deploying and deleting are hit above.
  const rest = new Map([...all].filter(([name]) => name !== 'deploy' && name !== 'delete'))
  for (const { fault, count } of restFaults) {
    const choose = isFull ? undefined : spread(count)
    const options = { journey: restJourney, found: rest, fault, worlds, log, ...(choose ? { choose } : {}) }
    const report = await runCampaign({ ...options, pointsPerRun: fault === kill ? 2 : 1 })
    expect(report.violations).toEqual([])
  }
})

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
      found: await points(),
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
    found: await points(),
    fault,
    worlds: worlds.slice(0, 1),
    log,
  })
  expect(report.violations).toEqual([])
})

test('a worker that creates without looking for the label first is found out', {
  timeout: LONG_MS,
}, async () => {
  const naive = await openWorld(cloud, folder, 'crash-naive', [join(import.meta.dirname, 'never-adopts.ts')])
  try {
    const report = await runCampaign({
      journey: agentJourney,
      found: await findPoints(naive, agentJourney, everyCall),
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

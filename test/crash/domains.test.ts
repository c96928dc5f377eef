import { expect, test } from 'vitest'
import { chooseAmong, type FoundPoints, record, runCampaign } from './campaign.ts'
import type { Point } from './control.ts'
import { domainJourney } from './domain-journey.ts'
import { admitRival } from './domain-rival.ts'
import { sweepHostnames } from './domain-zone.ts'
import {
  databaseRestart,
  type Fault,
  hostnameDropAfterEffect,
  hostnameErrorAfterEffect,
  hostnameTimeoutAfterEffect,
  kill,
  sleepPastLease,
} from './faults.ts'
import { brokenInvariants } from './invariants.ts'
import {
  type Choose,
  everyCall,
  everyCallOfEveryRequest,
  everyCallOnce,
  killedPoints,
  slowPoints,
  spread,
} from './point-choice.ts'
import { isFull, LONG_MS, log, openWorlds } from './worlds.ts'

const worlds = openWorlds('domains', 2, { takesDomains: true, prepare: admitRival })

let finding: Promise<FoundPoints> | undefined
function points(): Promise<FoundPoints> {
  finding ??= findPoints()
  return finding
}

async function findPoints(): Promise<FoundPoints> {
  const recorded = (await record(worlds.all, [domainJourney, domainJourney]))(domainJourney)
  if (isFull) return chooseAmong(recorded, everyCallOfEveryRequest)
  const found = chooseAmong(recorded, everyCallOnce, { hits: new Map() })
  const all = [...found.values()].flatMap((choice) => choice.points)
  const left = all.filter((point) => !isOfDomains(point))
  log(`domains: ${all.length} points, of which ${left.length} are hit in other journeys`)
  return new Map(
    [...found].map(([name, choice]) => [name, { ...choice, points: choice.points.filter(isOfDomains) }]),
  )
}

/** What other journeys hit as well, such as an erasure and the work that repeats for ever, is left to them. */
const isOfDomains = ({ role, name }: Point): boolean =>
  role === 'server'
    ? /^(POST|GET|DELETE) \/v1\/(domains|agents\/:)/.test(name)
    : /\bdomains\b|\/client\/v4\/|well-known|into notices/.test(name)
const isOrderOrEnd = ({ name }: Point): boolean => /^(POST|DELETE) .*custom_hostnames.* › before/.test(name)

test('kill -9 at I/O points leaves no hostname that nobody has, and no domain without its hostname', {
  timeout: LONG_MS,
}, async () => {
  const report = await runCampaign({
    journey: domainJourney,
    found: await points(),
    fault: kill,
    oneByOne: isFull,
    worlds: worlds.all,
    log,
    ...(isFull ? {} : { choose: killedPoints }),
  })
  expect(report.violations).toEqual([])
  expect(report.unreached.length).toBeLessThan(1 + report.hit / 10)
})

/** What a sleeper orders when it wakes up cannot be prevented, only found. */
const sleep: Fault = { ...sleepPastLease, clearTraces: sweepHostnames }
const ordersAndEnds: Choose = (all, operation) => spread(1)(all.filter(isOrderOrEnd), operation)

/** Without a choice, at all points at which they make sense. */
const otherFaults: { name: string; fault: Fault; some?: Choose }[] = [
  { fault: sleep, some: ordersAndEnds },
  { fault: databaseRestart, some: spread(1) },
  { fault: hostnameErrorAfterEffect },
  { fault: hostnameDropAfterEffect },
  { fault: hostnameTimeoutAfterEffect, some: slowPoints },
].map((one) => ({ ...one, name: one.fault.name }))
test.for(otherFaults)(
  '$name: each name has one holder, here and at Cloudflare',
  { timeout: LONG_MS },
  async ({ fault, some }) => {
    const report = await runCampaign({
      journey: domainJourney,
      found: await points(),
      fault,
      worlds: worlds.all,
      oneByOne: isFull,
      log,
      ...(isFull || !some ? {} : { choose: some }),
    })
    expect(report.violations).toEqual([])
    expect(report.hit).toBeGreaterThan(0)
  },
)

test('a worker that orders hostnames without looking for them first is found out', {
  timeout: LONG_MS,
}, async () => {
  await worlds.naively('naive-hostnames.ts', async (naive) => {
    const journey = {
      ...domainJourney,
      operations: domainJourney.operations.filter(({ name }) => name === 'attach'),
    }
    const report = await runCampaign({
      journey,
      found: chooseAmong((await record([naive], [journey]))(journey), everyCall),
      fault: { ...kill, name: 'control: kill -9 of a worker that never looks' },
      choose: (points) => points.filter(({ name }) => /^POST .*custom_hostnames › after$/.test(name)),
      worlds: [naive],
      settleMs: 2_000,
      log,
    })
    expect(report.violations.map(({ sentence }) => sentence)).toContainEqual(
      expect.stringMatching(/was given up: Cloudflare has this name for another service/),
    )
    expect(await brokenInvariants(naive)).toContainEqual(
      expect.stringMatching(/crash-\S+\.example\.com is at Cloudflare and belongs to nobody/),
    )
  })
})

import { expect } from 'vitest'
import { isFull, testThoroughly } from '../thorough.ts'
import { chooseAmong, type FoundPoints, record, runCampaign } from './campaign.ts'
import { type Point, pointText } from './control.ts'
import { domainJourney } from './domain-journey.ts'
import { admitRival } from './domain-rival.ts'
import { sweepHostnames } from './domain-zone.ts'
import { databaseRestart, type Fault, kill, sleepPastLease } from './faults.ts'
import { brokenInvariants } from './invariants.ts'
import {
  type Choose,
  everyCall,
  everyCallOfEveryRequest,
  everyCallOnce,
  killedPoints,
  spread,
} from './point-choice.ts'
import { cloudflareErrors } from './provider-errors.ts'
import { LONG_MS, log, once, openWorlds } from './worlds.ts'

const worlds = openWorlds('domains', 2, { takesDomains: true, prepare: admitRival })

interface Found {
  /** Of each call of these journeys alone the first. */
  first: FoundPoints
  /** The same, with what each operation asks of Cloudflare, whichever of them have asked it before. */
  each: FoundPoints
}
const points = once(findPoints)

async function findPoints(): Promise<Found> {
  const recorded = (await record(worlds.all, [domainJourney, domainJourney]))(domainJourney)
  if (isFull) {
    const all = chooseAmong(recorded, everyCallOfEveryRequest)
    return { first: all, each: all }
  }
  const first = chooseAmong(recorded, everyCallOnce, { hits: new Map() })
  const apart = chooseAmong(recorded, everyCallOnce)
  const count = [...first.values()].reduce((sum, choice) => sum + choice.points.length, 0)
  const filtered = (from: FoundPoints, isWanted: (point: Point, operation: string) => boolean): FoundPoints =>
    new Map(
      [...from].map(([name, choice]) => [
        name,
        { ...choice, points: choice.points.filter((point) => isWanted(point, name)) },
      ]),
    )
  const ofDomains = filtered(first, isOfDomains)
  const left = count - [...ofDomains.values()].reduce((sum, choice) => sum + choice.points.length, 0)
  log(`domains: ${count} calls reached, of which ${left} are hit in other journeys`)
  const isFirst = (point: Point, operation: string): boolean =>
    ofDomains.get(operation)?.points.some((one) => pointText(one) === pointText(point)) ?? false
  return {
    first: ofDomains,
    each: filtered(apart, (point, name) => isFirst(point, name) || point.name.includes('custom_hostnames')),
  }
}

/** What other journeys hit as well, such as an erasure and the work that repeats for ever, is left to them. */
const isOfDomains = ({ role, name }: Point): boolean =>
  role === 'server'
    ? /^(POST|GET|DELETE) \/v1\/(domains|agents\/:)/.test(name)
    : /\bdomains\b|\/client\/v4\/|well-known|into notices/.test(name)
const isOrderOrEnd = ({ name }: Point): boolean => /^(POST|DELETE) .*custom_hostnames.* › before/.test(name)

testThoroughly(
  'kill -9 at I/O points leaves no hostname that nobody has, and no domain without its hostname',
  {
    timeout: LONG_MS,
  },
  async () => {
    const { each } = await points()
    await worlds.endure({ journey: domainJourney, found: each, fault: kill, some: killedPoints })
  },
)

/** What a sleeper orders when it wakes up cannot be prevented, only found. */
const sleep: Fault = { ...sleepPastLease, clearTraces: sweepHostnames }
const ordersAndEnds: Choose = (all, operation) => spread(1)(all.filter(isOrderOrEnd), operation)

const otherFaults: { fault: Fault; some: Choose }[] = [
  { fault: sleep, some: ordersAndEnds },
  { fault: databaseRestart, some: spread(1) },
]
testThoroughly.for(otherFaults)(
  '$fault.name: each name has one holder, here and at Cloudflare',
  { timeout: LONG_MS },
  async ({ fault, some }) => {
    const { first } = await points()
    await worlds.endure({ journey: domainJourney, found: first, fault, some })
  },
)

testThoroughly(
  'whatever Cloudflare answers, each name has one holder, here and at Cloudflare',
  {
    timeout: LONG_MS,
  },
  async () => {
    const { each } = await points()
    await worlds.endureAnswers(cloudflareErrors, { journey: domainJourney, found: each })
  },
)

testThoroughly(
  'a worker that orders hostnames without looking for them first is found out',
  {
    timeout: LONG_MS,
  },
  async () => {
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
  },
)

import { expect, test } from 'vitest'
import { isFull, isThorough, testThoroughly } from '../thorough.ts'
import { agentJourney, deletion, firstDeploy } from './agent-journey.ts'
import { chooseAmong, type FoundPoints, record, runCampaign } from './campaign.ts'
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
import type { Journey } from './journey.ts'
import { moneyJourney } from './money-journey.ts'
import {
  type Choose,
  type Depth,
  everyCall,
  everyCallOfEveryRequest,
  everyCallOnce,
  type Hits,
  killedPoints,
  spread,
} from './point-choice.ts'
import { vultrErrors } from './provider-errors.ts'
import { creditsJourney, limitsJourney, restJourney } from './rest-journey.ts'
import { LONG_MS, log, once, openWorlds } from './worlds.ts'

const worlds = openWorlds('crash', 3)

type Found = Map<Journey, FoundPoints>
const points = once(findPoints)

const shortJourney: Journey = { ...agentJourney, name: 'short', operations: [firstDeploy, deletion] }

/** What Vultr may answer is met in each of its operations, whatever others have met. */
const answersJourney: Journey = { ...restJourney, name: 'answers' }

/** Longest first; with each operation of a journey once more where another order of events is worth it. */
const recorded = isThorough
  ? [creditsJourney, restJourney, limitsJourney, agentJourney, agentJourney, moneyJourney]
  : [agentJourney, agentJourney]

/** What another journey has reached is not hit again; the calls of payments are hit where they need no machine. */
async function findPoints(): Promise<Found> {
  const reached = await record(worlds.all, recorded, shortJourney)
  if (isFull) {
    return new Map(
      [...recorded, answersJourney].map((one) => [
        one,
        chooseAmong(reached(one === answersJourney ? restJourney : one), everyCallOfEveryRequest),
      ]),
    )
  }
  const hits: Hits = new Map()
  const choose = (one: Journey, depth: Depth, apart = false): [Journey, FoundPoints] => [
    one,
    chooseAmong(reached(one), depth, { hits, apart }),
  ]
  return new Map([
    choose(agentJourney, everyCall),
    choose(moneyJourney, everyCallOnce),
    // Each of these decides by itself what becomes of a machine.
    choose(limitsJourney, everyCallOnce, true),
    choose(restJourney, everyCallOnce),
    choose(creditsJourney, everyCallOnce),
    [answersJourney, chooseAmong(reached(restJourney), everyCallOnce)],
  ])
}

async function pointsOf(journey: Journey): Promise<FoundPoints> {
  return (await points()).get(journey) ?? new Map()
}

test('kill -9 at I/O points of server, worker and runner loses nothing and leaves nothing behind', {
  timeout: LONG_MS,
}, async () => {
  const found = await pointsOf(agentJourney)
  await worlds.endure({ journey: agentJourney, found, fault: kill, some: killedPoints })
})

/** Without a choice, at all points at which they make sense. */
const restFaults: { fault: Fault; some?: Choose }[] = [
  { fault: kill, some: killedPoints },
  { fault: sleepPastLease, some: spread(1) },
  { fault: databaseRestart, some: spread(2) },
  { fault: providerDropAfterEffect },
]
testThoroughly.for(restFaults)(
  'agents are laid to rest and brought back, with their files: $fault.name',
  {
    timeout: LONG_MS,
  },
  async ({ fault, some }) => {
    for (const journey of [restJourney, creditsJourney, limitsJourney]) {
      await worlds.endure({ journey, found: await pointsOf(journey), fault, some })
    }
  },
)

const slowFaults: { fault: Fault; count: number }[] = [
  { fault: sleepPastLease, count: 2 },
  { fault: databaseRestart, count: 4 },
]
testThoroughly.for(slowFaults)(
  '$fault.name loses nothing and leaves nothing behind',
  { timeout: LONG_MS },
  async ({ fault, count }) => {
    // Always there: the one call that cannot be repeated.
    const isOrder = ({ name }: Point): boolean => name.startsWith('POST /v2/instances')
    const some: Choose = (all, operation) => [
      ...new Set([...spread(count)(all, operation), ...all.filter(isOrder)]),
    ]
    await worlds.endure({
      journey: agentJourney,
      found: await pointsOf(agentJourney),
      fault,
      some,
    })
  },
)

const providerFaults = [
  providerErrorAfterEffect,
  providerDropAfterEffect,
  ...(isFull ? [providerTimeoutAfterEffect] : []),
]
testThoroughly.for(providerFaults)(
  '$name leaves no machine that nobody owns',
  { timeout: LONG_MS },
  async (fault) => {
    await worlds.endure({
      journey: agentJourney,
      found: await pointsOf(agentJourney),
      fault,
    })
  },
)

testThoroughly(
  'whatever Vultr answers, no machine and no snapshot is left that nobody owns, and nothing is stuck',
  {
    timeout: LONG_MS,
  },
  async () => {
    await worlds.endureAnswers(vultrErrors, {
      journey: answersJourney,
      found: await pointsOf(answersJourney),
    })
  },
)

test('a worker that creates without looking for the label first is found out', {
  timeout: LONG_MS,
}, async () => {
  await worlds.naively('naive-machines.ts', async (naive) => {
    const report = await runCampaign({
      journey: shortJourney,
      found: chooseAmong((await record([naive], [shortJourney]))(shortJourney), everyCall),
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
  })
})

import { expect } from 'vitest'
import { isFull, testThoroughly } from '../thorough.ts'
import { chooseAmong, type FoundPoints, record } from './campaign.ts'
import type { Point } from './control.ts'
import { databaseRestart, type Fault, kill, sleepPastLease } from './faults.ts'
import { type Choose, everyCallOfEveryRequest, everyCallOnce, killedPoints, spread } from './point-choice.ts'
import { vultrErrors } from './provider-errors.ts'
import type { ProviderErrors } from './stand-in-faults.ts'
import { untilReady, warmJourney } from './warm-journey.ts'
import { LONG_MS, log, once, openWorlds } from './worlds.ts'

const worlds = openWorlds('warm', 1, { settings: { WARM_MACHINES: 'nano=1' }, prepare: untilReady })

const points = once(findPoints)

async function findPoints(): Promise<FoundPoints> {
  const recorded = (await record(worlds.all, [warmJourney, warmJourney]))(warmJourney)
  if (isFull) return chooseAmong(recorded, everyCallOfEveryRequest)
  const found = chooseAmong(recorded, everyCallOnce, { hits: new Map() })
  const all = [...found.values()].flatMap((choice) => choice.points)
  log(
    `warm: ${all.length} calls reached, of which ${all.filter(isOfWarm).length} are about machines kept ready`,
  )
  return new Map(
    [...found].map(([name, choice]) => [name, { ...choice, points: choice.points.filter(isOfWarm) }]),
  )
}

/** What is the same with a machine that is ordered for an agent is left to `crash.test.ts`. */
const isOfWarm = ({ name }: Point): boolean =>
  /warm_machines|insert into machines|\/v2\/instances|\/hello|bootstrap/.test(name)

/** Taking one, and telling the provider whose it is. */
const isBinding = ({ name }: Point): boolean => /^(with taken as|PATCH) /.test(name)
const bindingToo: Choose = (all, operation) => [
  ...new Set([...killedPoints(all, operation), ...all.filter(isBinding)]),
]
const bindings: Choose = (all, operation) => spread(2)(all.filter(isBinding), operation)

testThoroughly(
  'a machine that is ready is taken in the journey, so that its binding is hit',
  async () => {
    const all = [...(await points()).values()].flatMap((choice) => choice.points)
    expect(all.map(({ name }) => name)).toContainEqual(expect.stringMatching(/^with taken as .* › after$/))
    expect(all.map(({ name }) => name)).toContainEqual(
      expect.stringMatching(/^PATCH \/v2\/instances\/: › after$/),
    )
  },
  LONG_MS,
)

/** The sweeper's clock would make the one that is coming too late, and then none is ordered for an hour. */
const onceReady = <Trouble extends Pick<Fault, 'clearTraces'>>(trouble: Trouble): Trouble => ({
  ...trouble,
  async clearTraces(world) {
    await untilReady(world)
    await trouble.clearTraces?.(world)
  },
})

const faults: { fault: Fault; some: Choose }[] = [
  { fault: kill, some: bindingToo },
  { fault: onceReady(sleepPastLease), some: bindings },
  { fault: databaseRestart, some: bindings },
]
testThoroughly.for(faults)(
  '$fault.name: no machine has two agents, and none has nobody that is not kept ready',
  { timeout: LONG_MS },
  async ({ fault, some }) => {
    await worlds.endure({ journey: warmJourney, found: await points(), fault, some })
  },
)

/** An order for keeping that is refused for good is not repeated for an hour: `warm-machines.test.ts`. */
const answers: ProviderErrors = {
  ...onceReady(vultrErrors),
  isLie: (error, point) =>
    vultrErrors.isLie(error, point) ||
    (['404', '409', '422'].includes(error.name) && point.name.startsWith('POST /v2/instances ')),
}

testThoroughly(
  'whatever Vultr answers, no machine has two agents, and none has nobody that is not kept ready',
  {
    timeout: LONG_MS,
  },
  async () => {
    await worlds.endureAnswers(answers, { journey: warmJourney, found: await points() })
  },
)

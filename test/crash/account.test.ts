import { test } from 'vitest'
import { isFull, testThoroughly } from '../thorough.ts'
import { accountJourney } from './account-journey.ts'
import { chooseAmong, type FoundPoints, record } from './campaign.ts'
import { databaseRestart, type Fault, kill, sleepPastLease } from './faults.ts'
import { type Choose, everyCallOfEveryRequest, everyCallOnce, killedPoints, spread } from './point-choice.ts'
import { LONG_MS, once, openWorlds } from './worlds.ts'

const worlds = openWorlds('account', 1)

const points = once(findPoints)

async function findPoints(): Promise<FoundPoints> {
  const recorded = await record(worlds.all, [accountJourney, accountJourney])
  return chooseAmong(recorded(accountJourney), isFull ? everyCallOfEveryRequest : everyCallOnce)
}

const faults: { fault: Fault; some: Choose }[] = [
  { fault: kill, some: killedPoints },
  { fault: sleepPastLease, some: spread(1) },
  { fault: databaseRestart, some: spread(2) },
]
for (const { fault, some } of faults) {
  const tried = fault === kill ? test : testThoroughly
  tried(
    `${fault.name}: an account that is being erased is erased, whole and once`,
    {
      timeout: LONG_MS,
    },
    async () => {
      await worlds.endure({ journey: accountJourney, found: await points(), fault, some })
    },
  )
}

import { expect, test } from 'vitest'
import { accountJourney } from './account-journey.ts'
import { chooseAmong, type FoundPoints, record, runCampaign } from './campaign.ts'
import { databaseRestart, type Fault, kill, sleepPastLease } from './faults.ts'
import { type Choose, everyCallOfEveryRequest, everyCallOnce, killedPoints, spread } from './point-choice.ts'
import { isFull, LONG_MS, log, openWorlds } from './worlds.ts'

const worlds = openWorlds('account', 1)

let finding: Promise<FoundPoints> | undefined
function points(): Promise<FoundPoints> {
  finding ??= findPoints()
  return finding
}

async function findPoints(): Promise<FoundPoints> {
  const recorded = await record(worlds.all, [accountJourney, accountJourney])
  return chooseAmong(recorded(accountJourney), isFull ? everyCallOfEveryRequest : everyCallOnce)
}

const faults: { name: string; fault: Fault; some: Choose }[] = [
  { fault: kill, some: killedPoints },
  { fault: sleepPastLease, some: spread(1) },
  { fault: databaseRestart, some: spread(2) },
].map((one) => ({ ...one, name: one.fault.name }))
test.for(faults)(
  '$name: an account that is being erased is erased, whole and once',
  { timeout: LONG_MS },
  async ({ fault, some }) => {
    const report = await runCampaign({
      journey: accountJourney,
      found: await points(),
      fault,
      worlds: worlds.all,
      oneByOne: isFull,
      log,
      ...(isFull ? {} : { choose: some }),
    })
    expect(report.violations).toEqual([])
    expect(report.hit).toBeGreaterThan(0)
  },
)

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { type Cloud, startCloud } from '../../scripts/cloud.ts'
import { accountJourney } from './account-journey.ts'
import { type CampaignOptions, type FoundPoints, findPoints, runCampaign } from './campaign.ts'
import { databaseRestart, kill, sleepPastLease } from './faults.ts'
import { everyCallOfEveryRequest, everyCallOnce, spread } from './point-choice.ts'
import { openWorld, type World } from './world.ts'

const LONG_MS = 1_800_000
const POINTS_PER_RUN = 8
/** At a terminal; CI kills at every one. */
const KILLED = 12
const folder = mkdtempSync(join(tmpdir(), 'agentctl-crash-account-'))
const log = (line: string): void => void process.stdout.write(`${line}\n`)
const isFull = process.env.AGENTCTL_CRASH_FULL === '1'
const everyPoint = process.env.AGENTCTL_CRASH_EVERY_POINT === '1'
let cloud: Cloud
let world: World
let found: FoundPoints

beforeAll(async () => {
  cloud = await startCloud({
    dataDir: join(folder, 'cloud'),
    databaseUrl: inject('postgresUrl'),
    port: 0,
    routerPort: 0,
    server: false,
    sandbox: 'none',
    log: () => {},
  })
  world = await openWorld(cloud, folder, 'account-1')
  found = await findPoints(world, accountJourney, isFull ? everyCallOfEveryRequest : everyCallOnce)
}, 300_000)

afterAll(async () => {
  await world?.stop()
  await cloud?.stop()
  if (!process.env.AGENTCTL_CRASH_KEEP) rmSync(folder, { recursive: true, force: true })
  else log(`kept: ${folder}`)
}, 60_000)

const faults: Pick<CampaignOptions, 'fault' | 'choose' | 'pointsPerRun'>[] = [
  { fault: kill, pointsPerRun: POINTS_PER_RUN, ...(isFull || everyPoint ? {} : { choose: spread(KILLED) }) },
  { fault: sleepPastLease, ...(isFull ? {} : { choose: spread(1) }) },
  { fault: databaseRestart, ...(isFull ? {} : { choose: spread(2) }) },
]
test.for(faults.map((one) => ({ ...one, name: one.fault.name })))(
  '$name: an account that is being erased is erased, whole and once',
  { timeout: LONG_MS },
  async ({ name: _, ...campaign }) => {
    const report = await runCampaign({ journey: accountJourney, found, worlds: [world], log, ...campaign })
    expect(report.violations).toEqual([])
    expect(report.hit).toBeGreaterThan(0)
  },
)

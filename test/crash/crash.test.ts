import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cloud, startCloud } from '../../scripts/cloud.ts'
import { agentJourney } from './agent-journey.ts'
import { runCampaign } from './campaign.ts'
import { kill } from './faults.ts'
import { openWorld, type World } from './world.ts'

const SHARDS = Number(process.env.AGENTCTL_CRASH_SHARDS ?? 2)
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

test('kill -9 at every I/O point of server, worker and runner loses nothing and leaves nothing behind', async () => {
  const report = await runCampaign({ journey: agentJourney, fault: kill, worlds, log })
  expect(report.violations).toEqual([])
  expect(report.unreached.length).toBeLessThan(report.hit / 10)
}, 1_200_000)

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { type Cloud, startCloud } from '../../scripts/cloud.ts'
import { type FoundPoints, findPoints, runCampaign } from './campaign.ts'
import {
  cardDropAfterEffect,
  cardErrorAfterEffect,
  cardTimeoutAfterEffect,
  chainDrop,
  chainError,
  chainTimeout,
  databaseRestart,
  type Fault,
  kill,
  sleepPastLease,
} from './faults.ts'
import { brokenInvariants } from './invariants.ts'
import type { Journey } from './journey.ts'
import { moneyJourney } from './money-journey.ts'
import { everyCallOfEveryRequest, everyCallOnce, killedPoints, spread } from './point-choice.ts'
import { openWorld, type World } from './world.ts'

const SHARDS = Number(process.env.AGENTCTL_CRASH_SHARDS ?? 2)
const LONG_MS = 1_800_000
/** Of one operation, one after the other: what a restart costs is little beside what leads up to it. */
const POINTS_PER_RUN = 8
const folder = mkdtempSync(join(tmpdir(), 'agentctl-crash-money-'))
const log = (line: string): void => void process.stdout.write(`${line}\n`)
const isFull = process.env.AGENTCTL_CRASH_FULL === '1'
let cloud: Cloud
const worlds: World[] = []

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
  const names = Array.from({ length: SHARDS }, (_, index) => `money-${index + 1}`)
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

let finding: Promise<FoundPoints> | undefined
function points(): Promise<FoundPoints> {
  const [first] = worlds
  if (!first) throw new Error('There is no world.')
  finding ??= findPoints(first, moneyJourney, isFull ? everyCallOfEveryRequest : everyCallOnce, {
    hits: isFull ? undefined : new Map(),
  })
  return finding
}

test('kill -9 at I/O points of what moves credits loses none and makes none', {
  timeout: LONG_MS,
}, async () => {
  const report = await runCampaign({
    journey: moneyJourney,
    found: await points(),
    fault: kill,
    pointsPerRun: isFull ? 1 : POINTS_PER_RUN,
    worlds,
    log,
    ...(isFull ? {} : { choose: killedPoints }),
  })
  expect(report.violations).toEqual([])
  // What the worker does between two requests depends on timing; each that was not reached again is printed.
  expect(report.unreached.length).toBeLessThan(report.hit / 5)
})

/** At so many points of each operation; without a number, at all at which they make sense. */
const otherFaults: { name: string; fault: Fault; count?: number }[] = [
  { fault: sleepPastLease, count: 1 },
  { fault: databaseRestart, count: 2 },
  { fault: cardErrorAfterEffect },
  { fault: cardDropAfterEffect },
  { fault: cardTimeoutAfterEffect, count: 1 },
  { fault: chainError },
  { fault: chainDrop },
  { fault: chainTimeout, count: 1 },
].map((one) => ({ ...one, name: one.fault.name }))
test.for(otherFaults)(
  '$name: no credits are lost or made',
  { timeout: LONG_MS },
  async ({ fault, count }) => {
    const choose = count === undefined || isFull ? undefined : spread(count)
    const report = await runCampaign({
      journey: moneyJourney,
      found: await points(),
      fault,
      worlds,
      log,
      ...(choose ? { choose } : {}),
    })
    expect(report.violations).toEqual([])
  },
)

test('a worker that credits without a key, and a meter that rounds each run, are found out', {
  timeout: LONG_MS,
}, async () => {
  const naive = await openWorld(cloud, folder, 'money-naive', {
    takesPayments: true,
    naive: 'naive-ledger.ts',
  })
  const only = (name: string): Journey => ({
    ...moneyJourney,
    operations: moneyJourney.operations.filter((operation) => operation.name === name),
  })
  try {
    const journey = only('deposit found by the scanner')
    const report = await runCampaign({
      journey,
      found: await findPoints(naive, journey, everyCallOnce),
      fault: { ...kill, name: 'control: kill -9 of a worker that credits without a key' },
      choose: (points) =>
        points.filter(({ role, name }) => role === 'worker' && /^select ledger_post.* › after$/.test(name)),
      worlds: [naive],
      settleMs: 2_000,
      log,
    })
    expect(report.violations.map(({ sentence }) => sentence)).toContainEqual(
      expect.stringMatching(/0x[0-9a-f]{64}:0 of 25000000 is credited, credited 50000000/),
    )
    await naive.sql.unsafe(ROUNDS_EACH_RUN)
    await only('metering').operations[0]?.run(naive, { name: 'control', agentId: '', url: '' })
    expect(await brokenInvariants(naive)).toContainEqual(
      expect.stringMatching(/what burns is charged, exactly and once: lac_\w+ was charged \d+ for the run/),
    )
  } finally {
    await naive.stop()
  }
})

/** What a run charges is rounded in each run. */
const ROUNDS_EACH_RUN = `
  create or replace function meter_dues(p_since timestamptz, p_upto timestamptz)
  returns table (ledger_account_id text, due_micros bigint) language sql stable parallel safe as $$
    select m.ledger_account_id, sum(m.rate_micros
      * extract(epoch from least(p_upto, m.to_at) - greatest(p_since, m.from_at))::bigint / 3600)::bigint
    from meters m where m.counted_until > p_since and m.from_at < p_upto
    group by m.ledger_account_id
  $$`

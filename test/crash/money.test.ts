import { expect, test } from 'vitest'
import { isFull, testThoroughly } from '../thorough.ts'
import { chooseAmong, type FoundPoints, record, runCampaign } from './campaign.ts'
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
import {
  type Choose,
  everyCall,
  everyCallOfEveryRequest,
  everyCallOnce,
  killedPoints,
  spread,
} from './point-choice.ts'
import { LONG_MS, log, once, openWorlds } from './worlds.ts'

const worlds = openWorlds('money', 2)

const points = once(findPoints)

async function findPoints(): Promise<FoundPoints> {
  const recorded = (await record(worlds.all, [moneyJourney, moneyJourney]))(moneyJourney)
  return isFull
    ? chooseAmong(recorded, everyCallOfEveryRequest)
    : chooseAmong(recorded, everyCallOnce, { hits: new Map() })
}

test('kill -9 at I/O points of what moves credits loses none and makes none', {
  timeout: LONG_MS,
}, async () => {
  await worlds.endure({ journey: moneyJourney, found: await points(), fault: kill, some: killedPoints })
})

/** Without a choice, at all points at which they make sense. */
const otherFaults: { fault: Fault; some?: Choose }[] = [
  { fault: sleepPastLease, some: spread(1) },
  { fault: databaseRestart, some: spread(2) },
  { fault: cardErrorAfterEffect },
  { fault: cardDropAfterEffect },
  { fault: cardTimeoutAfterEffect, some: spread(1) },
  { fault: chainError },
  { fault: chainDrop },
  { fault: chainTimeout, some: spread(1) },
]
testThoroughly.for(otherFaults)(
  '$fault.name: no credits are lost or made',
  { timeout: LONG_MS },
  async ({ fault, some }) => {
    await worlds.endure({ journey: moneyJourney, found: await points(), fault, some })
  },
)

testThoroughly(
  'servers that credit without a key, and a meter that rounds each run, are found out',
  {
    timeout: LONG_MS,
  },
  async () => {
    await worlds.naively('naive-ledger.ts', async (naive) => {
      const journey = only('deposit found by the scanner', 'unclaimed payment, credited by an operator')
      const report = await runCampaign({
        journey,
        found: chooseAmong((await record([naive], [journey]))(journey), everyCall),
        fault: { ...kill, name: 'control: kill -9 of what credits without a key' },
        choose: (points) =>
          points.filter(({ name }) => /select ledger_post.* › after$/.test(name)).slice(0, 1),
        worlds: [naive],
        settleMs: 2_000,
        log,
      })
      const found = report.violations.map(({ sentence }) => sentence)
      expect(found).toContainEqual(
        expect.stringMatching(/0x[0-9a-f]{64}:0 of 25000000 is credited, credited 50000000/),
      )
      expect(found).toContainEqual(
        expect.stringMatching(/0x[0-9a-f]{64}:0 of 9000000 is credited, credited 18000000/),
      )
      await naive.sql.unsafe(ROUNDS_EACH_RUN)
      await only('metering').operations[0]?.run(naive, { name: 'control', agentId: '', url: '', born: '' })
      expect(await brokenInvariants(naive)).toContainEqual(
        expect.stringMatching(/what burns is charged, exactly and once: lac_\w+ was charged \d+ for the run/),
      )
    })
  },
)

const only = (...names: string[]): Journey => ({
  ...moneyJourney,
  operations: moneyJourney.operations.filter(({ name }) => names.includes(name)),
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

import { afterAll, beforeEach, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { secondsAfter } from '../platform/clock.ts'
import { openPool } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import * as ledger from './ledger.ts'
import { chargeMeters, listDepleted, setRate } from './meters.ts'
import * as store from './store.ts'

const database = await testDatabase()
const { db } = database
const owner = openPool(database.url, { connectionsMax: 4 })
afterAll(() => owner.end())

/** Each test has its own stretch of time: the watermark only ever moves forward. */
let start = new Date('2027-03-01T00:00:00Z')
beforeEach(async () => {
  start = secondsAfter(start, 365 * 86_400)
  await db.work((tx) => chargeMeters(tx, start))
})
const at = (seconds: number): Date => secondsAfter(start, seconds)
const run = (seconds: number): Promise<boolean> => db.work((tx) => chargeMeters(tx, at(seconds)))

interface Customer {
  account: string
  ledgerAccount: string
}

let counter = 0
async function customer(creditsMicros: bigint): Promise<Customer> {
  const account = newId('acc')
  await owner`insert into accounts values (${account}, ${start}, ${start})`
  const ledgerAccount = await db.work((tx) => ledger.ledgerAccountOf(tx, account, start))
  if (creditsMicros > 0n) await deposit({ account, ledgerAccount }, creditsMicros)
  return { account, ledgerAccount }
}

const deposit = ({ ledgerAccount }: Customer, amountMicros: bigint) =>
  db.work((tx) =>
    ledger.post(tx, {
      key: `test:${++counter}`,
      kind: 'deposit',
      reference: '',
      ledgerAccount,
      amountMicros,
      against: 'sys_treasury',
      at: start,
    }),
  )

const rate = ({ account }: Customer, subject: string, hourlyMicros: bigint, seconds: number) =>
  db.work((tx) =>
    setRate(tx, { subject, accountId: account, namespaceId: 'ns_1', hourlyMicros, at: at(seconds) }),
  )

async function spent(who: Customer, ofMicros: bigint): Promise<bigint> {
  const balance = await store.findBalance(db.jobs, who.ledgerAccount)
  return ofMicros - (balance?.balanceMicros ?? 0n)
}

const PLENTY = 1_000_000_000n

test('any number of runs charges what one run would, to the micro-dollar', async () => {
  const who = await customer(PLENTY)
  await rate(who, 'agt_drift', 20_000n, 3)
  for (const seconds of [4, 5, 5.4, 61, 62, 3600, 3601, 9999, 10_803]) await run(seconds)
  expect(await spent(who, PLENTY)).toBe((20_000n * 10_800n) / 3600n)
})

test('a rate change closes an interval and opens another, and loses no fraction between them', async () => {
  const who = await customer(PLENTY)
  // Ten seconds at one micro-dollar an hour burn a 360th of the smallest amount: only what is carried over adds up.
  for (let change = 0; change < 360; change++) {
    await rate(who, 'agt_changes', change % 2 === 0 ? 1n : 3n, change * 10)
    if (change % 70 === 0) await run(change * 10)
  }
  await rate(who, 'agt_changes', 0n, 3600)
  await run(4000)
  expect(await spent(who, PLENTY)).toBe(2n)
})

test('fractions of a second are not charged, and a closed meter burns nothing', async () => {
  const who = await customer(PLENTY)
  await rate(who, 'agt_short', 3_600_000n, 0.9)
  await rate(who, 'agt_short', 0n, 10.9)
  await run(100)
  expect(await spent(who, PLENTY)).toBe(10_000n)
  await run(200)
  expect(await spent(who, PLENTY)).toBe(10_000n)
})

test('a meter that is opened or closed late, after a run has passed its moment, is charged for its whole time once', async () => {
  const who = await customer(PLENTY)
  await run(100)
  await rate(who, 'agt_late', 3_600_000n, 40)
  await run(110)
  expect(await spent(who, PLENTY)).toBe(70_000n)
  await run(120)
  expect(await spent(who, PLENTY)).toBe(80_000n)
  // Opened and closed between two runs, and all of it before the first of them.
  await rate(who, 'agt_later', 3_600_000n, 50)
  await rate(who, 'agt_later', 0n, 60)
  await run(121)
  expect(await spent(who, PLENTY)).toBe(91_000n)
  await run(130)
  expect(await spent(who, PLENTY)).toBe(100_000n)
})

test('what a run has charged stays charged: closing earlier than that closes at that moment', async () => {
  const who = await customer(PLENTY)
  await rate(who, 'agt_early', 3_600_000n, 0)
  await run(100)
  await rate(who, 'agt_early', 0n, 90)
  await run(200)
  expect(await spent(who, PLENTY)).toBe(100_000n)
})

test('telling the same rate again changes nothing', async () => {
  const who = await customer(PLENTY)
  expect(await rate(who, 'agt_same', 10_000n, 0)).toBe(true)
  expect(await rate(who, 'agt_same', 10_000n, 5)).toBe(false)
  expect(await rate(who, 'agt_none', 0n, 5)).toBe(false)
  expect(await owner`select from meters where subject = 'agt_same'`).toHaveLength(1)
})

test('an empty account is charged what it has and flagged; everybody else’s run goes on', async () => {
  const poor = await customer(50n)
  const exact = await customer(100n)
  const rich = await customer(PLENTY)
  const broke = await customer(0n)
  for (const who of [poor, exact, rich, broke]) await rate(who, `agt_${who.account}`, 3_600n, 0)
  await run(100)
  expect(await spent(poor, 50n)).toBe(50n)
  expect(await spent(exact, 100n)).toBe(100n)
  expect(await spent(rich, PLENTY)).toBe(100n)
  const flagged = async () => {
    const depleted = new Set((await listDepleted(db.jobs, 1000)).map((row) => row.accountId))
    return [poor, exact, rich, broke].map((who) => depleted.has(who.account))
  }
  expect(await flagged()).toEqual([true, true, false, true])
  await run(200)
  expect(await spent(rich, PLENTY)).toBe(200n)
  await deposit(poor, 1000n)
  expect(await flagged()).toEqual([false, true, false, true])
  // What could not be charged is not owed.
  await run(210)
  expect(await spent(poor, 1000n)).toBe(10n)
})

test('the end of credits is the same second, however often and when was charged on the way', async () => {
  const who = await customer(1_000n)
  await rate(who, 'agt_first', 7_000n, 0)
  await rate(who, 'agt_first', 20_000n, 20)
  const end = async () => (await store.findBurn(db.jobs, who.ledgerAccount, at(0))).zeroAt
  // 20 seconds at 7,000 an hour, and 173 at 20,000.
  for (const moment of [undefined, 7, 21, 22, 47, 100, 101, 190]) {
    if (moment !== undefined) await run(moment)
    expect(await end(), String(moment)).toEqual(at(193))
  }
  await run(192)
  expect(await spent(who, 1_000n)).toBe(994n)
  await run(193)
  expect(await spent(who, 1_000n)).toBe(1_000n)
  await rate(who, 'agt_first', 0n, 193)
})

test('usage adds up to what was charged: what ran on without credits is no usage, also at another rate', async () => {
  const who = await customer(100n)
  await rate(who, 'agt_unpaid', 3_600n, 0)
  await run(100)
  await run(250)
  const used = async () => {
    const range = { since: at(0), until: at(400), namespace: null }
    return (await store.listUsage(db.jobs, who.ledgerAccount, range)).reduce(
      (sum, row) => sum + row.micros,
      0n,
    )
  }
  await rate(who, 'agt_unpaid', 7_200n, 260)
  await run(270)
  await rate(who, 'agt_unpaid', 0n, 280)
  expect(await used()).toBe(100n)
  // After a deposit only what burns from then on is charged, and shown.
  await deposit(who, 1_000n)
  await rate(who, 'agt_unpaid', 3_600n, 300)
  await run(310)
  await rate(who, 'agt_unpaid', 0n, 310)
  expect(await spent(who, 1_000n)).toBe(10n)
  expect(await used()).toBe(110n)
})

test('held credits are not metered away', async () => {
  const who = await customer(100n)
  await db.work((tx) =>
    ledger.hold(tx, {
      key: 'hold:meter',
      ledgerAccount: who.ledgerAccount,
      amountMicros: 70n,
      reference: '',
      at: start,
    }),
  )
  await rate(who, 'agt_held', 3_600n, 0)
  await run(1000)
  expect(await store.findBalance(db.jobs, who.ledgerAccount)).toEqual({ balanceMicros: 70n, heldMicros: 70n })
  expect(await db.work((tx) => ledger.capture(tx, 'hold:meter', 70n, start))).toBe(true)
})

test('the same run again, also ten at once, charges nothing more', async () => {
  const who = await customer(PLENTY)
  await rate(who, 'agt_race', 3_600n, 0)
  const ran = await Promise.all(Array.from({ length: 10 }, () => run(500)))
  expect(ran.filter(Boolean)).toHaveLength(1)
  expect(await run(500)).toBe(false)
  expect(await run(400)).toBe(false)
  expect(await spent(who, PLENTY)).toBe(500n)
})

test('a run that dies before its end has charged nothing, and the next one charges all', async () => {
  const who = await customer(PLENTY)
  await rate(who, 'agt_crash', 3_600n, 0)
  await expect(
    db.work(async (tx) => {
      await chargeMeters(tx, at(300))
      await tx`select pg_terminate_backend(pg_backend_pid())`
    }),
  ).rejects.toThrow()
  expect(await spent(who, PLENTY)).toBe(0n)
  expect(await run(300)).toBe(true)
  expect(await spent(who, PLENTY)).toBe(300n)
})

test('a meter that opens while a run is under way is not lost between that run and the next', async () => {
  const who = await customer(PLENTY)
  let opened: Promise<boolean> | undefined
  await db.work(async (tx) => {
    await chargeMeters(tx, at(100))
    opened = rate(who, 'agt_shadow', 3_600n, 50)
    // It must wait for this run, not slip past it.
    const waits = async (): Promise<boolean> =>
      (await owner`select from pg_stat_activity where wait_event_type = 'Lock' and query like '%meter_set%'`)
        .length > 0
    await expect.poll(waits).toBe(true)
  })
  expect(await opened).toBe(true)
  await run(200)
  expect(await spent(who, PLENTY)).toBe(150n)
})

test('a run that waits for an opening sees it', async () => {
  const who = await customer(PLENTY)
  let ran: Promise<boolean> | undefined
  await db.work(async (tx) => {
    await setRate(tx, {
      subject: 'agt_waiting',
      accountId: who.account,
      namespaceId: 'ns_1',
      hourlyMicros: 3_600n,
      at: at(0),
    })
    ran = run(100)
    const waits = async (): Promise<boolean> =>
      (await owner`select from pg_stat_activity where wait_event_type = 'Lock' and query like '%run_meters%'`)
        .length > 0
    await expect.poll(waits).toBe(true)
  })
  expect(await ran).toBe(true)
  await run(101)
  expect(await spent(who, PLENTY)).toBe(101n)
})

test('runs leave no gap and no overlap', async () => {
  const [{ gaps } = { gaps: undefined }] = await owner<{ gaps: bigint }[]>`
    select count(*) as gaps from meter_runs r
    where since <> 'epoch' and not exists (select from meter_runs b where b.upto = r.since)`
  expect(gaps).toBe(0n)
})

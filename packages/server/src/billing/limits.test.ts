import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { newId } from '../platform/ids.ts'
import { ledgerAccountOf, post } from './ledger.ts'
import {
  changeLimits,
  dollars,
  listOverspent,
  newBreaches,
  requireWithinLimits,
  showLimits,
} from './limits.ts'
import { chargeMeters, setRate } from './meters.ts'
import { canTakeOn, newRunwayWarnings, requireMeans } from './runway.ts'

const { db } = await testDatabase()
afterAll(() => db.close())
const HOUR_MS = 3_600_000
const begin = new Date('2026-03-01T00:00:00Z')
const after = (hours: number): Date => new Date(begin.getTime() + hours * HOUR_MS)

async function account(micros: bigint): Promise<string> {
  const id = newId('acc')
  await db.as({ account: id }, (tx) => tx`insert into accounts values (${id}, ${begin}, ${begin})`)
  await deposit(id, micros)
  return id
}

const deposit = (accountId: string, amountMicros: bigint) =>
  db.work(async (tx) => {
    const ledgerAccount = await ledgerAccountOf(tx, accountId, begin)
    const key = newId('dep')
    const movement = { key, kind: 'deposit', reference: key, against: 'sys_treasury' } as const
    await post(tx, { ...movement, ledgerAccount, amountMicros, at: begin })
  })

const burn = (accountId: string, subject: string, hourlyMicros: bigint, at: Date) =>
  db.work((tx) => setRate(tx, { subject, accountId, namespaceId: 'ns_x', hourlyMicros, at }))

test('amounts are said to the last digit: nothing is rounded, so what is said to be missing is enough', () => {
  expect([20_000n, 1_000n, 23_334n, 25_000_000n, -5n, 0n].map(dollars)).toMatchInlineSnapshot(`
    [
      "$0.02",
      "$0.001",
      "$0.023334",
      "$25.00",
      "-$0.000005",
      "$0.00",
    ]
  `)
})

test('limits change one by one, and only those of the account', async () => {
  const [alice, bob] = [await account(1n), await account(1n)]
  const as =
    (id: string) =>
    <T>(run: Parameters<typeof db.as<T>>[1]) =>
      db.as({ account: id }, run)
  await as(alice)((tx) => changeLimits(tx, alice, { softHourlyMicros: '5', hardMonthlyMicros: '9' }))
  const changed = await as(alice)((tx) => changeLimits(tx, alice, { hardMonthlyMicros: null }))
  expect(changed).toEqual({
    softHourlyMicros: '5',
    softMonthlyMicros: null,
    hardHourlyMicros: null,
    hardMonthlyMicros: null,
  })
  expect(await as(bob)((tx) => showLimits(tx, alice))).toMatchObject({ softHourlyMicros: null })
  await expect(as(bob)((tx) => changeLimits(tx, alice, { softHourlyMicros: '1' }))).rejects.toThrow()
})

test('a soft limit is told once, a hard one of the month refuses and names who has passed it', async () => {
  const id = await account(10_000_000n)
  await burn(id, 'agt_soft', 20_000n, begin)
  await db.as({ account: id }, (tx) =>
    changeLimits(tx, id, {
      softHourlyMicros: '10000',
      softMonthlyMicros: '40000',
      hardMonthlyMicros: '60000',
    }),
  )
  const told = async (at: Date) =>
    (await db.work((tx) => newBreaches(tx, at)))
      .filter(({ accountId }) => accountId === id)
      .map(({ kind }) => kind)
  expect(await told(after(1))).toEqual(['soft_hourly'])
  expect(await told(after(1.5))).toEqual([])
  expect(await told(after(2))).toEqual(['soft_monthly'])
  expect(await listOverspent(db.jobs, after(2.5))).not.toContain(id)
  expect(await told(after(3))).toEqual(['hard_monthly'])
  expect(await listOverspent(db.jobs, after(3))).toContain(id)
  const wanted = { accountId: id, rateMicros: 1n, now: after(3) }
  await expect(requireWithinLimits(db.jobs, wanted)).rejects.toMatchObject({ code: 'spend_limit' })
  // Another month, another budget.
  await burn(id, 'agt_soft', 0n, after(4))
  await requireWithinLimits(db.jobs, { ...wanted, now: new Date('2026-04-02T00:00:00Z') })
})

test('a limit that is taken away after it was passed is told anew when it is set again', async () => {
  const id = await account(10_000_000n)
  await burn(id, 'agt_again', 20_000n, begin)
  const limit = (micros: string | null) =>
    db.as({ account: id }, (tx) => changeLimits(tx, id, { softHourlyMicros: micros }))
  const told = async (at: Date) =>
    (await db.work((tx) => newBreaches(tx, at)))
      .filter(({ accountId }) => accountId === id)
      .map(({ kind }) => kind)
  await limit('10000')
  expect(await told(after(1))).toEqual(['soft_hourly'])
  await limit(null)
  expect(await told(after(2))).toEqual([])
  await limit('10000')
  expect(await told(after(3))).toEqual(['soft_hourly'])
  expect(await told(after(4))).toEqual([])
  await burn(id, 'agt_again', 0n, after(4))
})

test('each level of runway is told once on the way down, and again after a deposit', async () => {
  const id = await account(80n * 20_000n)
  await burn(id, 'agt_down', 20_000n, begin)
  const told = async (hours: number) => {
    await db.work((tx) => chargeMeters(tx, after(hours)))
    const warnings = await db.work((tx) => newRunwayWarnings(tx, after(hours)))
    return warnings.filter(({ accountId }) => accountId === id).map((warning) => warning.hours)
  }
  expect(await told(7)).toEqual([])
  expect(await told(8)).toEqual([72])
  expect(await told(20)).toEqual([])
  // Past two levels at once: only what matters now is said.
  expect(await told(79.5)).toEqual([1])
  await deposit(id, 100n * 20_000n)
  expect(await told(79.6)).toEqual([])
  expect(await told(110)).toEqual([72])
})

test('what would leave less than an hour is refused, to the micro-USD', async () => {
  const enough = await account(23_334n)
  const short = await account(23_333n)
  const wanted = (accountId: string, comingMicros = 0n) => {
    return { accountId, subject: 'agt_new', hourlyMicros: 20_000n, comingMicros, now: begin }
  }
  await requireMeans(db.jobs, wanted(enough), 'It')
  expect(await canTakeOn(db.jobs, enough, 20_000n, begin)).toBe(true)
  await expect(requireMeans(db.jobs, wanted(short), 'It')).rejects.toMatchObject({
    code: 'insufficient_credits',
  })
  expect(await canTakeOn(db.jobs, short, 20_000n, begin)).toBe(false)
  // What others are about to burn counts as if they did already.
  await expect(requireMeans(db.jobs, wanted(enough, 1n), 'It')).rejects.toMatchObject({
    code: 'insufficient_credits',
  })
})

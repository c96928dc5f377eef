import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { secondsAfter } from '../platform/clock.ts'
import { openPool } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import * as ledger from './ledger.ts'
import { chargeMeters, setRate } from './meters.ts'
import { quote } from './quotes.ts'

const { url, db } = await testDatabase()
const owner = openPool(url, { connectionsMax: 1 })
afterAll(() => owner.end())
const start = new Date('2027-03-01T00:00:00Z')
await db.work((tx) => chargeMeters(tx, start))

async function customer(creditsMicros: bigint): Promise<string> {
  const account = newId('acc')
  await owner`insert into accounts values (${account}, ${start}, ${start})`
  await db.work(async (tx) =>
    ledger.post(tx, {
      key: `test:${account}`,
      kind: 'deposit',
      reference: '',
      ledgerAccount: await ledger.ledgerAccountOf(tx, account, start),
      amountMicros: creditsMicros,
      against: 'sys_treasury',
      at: start,
    }),
  )
  return account
}

const runway = async (accountId: string, subject: string | undefined, size: 'nano' | 'large', now = start) =>
  (await quote(db.jobs, { accountId, subject, size, now })).balance.runwaySeconds

test('runway is how long credits last with what burns already and what is asked for', async () => {
  const account = await customer(1_000_000n)
  expect(await runway(account, undefined, 'nano')).toBe(100 * 3600)
  const meter = { accountId: account, namespaceId: 'ns_1', at: start }
  await db.work((tx) => setRate(tx, { ...meter, subject: 'agt_first', hourlyMicros: 10_000n }))
  expect(await runway(account, undefined, 'nano')).toBe(50 * 3600)
  expect(await runway(account, undefined, 'nano', secondsAfter(start, 3600))).toBe(49.5 * 3600)
})

test('what replaces a machine is not counted beside it', async () => {
  const account = await customer(1_000_000n)
  const meter = { accountId: account, namespaceId: 'ns_1', at: start }
  await db.work((tx) => setRate(tx, { ...meter, subject: 'agt_grows', hourlyMicros: 10_000n }))
  expect(await runway(account, 'agt_grows', 'nano')).toBe(100 * 3600)
  expect(await runway(account, 'agt_grows', 'large')).toBe(12.5 * 3600)
})

test('without credits there is no runway', async () => {
  expect(
    await quote(db.jobs, { accountId: 'acc_new', subject: undefined, size: 'nano', now: start }),
  ).toEqual({
    price: { hourlyMicros: '10000' },
    balance: { creditsMicros: '0', runwaySeconds: 0 },
  })
})

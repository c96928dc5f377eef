import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { openPool } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import { historyPage } from './history.ts'
import { ledgerAccountOf, post } from './ledger.ts'

const { db, url } = await testDatabase()
const owner = openPool(url, { connectionsMax: 1 })
afterAll(() => owner.end())
const now = new Date('2027-03-01T00:00:00Z')

test('entries are said in few words, and what comes back is not said to be taken', async () => {
  const account = newId('acc')
  await owner`insert into accounts values (${account}, ${now}, ${now})`
  const since = (until: string, seconds: number) => {
    const from = new Date(Date.parse(until) - seconds * 1000).toISOString()
    return `${from}/${new Date(until).toISOString()}`
  }
  const until = '2027-02-01T00:00:00Z'
  const movements = [
    ['deposit', 'dep_1', 50_000_000n],
    ['reversal', 'chk_1', -10_000_000n],
    ['reversal', 'chk_1', 10_000_000n],
    ['refund', 'chk_2', -5_000_000n],
    ['charge', since(until, 0), -1n],
    ['charge', since(until, 59), -1n],
    ['charge', since(until, 2109), -1n],
    ['charge', since(until, 3 * 3600), -1n],
    ['charge', since(until, 86_400 + 60), -1n],
    ['charge', since(until, 14 * 86_400 + 3600), -1n],
  ] as const
  await db.work(async (tx) => {
    const ledgerAccount = await ledgerAccountOf(tx, account, now)
    for (const [index, [kind, reference, amountMicros]] of movements.entries()) {
      const against = kind === 'charge' ? 'sys_revenue' : 'sys_treasury'
      await post(tx, { key: `k${index}`, kind, reference, ledgerAccount, amountMicros, against, at: now })
    }
  })
  const { entries } = await db.as({ account }, (tx) => historyPage(tx, account, {}))
  expect(entries.map(({ description }) => description).reverse()).toMatchInlineSnapshot(`
    [
      "Deposit dep_1",
      "Taken back: chk_1",
      "Given back: chk_1",
      "Refund chk_2",
      "Agents for 0 s",
      "Agents for 59 s",
      "Agents for 35 min 9 s",
      "Agents for 3 h",
      "Agents for 1 day",
      "Agents for 14 days 1 h",
    ]
  `)
})

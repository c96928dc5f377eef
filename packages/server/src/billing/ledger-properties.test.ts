import { verifyLedger } from '@agentctl/contract/ledger-export.ts'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { secondsAfter } from '../platform/clock.ts'
import { openPool, type Sql } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import * as ledger from './ledger.ts'
import { chargeMeters, setRate } from './meters.ts'

const { url, db } = await testDatabase()
const owner = openPool(url, { connectionsMax: 2 })
afterAll(() => owner.end())

const CUSTOMERS = 3
const KEYS = 6

type Step =
  | { do: 'deposit' | 'spend' | 'refund' | 'takeBack'; who: number; key: number; micros: number }
  | { do: 'hold'; who: number; key: number; micros: number }
  | { do: 'capture'; key: number; micros: number }
  | { do: 'void'; key: number }
  | { do: 'rate'; who: number; hourly: number }
  | { do: 'meter'; seconds: number }

/** The whole ledger in memory: what each step does to it, or 'refused'. */
class Model {
  balance = Array<number>(CUSTOMERS).fill(0)
  held = Array<number>(CUSTOMERS).fill(0)
  rate = Array<number>(CUSTOMERS).fill(0)
  burnt = Array<number>(CUSTOMERS).fill(0) // in 1/3600 micro-USD, since the last whole one
  seen = new Map<string, string>()
  holds = new Map<number, { who: number; micros: number; end?: number }>()

  /** 'new' the first time, 'same' for the same again, 'refused' for another thing under the key. */
  know(name: string, content: string): 'new' | 'same' | 'refused' {
    const known = this.seen.get(name)
    return known === undefined ? 'new' : known === content ? 'same' : 'refused'
  }
  free(who: number): number {
    return (this.balance[who] ?? 0) - (this.held[who] ?? 0)
  }
  add(of: number[], who: number, micros: number): void {
    of[who] = (of[who] ?? 0) + micros
  }
  step(step: Step): 'done' | 'same' | 'refused' {
    if (step.do === 'rate') {
      this.rate[step.who] = step.hourly
    } else if (step.do === 'meter') {
      for (let who = 0; who < CUSTOMERS; who++) {
        const burnt = (this.burnt[who] ?? 0) + (this.rate[who] ?? 0) * step.seconds
        this.burnt[who] = burnt % 3600
        this.add(this.balance, who, -Math.max(0, Math.min(Math.floor(burnt / 3600), this.free(who))))
      }
    } else if (step.do === 'capture' || step.do === 'void') {
      const hold = this.holds.get(step.key)
      const micros = step.do === 'void' ? 0 : step.micros
      if (!hold || micros > hold.micros) return 'refused'
      if (hold.end !== undefined) return hold.end === micros ? 'same' : 'refused'
      hold.end = micros
      this.add(this.held, hold.who, -hold.micros)
      this.add(this.balance, hold.who, -micros)
    } else {
      const known = this.know(`${step.do === 'hold' ? 'hold' : 'post'}${step.key}`, JSON.stringify(step))
      if (known !== 'new') return known
      const isCredit = step.do === 'deposit' || step.do === 'refund'
      if (!isCredit && step.do !== 'takeBack' && this.free(step.who) < step.micros) return 'refused'
      this.seen.set(`${step.do === 'hold' ? 'hold' : 'post'}${step.key}`, JSON.stringify(step))
      if (step.do === 'hold') {
        this.holds.set(step.key, { who: step.who, micros: step.micros })
        this.add(this.held, step.who, step.micros)
      } else this.add(this.balance, step.who, isCredit ? step.micros : -step.micros)
    }
    return 'done'
  }
}

const who = fc.nat({ max: CUSTOMERS - 1 })
const key = fc.nat({ max: KEYS })
const micros = fc.integer({ min: 1, max: 1000 })
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({
      do: fc.constantFrom('deposit' as const, 'deposit' as const, 'spend' as const),
      who,
      key: fc.nat({ max: 10_000 }),
      micros,
    }),
    fc.record({
      do: fc.constantFrom('refund' as const, 'takeBack' as const, 'deposit' as const),
      who,
      key,
      micros,
    }),
    fc.record({ do: fc.constant('hold' as const), who, key, micros }),
    fc.record({ do: fc.constant('capture' as const), key, micros }),
    fc.record({ do: fc.constant('void' as const), key }),
    fc.record({ do: fc.constant('rate' as const), who, hourly: fc.constantFrom(0, 1, 7, 1000, 80_000) }),
    fc.record({ do: fc.constant('meter' as const), seconds: fc.integer({ min: 1, max: 5000 }) }),
  ),
  { minLength: 1, maxLength: 60 },
)

let epoch = new Date('2027-01-01T00:00:00Z')
let games = 0

test('whatever happens in whatever order, the ledger is where a small model in memory is', async () => {
  await fc.assert(fc.asyncProperty(steps, play), { numRuns: 60, endOnFailure: false })
}, 120_000)

async function play(game: Step[]): Promise<void> {
  games++
  const model = new Model()
  let now = epoch
  await db.work((tx) => chargeMeters(tx, now))
  const accounts: { account: string; ledgerAccount: string }[] = []
  for (let n = 0; n < CUSTOMERS; n++) {
    const account = newId('acc')
    await owner`insert into accounts values (${account}, ${now}, ${now})`
    accounts.push({
      account,
      ledgerAccount: await db.work((tx) => ledger.ledgerAccountOf(tx, account, now)),
    })
  }
  const accountOf = (n: number) => accounts[n] ?? expect.fail('There is no such customer.')
  const real = async (tx: Sql, step: Step): Promise<boolean> => {
    const hold = `hold:${games}:${'key' in step ? step.key : ''}`
    switch (step.do) {
      case 'meter':
        now = secondsAfter(now, step.seconds)
        return chargeMeters(tx, now)
      case 'rate': {
        const { account } = accountOf(step.who)
        const meter = { subject: `agt_${account}`, accountId: account, namespaceId: 'ns_1', at: now }
        await setRate(tx, { ...meter, hourlyMicros: BigInt(step.hourly) })
        return true
      }
      case 'hold':
        return ledger.hold(tx, {
          key: hold,
          ledgerAccount: accountOf(step.who).ledgerAccount,
          amountMicros: BigInt(step.micros),
          reference: '',
          at: now,
        })
      case 'capture':
        return ledger.capture(tx, hold, BigInt(step.micros), now)
      case 'void':
        return ledger.voidHold(tx, hold, now)
      default: {
        const isCredit = step.do === 'deposit' || step.do === 'refund'
        return ledger.post(tx, {
          key: `post:${games}:${step.key}`,
          kind: ({ deposit: 'deposit', refund: 'refund', spend: 'charge', takeBack: 'reversal' } as const)[
            step.do
          ],
          reference: '',
          ledgerAccount: accountOf(step.who).ledgerAccount,
          amountMicros: BigInt(isCredit ? step.micros : -step.micros),
          against: step.do === 'spend' ? 'sys_revenue' : 'sys_treasury',
          at: now,
          intoDebt: step.do === 'takeBack',
        })
      }
    }
  }
  for (const step of game) {
    const expected = model.step(step)
    let got: 'done' | 'same' | 'refused'
    try {
      got = (await db.work((tx) => real(tx, step))) ? 'done' : 'same'
    } catch (error) {
      const isRefusal = error instanceof Problem || (error as { code?: string }).code === 'LG002'
      if (!isRefusal) throw error
      got = 'refused'
    }
    expect(got, JSON.stringify(step)).toBe(expected)
    const rows = await owner<{ balance: number; held: number }[]>`
      select balance_micros::int as balance, held_micros::int as held
      from ledger_balances join unnest(${accounts.map((a) => a.ledgerAccount)}::text[]) with ordinality as t (id, n)
        on ledger_account_id = id order by n`
    expect(rows.map((row) => row.balance)).toEqual(model.balance)
    expect(rows.map((row) => row.held)).toEqual(model.held)
    await invariants()
  }
  for (const { account } of accounts) {
    const meter = { subject: `agt_${account}`, accountId: account, namespaceId: 'ns_1', at: now }
    await db.work((tx) => setRate(tx, { ...meter, hourlyMicros: 0n }))
    const signer = { keyId: 'l1', publicKey: '', sign: () => '', publicKeys: [] }
    const document = await db.as({ account }, (tx) => ledger.exportLedger(tx, account, signer, now))
    // Everything but the signature, which this signer does not make.
    expect(await verifyLedger(document)).toMatchObject({ fault: 'unsigned' })
  }
  epoch = secondsAfter(now, 1)
}

/** What holds after each step, whatever it was. */
async function invariants(): Promise<void> {
  const [broken] = await owner`
    select
      (select coalesce(sum(amount_micros), 0)::text from ledger_entries) as total,
      (select count(*)::int from (
        select from ledger_entries group by transaction_key having sum(amount_micros) <> 0) t) as unbalanced,
      (select count(*)::int from ledger_balances b where balance_micros <> (
        select coalesce(sum(amount_micros), 0) from ledger_entries e
        where e.ledger_account_id = b.ledger_account_id)) as "otherThanSum",
      (select count(*)::int from ledger_balances b where held_micros <> (
        select coalesce(sum(amount_micros), 0) from ledger_holds h
        where h.ledger_account_id = b.ledger_account_id
          and not exists (select from ledger_hold_ends where hold_key = h.key))) as "otherThanHolds",
      (select count(*)::int from ledger_balances where balance_micros - held_micros < floor_micros) as "belowFloor",
      (select count(*)::int from ledger_balances where floor_micros < 0
        and floor_micros <> balance_micros - held_micros) as "creditBeyondDebt"`
  expect(broken).toEqual({
    total: '0',
    unbalanced: 0,
    otherThanSum: 0,
    otherThanHolds: 0,
    belowFloor: 0,
    creditBeyondDebt: 0,
  })
}

import { verifyLedger } from '@agentctl/contract/ledger-export.ts'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { secondsAfter } from '../platform/clock.ts'
import { openPool, type Sql } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import * as ledger from './ledger.ts'
import { chargeMeters, listDepleted, setRate } from './meters.ts'

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
  /** Whoever has nothing left burns nothing any more. */
  | { do: 'suspend' }

/** The whole ledger in memory: what each step does to it, or 'refused'. */
class Model {
  balance = Array<number>(CUSTOMERS).fill(0)
  held = Array<number>(CUSTOMERS).fill(0)
  rate = Array<number>(CUSTOMERS).fill(0)
  burnt = Array<number>(CUSTOMERS).fill(0) // in 1/3600 micro-USD, since the last whole one
  used = Array<number>(CUSTOMERS).fill(0)
  // What burnt since credits ended, and the fraction at that moment; undefined while there are any.
  unpaid = Array<{ used: number; burnt: number } | undefined>(CUSTOMERS).fill(undefined)
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
    const result = this.take(step)
    // Any credit that leaves something to spend ends the time without.
    for (let who = 0; who < CUSTOMERS; who++) {
      const unpaid = this.unpaid[who]
      if (!unpaid || this.free(who) <= 0) continue
      this.add(this.used, who, unpaid.used)
      this.unpaid[who] = undefined
    }
    return result
  }
  setRate(who: number, hourly: number): void {
    const unpaid = this.unpaid[who]
    // What ran on without credits is forgotten, fraction and all.
    if (unpaid && this.rate[who] !== hourly && this.rate[who] !== 0) {
      this.burnt[who] = unpaid.burnt
      unpaid.used = 0
    }
    this.rate[who] = hourly
  }
  take(step: Step): 'done' | 'same' | 'refused' {
    if (step.do === 'rate') {
      this.setRate(step.who, step.hourly)
    } else if (step.do === 'suspend') {
      for (let who = 0; who < CUSTOMERS; who++) if (this.unpaid[who]) this.setRate(who, 0)
    } else if (step.do === 'meter') {
      for (let who = 0; who < CUSTOMERS; who++) {
        const burnt = (this.burnt[who] ?? 0) + (this.rate[who] ?? 0) * step.seconds
        const due = Math.floor(burnt / 3600)
        const free = Math.max(0, this.free(who))
        this.burnt[who] = burnt % 3600
        const unpaid = this.unpaid[who]
        if (unpaid) unpaid.used += due
        else this.add(this.used, who, due)
        this.add(this.balance, who, -Math.min(due, free))
        if (due > 0 && due >= free) this.unpaid[who] ??= { used: 0, burnt: burnt % 3600 }
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
      do: fc.constant('deposit' as const),
      who,
      key: fc.nat({ max: 10_000 }),
      micros: fc.integer({ min: 500, max: 3000 }),
    }),
    fc.record({ do: fc.constant('spend' as const), who, key: fc.nat({ max: 10_000 }), micros }),
    fc.record({
      do: fc.constantFrom('refund' as const, 'takeBack' as const, 'deposit' as const),
      who,
      key,
      micros,
    }),
    fc.record({ do: fc.constant('hold' as const), who, key, micros }),
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('capture' as const),
        key,
        micros: fc.integer({ min: 1, max: 200 }),
      }),
    },
    fc.record({ do: fc.constant('void' as const), key }),
    fc.record({ do: fc.constant('rate' as const), who, hourly: fc.constantFrom(0, 1, 7, 100, 1000) }),
    fc.record({ do: fc.constant('meter' as const), seconds: fc.integer({ min: 1, max: 3000 }) }),
    fc.record({ do: fc.constant('suspend' as const) }),
  ),
  // Sizes of the library's own choice are so small that hardly a hold would find credits to hold.
  { minLength: 1, maxLength: 60, size: 'max' },
)

let epoch = new Date('2027-01-01T00:00:00Z')
let games = 0
const done: Record<Step['do'], number> = {
  deposit: 0,
  spend: 0,
  refund: 0,
  takeBack: 0,
  hold: 0,
  capture: 0,
  void: 0,
  rate: 0,
  meter: 0,
  suspend: 0,
}

test('whatever happens in whatever order, the ledger is where a small model in memory is', async () => {
  await fc.assert(fc.asyncProperty(steps, inItsOwnTime), { numRuns: 40, interruptAfterTimeLimit: 200_000 })
  // Nothing is shown about what was always refused.
  for (const [step, count] of Object.entries(done)) expect(count, step).toBeGreaterThan(0)
}, 240_000)

/** The watermark only moves forward: also after a game that failed, the next one begins behind all that it charged. */
async function inItsOwnTime(game: Step[]): Promise<void> {
  epoch = secondsAfter(epoch, 1_000_000)
  await play(game)
}

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
  const burn = (tx: Sql, accountId: string, hourly: number) =>
    setRate(tx, {
      subject: `agt_${accountId}`,
      accountId,
      namespaceId: 'ns_1',
      hourlyMicros: BigInt(hourly),
      at: now,
    })
  const real = async (tx: Sql, step: Step): Promise<boolean> => {
    const hold = `hold:${games}:${'key' in step ? step.key : ''}`
    switch (step.do) {
      case 'meter':
        now = secondsAfter(now, step.seconds)
        return chargeMeters(tx, now)
      case 'rate':
        await burn(tx, accountOf(step.who).account, step.hourly)
        return true
      case 'suspend': {
        const own = new Set(accounts.map(({ account }) => account))
        for (const { accountId } of await listDepleted(tx, 1_000_000)) {
          if (own.has(accountId)) await burn(tx, accountId, 0)
        }
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
    if (expected === 'done') done[step.do]++
    let got: 'done' | 'same' | 'refused'
    try {
      got = (await db.work((tx) => real(tx, step))) ? 'done' : 'same'
    } catch (error) {
      const isRefusal = error instanceof Problem || (error as { code?: string }).code === 'LG002'
      if (!isRefusal) throw error
      got = 'refused'
    }
    expect(got, JSON.stringify(step)).toBe(expected)
    const rows = await owner<{ balance: number; held: number; used: number; depleted: boolean }[]>`
      select balance_micros::int as balance, held_micros::int as held, depleted_at is not null as depleted,
        (select coalesce(sum(metered_micros(rate_micros, carry, from_at, to_at, ${now})), 0)::int from meters m
          where m.ledger_account_id = b.ledger_account_id) as used
      from ledger_balances b join unnest(${accounts.map((a) => a.ledgerAccount)}::text[]) with ordinality as t (id, n)
        on ledger_account_id = id order by n`
    expect(rows.map((row) => row.balance)).toEqual(model.balance)
    expect(rows.map((row) => row.held)).toEqual(model.held)
    expect(rows.map((row) => row.depleted)).toEqual(model.unpaid.map((unpaid) => unpaid !== undefined))
    expect(rows.map((row) => row.used)).toEqual(
      model.used.map((used, who) => used + (model.unpaid[who]?.used ?? 0)),
    )
    await invariants()
  }
  for (const { account } of accounts) {
    await db.work((tx) => burn(tx, account, 0))
    const signer = { keyId: 'l1', publicKey: '', sign: () => '', publicKeys: [] }
    const document = await db.as({ account }, (tx) => ledger.exportLedger(tx, account, signer, now))
    // Everything but the signature, which this signer does not make.
    expect(await verifyLedger(document)).toMatchObject({ fault: 'unsigned' })
  }
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

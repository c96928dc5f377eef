import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LedgerExport, verifyLedger } from '@agentctl/contract/ledger-export.ts'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { openPool } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import * as ledger from './ledger.ts'
import { openLedgerKey } from './ledger-key.ts'
import * as store from './store.ts'

const database = await testDatabase()
const { db } = database
const owner = openPool(database.url, { connectionsMax: 2 })
const folder = mkdtempSync(join(tmpdir(), 'agentctl-ledger-'))
const key = openLedgerKey(join(folder, 'ledger-key.json'))
const now = new Date('2027-03-01T09:00:00.123Z')
const DOLLAR = 1_000_000n
afterAll(async () => {
  await owner.end()
  rmSync(folder, { recursive: true })
})

async function customer(creditsMicros = 0n): Promise<{ account: string; ledgerAccount: string }> {
  const account = newId('acc')
  await owner`insert into accounts values (${account}, ${now}, ${now})`
  const ledgerAccount = await db.work((tx) => ledger.ledgerAccountOf(tx, account, now))
  if (creditsMicros > 0n) await deposit(ledgerAccount, creditsMicros)
  return { account, ledgerAccount }
}

let counter = 0
const freshKey = (): string => `test:${++counter}`

const deposit = (ledgerAccount: string, amountMicros: bigint, name = freshKey()) =>
  db.work((tx) =>
    ledger.post(tx, {
      key: name,
      kind: 'deposit',
      reference: 'dep_1',
      ledgerAccount,
      amountMicros,
      against: 'sys_treasury',
      at: now,
    }),
  )

const spend = (ledgerAccount: string, amountMicros: bigint, name = freshKey()) =>
  db.work((tx) =>
    ledger.post(tx, {
      key: name,
      kind: 'charge',
      reference: '',
      ledgerAccount,
      amountMicros: -amountMicros,
      against: 'sys_revenue',
      at: now,
    }),
  )

const reverse = (ledgerAccount: string, amountMicros: bigint) =>
  db.work((tx) =>
    ledger.post(tx, {
      key: freshKey(),
      kind: 'reversal',
      reference: '',
      ledgerAccount,
      amountMicros: -amountMicros,
      against: 'sys_treasury',
      at: now,
      intoDebt: true,
    }),
  )

const balance = async (ledgerAccount: string): Promise<bigint | undefined> =>
  (await store.findBalance(db.jobs, ledgerAccount))?.balanceMicros

test('an account that does not have what its last entry says is found, however many came after it', async () => {
  const { ledgerAccount } = await customer(10n)
  await customer()
  const faults = () => db.jobs<{ id: string }[]>`select ledger_faults as id from ledger_faults(null)`
  expect(await faults()).toEqual([])
  for (const [column, wrong] of [
    ['balance_micros', 9],
    ['entry_count', 2],
    ['head_hash', Buffer.alloc(32, 1)],
  ] as const) {
    const [before] =
      await owner`select ${owner(column)} as value from ledger_balances where ledger_account_id = ${ledgerAccount}`
    const set = (value: unknown) =>
      owner`update ledger_balances set ${owner({ [column]: value } as never)} where ledger_account_id = ${ledgerAccount}`
    await set(wrong)
    expect(await faults(), column).toEqual([{ id: ledgerAccount }])
    await set(before?.value)
  }
  expect(await faults()).toEqual([])
})

test('books are added up from where they were last found right, and what does not add up is found each time', async () => {
  const { ledgerAccount } = await customer(10n)
  await customer(20n)
  const audit = () => db.work(store.auditLedger)
  expect(await audit()).toMatchObject({ wrong: 0 })
  expect(await audit()).toMatchObject({ postedTo: 0, wrong: 0 })
  await spend(ledgerAccount, 3n)
  expect(await audit()).toMatchObject({ postedTo: 1, wrong: 0 })
  const set = (micros: bigint) =>
    owner`update ledger_balances set balance_micros = ${micros} where ledger_account_id = ${ledgerAccount}`
  await set(8n)
  expect(await audit()).toMatchObject({ postedTo: 0, wrong: 1 })
  await spend(ledgerAccount, 1n)
  for (let visit = 0; visit < 2; visit++) expect(await audit()).toMatchObject({ postedTo: 1, wrong: 1 })
  await set(6n)
  expect(await audit()).toMatchObject({ postedTo: 1, wrong: 0 })
})

test('40 parallel spends of 1 on a balance of 10: exactly 10 succeed', async () => {
  const { ledgerAccount } = await customer(10n)
  const results = await Promise.allSettled(Array.from({ length: 40 }, () => spend(ledgerAccount, 1n)))
  const refused = results.filter((result) => result.status === 'rejected')
  expect(results.length - refused.length).toBe(10)
  expect(new Set(refused.map((result) => result.reason.code))).toEqual(new Set(['insufficient_credits']))
  expect(await balance(ledgerAccount)).toBe(0n)
})

test('the same key ten times in parallel is one transaction', async () => {
  const { ledgerAccount } = await customer()
  const done = await Promise.all(Array.from({ length: 10 }, () => deposit(ledgerAccount, 5n, 'deposit:same')))
  expect(done.filter(Boolean)).toHaveLength(1)
  expect(await balance(ledgerAccount)).toBe(5n)
})

test('the same key with another amount, customer or kind is a conflict and changes nothing', async () => {
  const { ledgerAccount } = await customer()
  const other = await customer()
  await deposit(ledgerAccount, 5n, 'deposit:once')
  await expect(deposit(ledgerAccount, 6n, 'deposit:once')).rejects.toMatchObject({
    code: 'idempotency_mismatch',
  })
  await expect(deposit(other.ledgerAccount, 5n, 'deposit:once')).rejects.toMatchObject({
    code: 'idempotency_mismatch',
  })
  await expect(spend(ledgerAccount, 5n, 'deposit:once')).rejects.toMatchObject({
    code: 'idempotency_mismatch',
  })
  expect(await balance(ledgerAccount)).toBe(5n)
  expect(await balance(other.ledgerAccount)).toBe(0n)
})

test('two first uses of an account at once make one ledger account', async () => {
  const account = newId('acc')
  await owner`insert into accounts values (${account}, ${now}, ${now})`
  const ids = await Promise.all(
    Array.from({ length: 8 }, () => db.work((tx) => ledger.ledgerAccountOf(tx, account, now))),
  )
  expect(new Set(ids).size).toBe(1)
})

test('held credits cannot be spent; a capture charges once; a void frees; neither can follow the other', async () => {
  const { ledgerAccount } = await customer(10n)
  const hold = (name: string, amountMicros: bigint) =>
    db.work((tx) => ledger.hold(tx, { key: name, ledgerAccount, amountMicros, reference: 'agt_1', at: now }))
  expect(await hold('hold:a', 8n)).toBe(true)
  expect(await hold('hold:a', 8n)).toBe(false)
  await expect(hold('hold:a', 7n)).rejects.toMatchObject({ code: 'idempotency_mismatch' })
  await expect(hold('hold:b', 3n)).rejects.toMatchObject({ code: 'insufficient_credits' })
  await expect(spend(ledgerAccount, 3n)).rejects.toMatchObject({ code: 'insufficient_credits' })
  await expect(db.work((tx) => ledger.capture(tx, 'hold:a', 9n, now))).rejects.toMatchObject({
    code: 'LG002',
  })
  const captures = await Promise.all(
    Array.from({ length: 5 }, () => db.work((tx) => ledger.capture(tx, 'hold:a', 6n, now))),
  )
  expect(captures.filter(Boolean)).toHaveLength(1)
  await expect(db.work((tx) => ledger.voidHold(tx, 'hold:a', now))).rejects.toMatchObject({
    code: 'idempotency_mismatch',
  })
  expect(await store.findBalance(db.jobs, ledgerAccount)).toEqual({ balanceMicros: 4n, heldMicros: 0n })
  await hold('hold:c', 4n)
  expect(await db.work((tx) => ledger.voidHold(tx, 'hold:c', now))).toBe(true)
  expect(await spend(ledgerAccount, 4n)).toBe(true)
})

test('what is taken back after it was spent is a debt: nothing can be spent until deposits have paid it', async () => {
  const { ledgerAccount } = await customer(10n)
  await spend(ledgerAccount, 7n)
  await reverse(ledgerAccount, 10n)
  expect(await balance(ledgerAccount)).toBe(-7n)
  await expect(spend(ledgerAccount, 1n)).rejects.toMatchObject({ code: 'insufficient_credits' })
  await deposit(ledgerAccount, 5n)
  await expect(spend(ledgerAccount, 1n)).rejects.toMatchObject({ code: 'insufficient_credits' })
  await deposit(ledgerAccount, 5n)
  await expect(spend(ledgerAccount, 4n)).rejects.toMatchObject({ code: 'insufficient_credits' })
  expect(await spend(ledgerAccount, 3n)).toBe(true)
})

test('nobody changes the books: not a caller, not a job, not even the owner of the tables', async () => {
  const { account, ledgerAccount } = await customer(10n)
  const denied = { code: '42501' }
  for (const run of [
    (write: (sql: typeof db.jobs) => Promise<unknown>) => write(db.jobs),
    (write: (sql: typeof db.jobs) => Promise<unknown>) =>
      db.as({ account }, (tx) => write(tx as typeof db.jobs)),
  ]) {
    await expect(run((sql) => sql`update ledger_balances set balance_micros = 99`)).rejects.toMatchObject(
      denied,
    )
    await expect(run((sql) => sql`update ledger_entries set amount_micros = 99`)).rejects.toMatchObject(
      denied,
    )
    await expect(run((sql) => sql`delete from ledger_entries`)).rejects.toMatchObject(denied)
    await expect(
      run((sql) => sql`insert into ledger_entries values ('sys_revenue', null, 'x', 1, null, null)`),
    ).rejects.toMatchObject(denied)
  }
  await expect(
    db.as(
      { account },
      (tx) => tx`select ledger_post('k', 'deposit', '', ${ledgerAccount}, 'sys_cards', 1, ${now})`,
    ),
  ).rejects.toMatchObject(denied)
  for (const table of ['ledger_transactions', 'ledger_entries', 'ledger_holds', 'ledger_hold_ends']) {
    await expect(owner.unsafe(`delete from ${table}`)).rejects.toMatchObject({ code: 'LG000' })
    await expect(owner.unsafe(`truncate ${table} cascade`)).rejects.toMatchObject({ code: 'LG000' })
  }
  await expect(owner`update ledger_entries set amount_micros = 99`).rejects.toMatchObject({ code: 'LG000' })
  await expect(
    owner`insert into ledger_entries values ('sys_revenue', null, 'x', 1, null, null)`,
  ).rejects.toMatchObject({ code: 'LG000' })
  // The floor is a constraint, not a rule of some function.
  await expect(
    owner`update ledger_balances set balance_micros = -1 where ledger_account_id = ${ledgerAccount}`,
  ).rejects.toMatchObject({ constraint_name: 'ledger_floor' })
})

test('a customer sees their own books and nobody else’s', async () => {
  const mine = await customer(10n)
  const yours = await customer(20n)
  const seen = await db.as({ account: mine.account }, async (tx) => ({
    balances: await tx`select ledger_account_id from ledger_balances`,
    entries: await tx`select distinct ledger_account_id from ledger_entries`,
    transactions: await tx`select distinct ledger_account_id from ledger_transactions`,
  }))
  const own = [{ ledger_account_id: mine.ledgerAccount }]
  expect(seen).toEqual({ balances: own, entries: own, transactions: own })
  expect(yours.ledgerAccount).not.toBe(mine.ledgerAccount)
})

test('the books of an erased account stay, and nothing in them says whose they were', async () => {
  const { account, ledgerAccount } = await customer(10n)
  await owner`delete from accounts where id = ${account}`
  expect(await owner`select * from billing_accounts where account_id = ${account}`).toEqual([])
  expect(await balance(ledgerAccount)).toBe(10n)
  const kept = await owner`
    select e.*, t.* from ledger_entries e join ledger_transactions t on t.key = e.transaction_key
    where e.ledger_account_id = ${ledgerAccount}`
  expect(
    JSON.stringify(kept, (_, value) => (typeof value === 'bigint' ? String(value) : value)),
  ).not.toContain(account)
})

async function exported(): Promise<LedgerExport> {
  const { account, ledgerAccount } = await customer(25n * DOLLAR)
  for (let times = 0; times < 5; times++) await spend(ledgerAccount, 1_234_567n)
  return db.as({ account }, (tx) => ledger.exportLedger(tx, account, key, now))
}

test('an exported ledger is verified offline', async () => {
  const document = JSON.parse(JSON.stringify(await exported()))
  expect(await verifyLedger(document, [key.publicKey])).toEqual({
    valid: true,
    entries: 6,
    balanceMicros: '18827165',
    signedAt: now.toISOString(),
    keyId: 'l1',
  })
})

test('an account that never paid has an empty ledger that is valid', async () => {
  const account = newId('acc')
  const document = await db.as({ account }, (tx) => ledger.exportLedger(tx, account, key, now))
  expect(await verifyLedger(document)).toMatchObject({ valid: true, entries: 0, balanceMicros: '0' })
})

test('a changed digit, a missing middle, a cut end, a swapped order and a strange key are each noticed', async () => {
  const tampered = async (change: (document: LedgerExport) => void, keys = [key.publicKey]) => {
    const document = structuredClone(original)
    change(document)
    const verdict = await verifyLedger(document, keys)
    return verdict.valid ? 'valid' : `${verdict.fault} ${verdict.sequence}`
  }
  const original = await exported()
  const third = (document: LedgerExport) => document.entries[2] ?? expect.fail('There is no third entry.')
  expect(await tampered((d) => Object.assign(third(d), { amountMicros: '-1234568' }))).toBe('changed 3')
  expect(await tampered((d) => Object.assign(third(d), { balanceMicros: '22530867' }))).toBe('changed 3')
  expect(await tampered((d) => Object.assign(third(d), { at: '2027-03-01T09:00:00.124Z' }))).toBe('changed 3')
  expect(await tampered((d) => d.entries.splice(2, 1))).toBe('missing 3')
  expect(await tampered((d) => d.entries.pop())).toBe('cut 6')
  expect(await tampered((d) => d.entries.splice(0))).toBe('cut 1')
  expect(await tampered((d) => d.entries.reverse())).toBe('missing 1')
  expect(
    await tampered((d) => {
      d.entries.pop()
      const last = d.entries.at(-1)
      Object.assign(d.head, { entries: 5, hash: last?.hash, balanceMicros: last?.balanceMicros })
    }),
  ).toBe('unsigned null')
  expect(await tampered((d) => Object.assign(d.head, { balanceMicros: '1' }))).toBe('unsigned null')
  expect(await tampered(() => {}, [openLedgerKey(join(folder, 'other.json')).publicKey])).toBe(
    'untrusted null',
  )
  expect(await tampered((d) => Object.assign(d, { entries: 'none' }))).toBe('malformed null')
  expect(await tampered(() => {})).toBe('valid')
})

import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { verifyReceipt } from '@agentctl/contract/erasure-receipt.ts'
import type { Erasure } from '@agentctl/contract/privacy.ts'
import { expect, test } from 'vitest'
import { deployLive, eventually } from '../agents/test-cloud.ts'
import { openLedgerKey } from '../billing/ledger-key.ts'
import { recordTransfers, settlePayment } from '../billing/payments.ts'
import { testDomains } from '../domains/test-domains.ts'
import type { DepositChain } from '../platform/config.ts'
import type { Caller } from '../platform/http.ts'
import { newId } from '../platform/ids.ts'
import type { Lease, Operation } from '../platform/operations.ts'
import { visitErasure } from './erasure-operation.ts'
import { planErasure } from './erasure-plan.ts'
import { showErasure, startErasure } from './erasures.ts'
import { rightsWork } from './rights-operations.ts'
import { digest, type PlantedAccount, plantAccount, tablesWith } from './test-account.ts'

const domains = await testDomains()
const { cloud } = domains
const { deps, sql } = cloud
const key = openLedgerKey(deps.config.ledgerKeyFile)

type Step = { at: number; when: 'before' | 'after' }
/** Erasures that are interrupted once: at their so many-th write, before it or when it has been made. */
const interruptions = new Map<string, Step & { seen: number; hit: boolean }>()
const interrupted = (operation: Operation, lease: Lease): Lease => ({
  settle: lease.settle,
  async write(run) {
    const one = interruptions.get(operation.subject)
    const isNow = one !== undefined && !one.hit && ++one.seen === one.at
    if (isNow) one.hit = true
    if (isNow && one.when === 'before') throw new Error('killed before a write')
    const written = await lease.write(run)
    if (isNow) throw new Error('killed after a write')
    return written
  },
})
await cloud.work({
  ...rightsWork(deps),
  'erase-account': (operation, lease) => visitErasure(deps, operation, interrupted(operation, lease)),
})

const callerOf = (accountId: string): Caller => ({
  accountId,
  via: 'session',
  credentialId: 'ses_0',
  scopes: 'all',
  namespaceId: null,
  authenticatedAt: deps.clock.now(),
})
const newWish = () => ({ id: `era_${newId('req').slice(4)}`, token: randomBytes(32).toString('hex') })
const ask = (accountId: string, wish: { id: string; token: string; forfeit?: boolean }): Promise<Erasure> =>
  startErasure(deps, callerOf(accountId), wish, key)
const receiptOf = (wish: { id: string; token: string }) =>
  eventually(async () => (await showErasure(deps, wish, key)).receipt ?? undefined, 40_000)
const plant = (name: string, options?: Parameters<typeof plantAccount>[3]) =>
  plantAccount(sql, name, deps.clock.now(), options)

async function traces({ marks }: Pick<PlantedAccount, 'marks'>): Promise<string[]> {
  const found = await Promise.all(marks.map((mark) => tablesWith(sql, mark)))
  return [...new Set(found.flatMap((tables) => Object.keys(tables)))].sort()
}

test('domains go first, then machines and contents, and what is left knows nobody; the receipt proves it offline', async () => {
  const person = await cloud.person('carol')
  const wallet = `0x${digest('carol').toString('hex').slice(0, 40)}`
  await sql`insert into wallets values (${wallet}, ${person.account}, ${deps.clock.now()})`
  await sql`
    insert into operator_acts values ('opa_carol', 'alice', 'findAccount', ${person.account}, 'done', ${deps.clock.now()})`
  const { agent } = await deployLive(cloud, person, 'shop', 'console.log(1)')
  const domain = await domains.live(person, 'shop', 'shop.carol.dev')
  const files = join(deps.config.dataDir, 'blobs', person.account)
  expect(existsSync(files)).toBe(true)
  const plan = await planErasure(deps, person.caller)
  expect(plan).toMatchObject({
    agents: [{ name: 'shop', namespace: 'carol', status: 'running' }],
    domains: ['shop.carol.dev'],
    machines: 1,
    files: { count: 1, bytes: 14 },
    namespaces: { deleted: ['carol'], handedOver: [], left: [] },
    blockers: [],
  })
  const wish = newWish()
  await expect(ask(person.account, wish)).rejects.toMatchObject({ code: 'credits_left' })
  expect(await ask(person.account, { ...wish, forfeit: true })).toMatchObject({
    status: 'running',
    receipt: null,
  })
  const order: string[] = []
  const receipt = await eventually(async () => {
    const hostnames = await domains.hostnames()
    const machines = await cloud.instances()
    const isNamed = hostnames.some(({ hostname }) => hostname === 'shop.carol.dev')
    order.push(`${isNamed ? 'domain' : ''}${machines.length > 0 ? ' machine' : ''}`.trim())
    await domains.look(domain.id)
    return (await showErasure(deps, wish, key)).receipt ?? undefined
  }, 40_000)
  expect([...new Set(order)]).not.toContain('domain')
  expect(existsSync(files)).toBe(false)
  const marks = [person.account, person.namespaceId, agent.id, wallet]
  expect(await traces({ marks })).toEqual(['public.operator_acts', 'retained.records'])
  expect(await tablesWith(sql, person.account)).toEqual({ 'public.operator_acts': 1 })
  expect(receipt).toMatchObject({
    files: 1,
    erased: { 'pii.wallet': 1 },
    retained: { records: expect.any(Number) },
  })
  expect(BigInt(receipt.forfeitedMicros)).toBeGreaterThan(24_000_000n)
  expect(await verifyReceipt(receipt, [key.publicKey])).toEqual({ valid: true })
  const lied = { ...receipt, erased: { ...receipt.erased, 'pii.wallet': 0 } }
  expect(await verifyReceipt(lied, [key.publicKey])).toMatchObject({ fault: 'unsigned' })
  expect(await verifyReceipt(receipt, ['other'])).toMatchObject({ fault: 'untrusted' })
})

test('of an account that has something everywhere, only the books are left, and they add up', async () => {
  const sum = async () => {
    const [row] = await sql<{ sum: string }[]>`
      select ((select coalesce(sum(amount_micros), 0) from ledger_entries) + (select coalesce(sum((record ->> 'amount_micros')::bigint), 0)
        from retained.records where table_name = 'ledger_entries'))::text as sum`
    return row?.sum
  }
  const dora = await plant('dora', { creditsMicros: 3_000_000n })
  const eve = await plant('eve')
  expect(await sum()).toBe('0')
  const wish = { ...newWish(), forfeit: true }
  await ask(dora.id, wish)
  // Nobody can act for it from the first moment on.
  for (const table of ['sessions', 'api_keys', 'phones', 'wallets', 'idempotency_keys']) {
    expect(await sql`select 1 from ${sql(table)} where account_id = ${dora.id}`, table).toEqual([])
  }
  const receipt = await receiptOf(wish)
  expect(receipt.forfeitedMicros).toBe('3000000')
  expect(receipt.erased).toMatchObject({
    'pii.phone': 3,
    'pii.wallet': 3,
    session: 1,
    'api-key': 1,
    notice: 4,
  })
  expect(await traces(dora)).toEqual(['retained.records'])
  expect(await tablesWith(sql, dora.id)).toEqual({})
  expect(await sum()).toBe('0')
  const kept = await sql<{ table: string; until: Date }[]>`
    select distinct table_name as table, kept_until as until from retained.records
    where ledger_account_id = ${dora.ledgerAccount} order by 1`
  expect(kept.map(({ table }) => table)).toEqual([
    'card_mismatches',
    'card_refunds',
    'checkouts',
    'deposits',
    'ledger_balances',
    'ledger_entries',
    'ledger_hold_ends',
    'ledger_holds',
    'ledger_transactions',
    'meters',
    'payments',
  ])
  expect(kept[0]?.until.toISOString()).toBe(receipt.retained?.until)
  // Of what is kept, nothing that need not be.
  expect(await sql`select 1 from retained.records where record ? 'request_key'`).toEqual([])
  expect(await sql`select 1 from retained.records where record ? 'session_id'`).not.toEqual([])
  expect((await tablesWith(sql, eve.id))['public.accounts']).toBe(1)
})

test('whoever is killed at any write is followed by somebody who goes on, and the end is the same', async () => {
  const steps = [1, 2, 3, 4, 5, 6].flatMap((at): Step[] => [
    { at, when: 'before' },
    { at, when: 'after' },
  ])
  const receipts = await Promise.all(
    steps.map(async (step) => {
      const planted = await plant(`kill-${step.at}-${step.when}`)
      const wish = { ...newWish(), forfeit: true }
      interruptions.set(wish.id, { ...step, seen: 0, hit: false })
      await ask(planted.id, wish)
      const { erased, files, retained } = await receiptOf(wish)
      expect(await traces(planted), JSON.stringify(step)).toEqual(['retained.records'])
      return { hit: interruptions.get(wish.id)?.hit, erased, files, records: retained?.records }
    }),
  )
  expect(receipts.filter(({ hit }) => hit)).toHaveLength(steps.length)
  for (const { erased, records } of receipts) {
    // How many operations it took differs.
    const { operation: _, ...rest } = erased
    const { operation: __, ...first } = receipts[0]?.erased ?? {}
    expect(rest).toEqual(first)
    expect(records).toBe(receipts[0]?.records)
  }
})

test('asked again, or twice at once, it is the same erasure; another one is refused, and without the token there is none', async () => {
  const planted = await plant('fred')
  const wish = { ...newWish(), forfeit: true }
  const [one, two] = await Promise.all([ask(planted.id, wish), ask(planted.id, wish)])
  expect([one.id, two.id]).toEqual([wish.id, wish.id])
  await expect(ask(planted.id, { ...newWish(), forfeit: true })).rejects.toMatchObject({ code: 'conflict' })
  const receipt = await receiptOf(wish)
  expect(receipt.erased['pii.phone']).toBe(3)
  await expect(ask(planted.id, wish)).rejects.toMatchObject({ code: 'conflict' })
  expect((await showErasure(deps, wish, key)).receipt).toEqual(receipt)
  for (const other of [
    { id: wish.id, token: '0'.repeat(64) },
    { id: newWish().id, token: wish.token },
  ]) {
    await expect(showErasure(deps, other, key)).rejects.toMatchObject({ code: 'not_found' })
  }
})

test('money on its way and namespaces of others stand in the way, each with what to do; an empty one is handed over', async () => {
  const [gina, hugo] = [await plant('gina', { creditsMicros: 1000n }), await plant('hugo')]
  const refusal = async () =>
    (await planErasure(deps, callerOf(gina.id))).blockers.map(({ reason }) => reason)
  const asked = () => ask(gina.id, { ...newWish(), forfeit: true })
  expect(await refusal()).toEqual([])
  await sql`update payments set state = 'confirming' where ledger_account_id = ${gina.ledgerAccount}`
  await sql`update checkouts set status = 'open' where ledger_account_id = ${gina.ledgerAccount}`
  await sql`update card_refunds set state = 'intended' where payment_id = 'pi_gina'`
  await sql`select ledger_hold('hold-gina-open', ${gina.ledgerAccount}, ${1000n}, 'test', ${deps.clock.now()})`
  expect(await refusal()).toEqual(['payment_under_way', 'checkout_open', 'refund_under_way', 'credits_held'])
  await expect(asked()).rejects.toMatchObject({ code: 'erasure_blocked' })
  await sql`update payments set state = 'credited' where ledger_account_id = ${gina.ledgerAccount}`
  await sql`update checkouts set status = 'expired' where ledger_account_id = ${gina.ledgerAccount}`
  await sql`update card_refunds set state = 'refused' where payment_id = 'pi_gina'`
  await sql`select ledger_end_hold('hold-gina-open', 0, ${deps.clock.now()})`

  const join = (role: string) => sql`
    insert into members (namespace_id, account_id, role, created_at)
    values (${gina.namespaceId}, ${hugo.id}, ${role}, ${deps.clock.now()})
    on conflict (namespace_id, account_id) do update set role = excluded.role`
  for (const role of ['admin', 'owner']) {
    await join(role)
    expect(await refusal()).toEqual(['namespace_shared'])
    await expect(asked()).rejects.toMatchObject({ code: 'erasure_blocked' })
  }
  // Nothing has been closed by what was refused.
  expect(await sql`select 1 from sessions where account_id = ${gina.id}`).toHaveLength(1)
  await sql`update agents set status = 'deleted' where id = ${gina.agentId}`
  expect((await planErasure(deps, callerOf(gina.id))).namespaces).toEqual({
    deleted: [],
    handedOver: ['gina'],
    left: [],
  })
  const wish = { ...newWish(), forfeit: true }
  await ask(gina.id, wish)
  await receiptOf(wish)
  expect(await tablesWith(sql, gina.id)).toEqual({})
  expect(await sql`select kind from notices where account_id = ${hugo.id} and kind <> 'test'`).toEqual([
    { kind: 'namespace_handed_over' },
  ])
  expect(await sql`select owner_account_id as payer from namespaces where id = ${gina.namespaceId}`).toEqual([
    { payer: hugo.id },
  ])
})

test('what an unfinished request leaves after the account was closed is taken away as well', async () => {
  const planted = await plant('ida')
  const wish = { ...newWish(), forfeit: true }
  await ask(planted.id, wish)
  const late = newId('agt')
  await sql`
    insert into agents (id, namespace_id, name, label, size, status, created_at, used_at)
    values (${late}, ${planted.namespaceId}, 'late', 'late-ida', 'nano', 'stopped', ${deps.clock.now()}, ${deps.clock.now()})`
  await receiptOf(wish)
  expect(await traces({ marks: [...planted.marks, late] })).toEqual(['retained.records'])
})

test('a payment is credited once, and an address given once, also when their account is gone', async () => {
  const planted = await plant('jack')
  const wish = { ...newWish(), forfeit: true }
  await ask(planted.id, wish)
  await receiptOf(wish)
  // The same person is back, with the same wallet, and somebody looks at the same payment.
  const back = newId('acc')
  const now = deps.clock.now()
  await sql`insert into accounts values (${back}, ${now}, ${now})`
  await sql`insert into wallets values (${planted.wallet}, ${back}, ${now})`
  const chain: DepositChain = {
    name: 'local',
    chainId: planted.payment.chainId,
    rpcUrl: '',
    publicRpcUrl: '',
    address: '0x2',
    token: { symbol: 'USDC', address: '0x1', decimals: 6 },
    startBlock: undefined,
    windowBlocks: 1,
    pollSeconds: 1,
  }
  const fresh = { ...planted.payment, txHash: `0x${digest('fresh').toString('hex')}` }
  for (const { txHash, ordinal } of [planted.payment, fresh]) {
    const block = { number: 1n, hash: txHash }
    const amount = 2_000_000n
    const transfer = {
      txHash,
      ordinal,
      logIndex: 0,
      contract: '0x1',
      from: planted.wallet,
      to: '0x2',
      amount,
      block,
    }
    await deps.db.work((tx) => recordTransfers(tx, chain, [transfer], now))
    const settled = { ...planted.payment, txHash }
    await deps.db.work((tx) => settlePayment(tx, settled, { hash: txHash, certainty: 'final' }, now))
  }
  const credited =
    await sql`select tx_hash from payments where sender = ${planted.wallet} and state = 'credited'`
  expect(credited.map((one) => one.tx_hash)).toEqual([fresh.txHash])
  const other = await cloud.person('jack')
  const { body } = await other.call('POST', '/v1/agents', { name: 'agent' })
  expect(body.url).not.toContain(`//${planted.label}.`)
})

test('what is kept is destroyed at its end, and not before', async () => {
  const left = async () =>
    (await sql`select 1 from retained.records where ledger_account_id = ${kate.ledgerAccount}`).length
  const kate = await plant('kate')
  const wish = { ...newWish(), forfeit: true }
  await ask(kate.id, wish)
  const until = new Date((await receiptOf(wish)).retained?.until ?? '')
  const records = await left()
  expect(records).toBeGreaterThan(10)
  const destroyAt = async (now: Date) => {
    const work = rightsWork({ ...deps, clock: { now: () => now } })['destroy-retained']
    await work?.({} as Operation, { write: (run) => deps.db.work(run), settle: async () => {} })
  }
  await destroyAt(new Date(until.getTime() - 1))
  expect(await left()).toBe(records)
  expect((await showErasure(deps, wish, key)).status).toBe('done')
  await destroyAt(until)
  expect(await left()).toBe(0)
  // By which an alert tells when it is done no more.
  expect(await sql`select ran_at from purges where name = 'retainedRecords'`).toEqual([{ ran_at: until }])
  await expect(showErasure(deps, wish, key)).rejects.toMatchObject({ code: 'not_found' })
})

test('no role of the service reads what is kept, and none deletes an account but by an erasure', async () => {
  for (const role of ['agentctl_app', 'agentctl_jobs', 'agentctl_operator']) {
    await sql.begin(async (tx) => {
      await tx.unsafe(`set local role ${role}`)
      await expect(tx.savepoint((inner) => inner`select 1 from retained.records`)).rejects.toThrow(
        'permission denied',
      )
      await expect(
        tx.savepoint((inner) => inner`select erase_rows('acc_0', false, '', null)`),
      ).rejects.toThrow('permission denied')
    })
  }
  await expect(sql`select erase_account('era_0', '', null, ${deps.clock.now()})`).rejects.toThrow(
    'no erasure',
  )
})

import { expect, test } from 'vitest'
import { deployLive, eventually, type Person, testCloud } from '../agents/test-cloud.ts'
import { linkLoginMethod, logIn } from '../identity/accounts.ts'
import { listNotices } from '../identity/notices.ts'
import type { Proof } from '../identity/proof.ts'
import { secondsAfter } from '../platform/clock.ts'
import { newId } from '../platform/ids.ts'
import type { Pepper } from '../platform/keyring.ts'
import { startOperation } from '../platform/operations.ts'
import { actsOf, testOperators } from './test-operators.ts'

const cloud = await testCloud()
const pepper: Pepper = {
  version: 1,
  versions: [1],
  hmac: (text) => Buffer.from(text.padEnd(32, '.').slice(0, 32)),
}
const deps = { ...cloud.deps, transfers: [], cards: undefined, pepper, policyDayAt: () => '2026-11-26' }
const { alice } = testOperators(deps)
const { sql } = cloud
const HOUR = 3600
const DAY = 24 * HOUR

const decide = (account: string, state: string, reason = 'Port scans from its machines.') =>
  alice('POST', `/v1/operator/accounts/${account}/standing`, { state, reason })
const cap = (account: string, caps: object) =>
  alice('POST', `/v1/operator/accounts/${account}/caps`, {
    machinesMax: null,
    hourlyMaxMicros: null,
    monthlyMaxMicros: null,
    reason: 'Payments are in dispute.',
    ...caps,
  })
const told = async (account: string) => (await listNotices(deps, account, false)).map(({ kind }) => kind)
const statusOf = (person: Person, agent: string, status: string) =>
  eventually(async () => {
    const { body } = await person.call('GET', `/v1/agents/${agent}`)
    return body.status === status ? body : undefined
  })
const wallet = (digit: string): Proof & { method: 'wallet' } => ({
  method: 'wallet',
  address: `0x${digit.repeat(40)}`,
})
const phone = (text: string): Proof => ({
  method: 'phone',
  phone: { hmac: pepper.hmac(text), pepperVersion: 1, olderHmacs: [] },
})

async function signUp(proof: Proof): Promise<string> {
  const outcome = await logIn(deps, proof, { acceptTerms: true })
  if (outcome.status !== 'logged_in') throw new Error('It was not let in.')
  return outcome.accountId
}

test('a suspended account runs nothing, and what it ran comes back with its files however late', async () => {
  const worker = await cloud.workForEver()
  const bob = await cloud.person('suspected')
  const { agent, machine } = await deployLive(cloud, bob, 'hello', 'x')
  expect(await decide(bob.account, 'suspended')).toMatchObject({
    status: 200,
    body: { standing: { state: 'suspended', reason: 'Port scans from its machines.' } },
  })
  // Told again, it changes nothing, and nobody is told twice.
  expect((await decide(bob.account, 'suspended', 'Again.')).body.standing.reason).toContain('Port scans')
  await statusOf(bob, 'hello', 'suspended')
  await machine.forgets()
  await eventually(async () => ((await cloud.snapshots()).length === 1 ? true : undefined))
  expect(await told(bob.account)).toEqual(['account_suspended'])
  for (const [path, body] of [
    ['/v1/agents/hello/start', undefined],
    ['/v1/agents/hello/restart', undefined],
  ] as const) {
    expect(await bob.call('POST', path, body), path).toMatchObject({
      status: 403,
      body: { code: 'account_suspended', detail: expect.stringContaining('Port scans from its machines.') },
    })
  }
  expect(await bob.deploy('second', 'y')).toMatchObject({ status: 403, body: { code: 'account_suspended' } })
  // No grace period runs while its people can do nothing about it, nor one that began when the credits had ended.
  const tomorrow = secondsAfter(cloud.deps.clock.now(), DAY)
  await sql`update agents set snapshot_delete_at = ${tomorrow} where id = ${agent.id}`
  cloud.advance(40 * DAY)
  const lookedAfter = cloud.deps.clock.now().toISOString()
  await eventually(async () => {
    const looks = await sql`
      select 1 from operations where kind = 'watch-credits' and step_data ->> 'warnedAt' > ${lookedAfter}`
    return looks.length > 0 ? true : undefined
  })
  const [held] = await sql`select snapshot_delete_at as at from agents where id = ${agent.id}`
  expect(held).toEqual({ at: null })
  expect(await cloud.snapshots()).toHaveLength(1)
  await decide(bob.account, 'good', 'It was a mistake of ours.')
  await statusOf(bob, 'hello', 'starting')
  expect(await told(bob.account)).toEqual(expect.arrayContaining(['account_good', 'resumed']))
  await worker.stop()
})

test('whoever is banned is out at once, and makes no other account with the same phone or wallet', async () => {
  const [own, number] = [wallet('a'), phone('+821011112222')]
  const account = await signUp(own)
  const session = {
    accountId: account,
    via: 'session',
    credentialId: 'ses_1',
    scopes: 'all',
    namespaceId: null,
    authenticatedAt: cloud.deps.clock.now(),
  } as const
  await linkLoginMethod(deps, session, number)
  await sql`
    insert into api_keys (id, key_hash, prefix, account_id, name, scopes, created_at)
    values (${newId('key')}, ${Buffer.alloc(32, 7)}, 'actl_k_ABCDEFGH', ${account}, 'ci', '{}', ${cloud.deps.clock.now()})`
  await signUp(own)
  await decide(account, 'banned', 'Sent spam.')
  const [left] = await sql`
    select (select count(*)::int from sessions where account_id = ${account}) as sessions,
      (select count(*)::int from api_keys where account_id = ${account} and revoked_at is null) as keys`
  expect(left).toEqual({ sessions: 0, keys: 0 })
  for (const proof of [own, number]) {
    await expect(logIn(deps, proof, {})).rejects.toMatchObject({
      code: 'account_banned',
      message: 'This account is banned: Sent spam.',
    })
  }
  // Also when the account is gone, of which then only keyed hashes are left.
  const other = await signUp(wallet('b'))
  for (const table of ['wallets', 'phones'])
    await sql`delete from ${sql(table)} where account_id = ${account}`
  for (const proof of [own, number]) {
    await expect(logIn(deps, proof, { acceptTerms: true })).rejects.toMatchObject({ code: 'account_banned' })
    await expect(linkLoginMethod(deps, { ...session, accountId: other }, proof)).rejects.toMatchObject({
      code: 'account_banned',
    })
  }
  const kept = await sql<{ hash: Buffer }[]>`select proof_hash as hash from banned_proofs order by proof_hash`
  const hashes = [pepper.hmac('+821011112222'), pepper.hmac(`wallet:${own.address}`)]
  expect(kept.map(({ hash }) => hash)).toEqual(hashes)
})

test('a ban that is taken back lets its people in again', async () => {
  const own = wallet('c')
  const account = await signUp(own)
  await decide(account, 'banned')
  await expect(logIn(deps, own, {})).rejects.toMatchObject({ code: 'account_banned' })
  await decide(account, 'good', 'It was somebody else.')
  expect(await signUp(own)).toBe(account)
  await sql`delete from wallets where account_id = ${account}`
  expect(await signUp(own)).not.toBe(account)
})

test('caps refuse what would be more, in words, and stop what spends more in a month', async () => {
  const bob = await cloud.person('capped')
  expect(await cap(bob.account, { machinesMax: 1, hourlyMaxMicros: '30000' })).toMatchObject({
    body: { standing: { state: 'good', machinesMax: 1, hourlyMaxMicros: '30000', monthlyMaxMicros: null } },
  })
  const [notice] = await listNotices(deps, bob.account, true)
  expect(notice?.message).toContain(
    'at most 1 machines at a time and $0.03 an hour: Payments are in dispute.',
  )
  expect(await bob.deploy('big', 'x', { size: 'medium' })).toMatchObject({
    status: 402,
    body: {
      code: 'spend_limit',
      detail: 'All agents together would cost $0.04 an hour; we allow this account $0.03.',
    },
  })
  await cap(bob.account, { machinesMax: 0 })
  expect(await bob.deploy('small', 'x')).toMatchObject({
    status: 409,
    body: { code: 'agent_limit', detail: 'We allow this account 0 machines at a time.' },
  })
  await cap(bob.account, { monthlyMaxMicros: '0' })
  expect(await bob.deploy('small', 'x')).toMatchObject({ status: 402, body: { code: 'spend_limit' } })
  // What runs already is stopped once the month has cost so much.
  await cap(bob.account, { monthlyMaxMicros: '15000' })
  const worker = await cloud.workForEver()
  const { machine } = await deployLive(cloud, bob, 'small', 'x')
  cloud.advance(2 * HOUR)
  await statusOf(bob, 'small', 'stopped')
  await machine.forgets()
  const [why] = (await listNotices(deps, bob.account, true)).filter(({ kind }) => kind === 'cap_monthly')
  expect(why?.message).toMatch(/^\$0\.0\d+ were spent this month, as much as we allow your account/)
  await cap(bob.account, {})
  expect(await bob.call('POST', '/v1/agents/small/start')).toMatchObject({ status: 202 })
  await worker.stop()
})

test('charges are given back once for each id, and the account is told', async () => {
  const bob = await cloud.person('overcharged', 1_000_000n)
  const give = (amountMicros: string, id = 'gbk_00000000000000000001') =>
    alice('POST', `/v1/operator/accounts/${bob.account}/credits`, {
      id,
      amountMicros,
      reason: 'Two hours without a network.',
    })
  for (let time = 0; time < 2; time++)
    expect(await give('5000000')).toMatchObject({ status: 200, body: { creditsMicros: '6000000' } })
  expect(await give('1')).toMatchObject({ status: 422, body: { code: 'idempotency_mismatch' } })
  expect((await give('1000000001', 'gbk_00000000000000000002')).status).toBe(400)
  expect(await told(bob.account)).toEqual(['credited'])
})

test('work that waits for its next try is tried now', async () => {
  const id = await startOperation(cloud.deps.db.jobs, {
    kind: 'nothing',
    subject: 'stuck',
    namespaceId: null,
    afterSeconds: 3000,
    now: cloud.deps.clock.now(),
  })
  const retry = (operation: string) =>
    alice('POST', `/v1/operator/operations/${operation}/retry`, { reason: 'It is back.' })
  expect(await retry(id ?? '')).toMatchObject({ status: 200, body: { kind: 'nothing', subject: 'stuck' } })
  const [row] = await sql`select run_at <= clock_timestamp() as due from operations where id = ${id ?? ''}`
  expect(row).toEqual({ due: true })
  expect(await retry('op_unknown')).toMatchObject({ status: 404 })
})

test('every act has its reason in the log; one that would name a person is refused', async () => {
  const account = (await cloud.person('logged')).account
  for (const reason of ['', 'He is bob@example.com.', 'Call +82 10-1111-2222.', 'a\u001b[2J']) {
    expect((await decide(account, 'suspended', reason)).status, reason).toBe(400)
  }
  expect((await decide(newId('acc'), 'suspended')).status).toBe(404)
  await decide(account, 'suspended', 'Mining.')
  const { body } = await alice('GET', '/v1/operator/acts')
  expect(body.acts[0]).toMatchObject({
    operator: 'alice',
    act: 'setStanding',
    subject: `${account}>suspended`,
    outcome: 'done',
    reason: 'Mining.',
  })
  expect(await actsOf(deps)).toContainEqual(expect.stringMatching(/setStanding \S+>suspended not_found$/))
})

import { expect, test } from 'vitest'
import {
  deployLive,
  eventually,
  file,
  type Person,
  plainConfig,
  type TestCloud,
  testCloud,
} from './test-cloud.ts'

const HOUR = 3600
const DAY = 24 * HOUR

const show = async (person: Person, agent = 'hello') => (await person.call('GET', `/v1/agents/${agent}`)).body
const notices = async (cloud: TestCloud, person: Person): Promise<string[]> => {
  const rows = await cloud.sql<{ kind: string }[]>`
    select kind from notices where account_id = ${person.account} order by created_at, id`
  return rows.map(({ kind }) => kind)
}
const told = (cloud: TestCloud, person: Person, kind: string) =>
  eventually(async () => ((await notices(cloud, person)).includes(kind) ? true : undefined))
const becomes = (person: Person, status: string, agent = 'hello') =>
  eventually(async () => {
    const shown = await show(person, agent)
    return shown.status === status ? shown : undefined
  })

/** Until nothing is being done about an agent, and it has no machine. */
const atRest = (cloud: TestCloud, agentId: string) =>
  eventually(async () => {
    const busy = await cloud.sql`
      select 1 from operations where subject = ${agentId} and state = 'pending'
      union all select 1 from machines where agent_id = ${agentId} and state <> 'deleted'`
    return busy.length === 0 ? true : undefined
  })

async function answersHealthy(cloud: TestCloud, person: Person, agentId: string, name = 'hello') {
  const machine = await eventually(async () => {
    const [row] = await cloud.sql<{ id: string }[]>`
      select id from machines where agent_id = ${agentId} and state = 'created'`
    return row && cloud.machineOf(agentId)
  })
  await machine.hello()
  const [row] = await cloud.sql<{ id: string }[]>`
    select id from releases where agent_id = ${agentId} and status in ('pending', 'starting')`
  await machine.learns(row?.id ?? '')
  await machine.report(row?.id ?? '', 'healthy')
  return becomes(person, 'running', name)
}

test('credits run down: warned, suspended with its files, and brought back by a deposit', async () => {
  const cloud = await testCloud()
  await cloud.workForEver()
  // Four days of a small machine.
  const alice = await cloud.person('thrifty', 1_920_000n)
  const { agent, machine } = await deployLive(cloud, alice, 'hello', 'x')
  const running = await show(alice)
  const [row] = await cloud.sql<{ from: Date }[]>`select from_at as from from meters`
  const endsAt = (row?.from.getTime() ?? 0) + 96 * HOUR * 1000
  expect(running.suspendsAt).toBe(new Date(endsAt).toISOString())
  expect(running.snapshotDeletedAt).toBe(new Date(endsAt + 14 * DAY * 1000).toISOString())
  expect(await notices(cloud, alice)).toEqual([])

  cloud.advance(25 * HOUR)
  await told(cloud, alice, 'runway_72h')
  cloud.advance(48 * HOUR)
  await told(cloud, alice, 'runway_24h')
  cloud.advance(22 * HOUR + 1800)
  await told(cloud, alice, 'runway_1h')
  expect((await show(alice)).status).toBe('running')
  cloud.advance(1800)
  const suspended = await becomes(alice, 'suspended')
  expect(suspended.suspendsAt).toBeNull()
  expect(suspended.snapshotDeletedAt).toBe(running.snapshotDeletedAt)
  expect(await cloud.rate(agent.id)).toBe(0)
  await machine.forgets()
  await atRest(cloud, agent.id)
  expect(await cloud.instances()).toEqual([])
  expect(await cloud.snapshots()).toHaveLength(1)
  const [charged] = await cloud.sql<{ micros: bigint }[]>`
    select -sum(amount_micros)::bigint as micros from ledger_entries where balance_micros is not null and amount_micros < 0`
  expect(charged?.micros).toBe(1_920_000n)
  expect((await alice.call('POST', '/v1/agents/hello/start')).body).toMatchObject({
    code: 'insufficient_credits',
    fix: 'Top up: agentctl billing deposit 1',
  })

  cloud.advance(13 * DAY)
  await cloud.deposit(alice, 5_000_000n)
  await becomes(alice, 'starting')
  await answersHealthy(cloud, alice, agent.id)
  expect(await cloud.rate(agent.id)).toBe(20_000)
  await eventually(async () => ((await cloud.snapshots()).length === 0 ? true : undefined))
  expect(await notices(cloud, alice)).toEqual([
    'runway_72h',
    'runway_24h',
    'runway_1h',
    'suspended',
    'resumed',
  ])
}, 60_000)

test('after the grace period the files are gone, and a deposit starts it from its last release', async () => {
  const cloud = await testCloud()
  await cloud.workForEver()
  const alice = await cloud.person('late', 100_000n)
  const { agent, machine, release } = await deployLive(cloud, alice, 'hello', 'x')
  cloud.advance(6 * HOUR)
  await becomes(alice, 'suspended')
  await machine.forgets()
  await atRest(cloud, agent.id)
  cloud.advance(14 * DAY + 60)
  await told(cloud, alice, 'snapshot_deleted')
  await eventually(async () => ((await cloud.snapshots()).length === 0 ? true : undefined))
  expect(await show(alice)).toMatchObject({ status: 'suspended', release: { id: release.id } })

  await cloud.deposit(alice, 5_000_000n)
  const back = await answersHealthy(cloud, alice, agent.id)
  expect(back).toMatchObject({ status: 'running', release: { number: 2 } })
  const [made] = await cloud.sql`select snapshot_id as snapshot from machines where state = 'ready'`
  expect(made?.snapshot).toBeNull()
}, 60_000)

test('after an outage longer than the grace period an agent is charged to the end of its credits, and its files are kept for a day', async () => {
  const cloud = await testCloud()
  const alice = await cloud.person('returned', 100_000n)
  const worker = await cloud.workForEver()
  const { agent, machine } = await deployLive(cloud, alice, 'hello', 'x')
  await worker.stop()
  cloud.advance(40 * DAY)
  await cloud.workForEver()
  const { snapshotDeletedAt } = await becomes(alice, 'suspended')
  const left = Date.parse(snapshotDeletedAt) - cloud.deps.clock.now().getTime()
  expect(left).toBeGreaterThan(23 * HOUR * 1000)
  expect(left).toBeLessThanOrEqual(DAY * 1000)
  const [usage] = await cloud.sql<{ seconds: number }[]>`
    select sum(extract(epoch from to_at - from_at))::int as seconds from meters where subject = ${agent.id}`
  expect(usage?.seconds).toBe(5 * HOUR)
  // Of an end that has passed nobody is warned any more.
  expect(await notices(cloud, alice)).toEqual(['suspended'])
  await machine.forgets()
  await atRest(cloud, agent.id)
  expect(await cloud.snapshots()).toHaveLength(1)
}, 60_000)

test('a small deposit brings back the most recently used, as far as it goes', async () => {
  const cloud = await testCloud()
  await cloud.workForEver()
  const alice = await cloud.person('several', 200_000n)
  const first = await deployLive(cloud, alice, 'first', 'x')
  cloud.advance(60)
  const second = await deployLive(cloud, alice, 'second', 'x')
  cloud.advance(12 * HOUR)
  for (const { agent, machine } of [first, second]) {
    await becomes(alice, 'suspended', agent.name)
    await machine.forgets()
    await atRest(cloud, agent.id)
  }
  await cloud.deposit(alice, 30_000n)
  await becomes(alice, 'starting', 'second')
  await answersHealthy(cloud, alice, second.agent.id, 'second')
  expect((await show(alice, 'first')).status).toBe('suspended')
}, 60_000)

test('a stopped agent without credits is suspended, and a deposit stops it again instead of starting it', async () => {
  const cloud = await testCloud()
  await cloud.workForEver()
  const alice = await cloud.person('resting', 50_000n)
  const { agent, machine } = await deployLive(cloud, alice, 'hello', 'x')
  await alice.call('POST', '/v1/agents/hello/stop')
  await machine.forgets()
  await atRest(cloud, agent.id)
  expect(await cloud.rate(agent.id)).toBe(1_000)
  cloud.advance(60 * HOUR)
  await becomes(alice, 'suspended')
  expect(await cloud.rate(agent.id)).toBe(0)
  await cloud.deposit(alice, 1_000_000n)
  await becomes(alice, 'stopped')
  expect(await cloud.rate(agent.id)).toBe(1_000)
  expect(await cloud.snapshots()).toHaveLength(1)
}, 60_000)

test('what comes back and fails is stopped, for its people to look at', async () => {
  const cloud = await testCloud()
  await cloud.workForEver()
  const alice = await cloud.person('broken', 100_000n)
  const { agent, machine } = await deployLive(cloud, alice, 'hello', 'x')
  cloud.advance(6 * HOUR)
  await becomes(alice, 'suspended')
  await machine.forgets()
  await atRest(cloud, agent.id)
  await cloud.deposit(alice, 5_000_000n)
  await becomes(alice, 'starting')
  const next = await cloud.machineOf(agent.id, machine)
  await next.hello()
  const [row] = await cloud.sql<{ id: string }[]>`select id from releases where status = 'pending'`
  await next.learns(row?.id ?? '')
  await next.report(row?.id ?? '', 'failed', { reason: 'exited', message: 'It exited.' })
  await becomes(alice, 'stopped')
  expect(await cloud.snapshots()).toHaveLength(1)
}, 60_000)

test('a deploy that leaves less than an hour is refused, and says what is missing', async () => {
  const cloud = await testCloud()
  const alice = await cloud.person('poor', 20_000n)
  const { status, body } = await alice.deploy('hello', 'x')
  expect({ status, code: body.code, detail: body.detail, fix: body.fix }).toMatchInlineSnapshot(`
    {
      "code": "insufficient_credits",
      "detail": "To run hello needs $0.023334: an hour of everything that runs or is about to ($0.02 an hour), and what suspending takes. There are $0.02; $0.003334 are missing.",
      "fix": "Top up: agentctl billing deposit 1",
      "status": 402,
    }
  `)
  expect(await cloud.sql`select 1 from releases`).toHaveLength(0)
})

test('caps of an agent and limits of an account are kept by the server', async () => {
  const cloud = await testCloud()
  await cloud.workForEver()
  const alice = await cloud.person('careful')
  await alice.upload('x')
  const deploy = (caps: object, key: string) =>
    alice.call(
      'POST',
      '/v1/deploys',
      { name: 'hello', config: plainConfig, files: [file('index.js', 'x')], ...caps },
      { 'idempotency-key': key },
    )
  expect((await deploy({ maxHourlyMicros: '19999' }, 'a')).body.code).toBe('spend_limit')
  const begun = await deploy({ maxTotalMicros: '40000' }, 'b')
  expect(begun.status).toBe(202)
  await answersHealthy(cloud, alice, begun.body.agent.id)
  cloud.advance(2 * HOUR + 60)
  await becomes(alice, 'stopped')
  await told(cloud, alice, 'agent_limit_reached')
  expect((await alice.call('POST', '/v1/agents/hello/start')).body.code).toBe('spend_limit')

  await cloud.sql`
    insert into spend_limits (account_id, soft_monthly_micros, hard_hourly_micros) values (${alice.account}, 1000, 30000)`
  cloud.advance(60)
  await told(cloud, alice, 'soft_monthly')
  const other = await alice.deploy('other', 'x', { size: 'medium' })
  expect(other.body.code).toBe('spend_limit')
}, 60_000)

test('what is about to burn counts: deploys at once do not pass a limit together that each would keep alone', async () => {
  const cloud = await testCloud()
  const names = ['one', 'two', 'three', 'four']
  const limited = await cloud.person('limited')
  await cloud.sql`insert into spend_limits (account_id, hard_hourly_micros) values (${limited.account}, 40000)`
  const poor = await cloud.person('thin', 50_000n)
  for (const [person, refusal] of [
    [limited, 'spend_limit'],
    [poor, 'insufficient_credits'],
  ] as const) {
    const answers = await Promise.all(names.map((name) => person.deploy(name, 'x')))
    expect(answers.map(({ body }) => body.code ?? 'begun').sort()).toEqual(
      ['begun', 'begun', refusal, refusal].sort(),
    )
    expect((await person.deploy('five', 'x')).body.code).toBe(refusal)
  }
})

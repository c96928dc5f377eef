import { expect, test } from 'vitest'
import { newId } from '../platform/ids.ts'
import type { Work } from '../platform/operations.ts'
import { MACHINES_PER_ACCOUNT, MACHINES_PER_NEW_ACCOUNT, NEW_ACCOUNT_DAYS } from './limits.ts'
import { agentWork } from './operations.ts'
import { ORPHAN_SECONDS } from './sweep.ts'
import {
  deployLive,
  due,
  ended,
  eventually,
  file,
  plainConfig,
  type TestCloud,
  testCloud,
} from './test-cloud.ts'

test('a machine whose order was answered into nowhere is adopted, not ordered twice', async () => {
  for (const kind of ['drop-after-effect', 'error-after-effect']) {
    const cloud = await testCloud()
    await cloud.fault({ kind, method: 'POST', path: '/v2/instances' })
    await cloud.work()
    const alice = await cloud.person('alice')
    const { release, machine } = await deployLive(cloud, alice, 'hello', 'x')
    expect(release.status).toBe('live')
    const instances = await cloud.instances()
    expect(instances).toHaveLength(1)
    const [row] = await cloud.sql`select label, provider_id as id from machines where id = ${machine.id}`
    expect(row).toEqual({ id: instances[0]?.id, label: instances[0]?.label })
  }
})

test('an order that was refused by a throttle or a broken line is repeated', async () => {
  const cloud = await testCloud()
  await cloud.fault({ kind: 'drop-before', method: 'POST', path: '/v2/instances' })
  await cloud.work()
  const alice = await cloud.person('alice')
  const { body } = await alice.deploy('hello', 'x')
  // It is not known whether the order arrived: it is looked for three times before it is repeated.
  const instances = await eventually(async () => {
    await due(cloud, body.agent.id)
    const all = await cloud.instances()
    return all.length > 0 ? all : undefined
  })
  expect(instances).toHaveLength(1)
})

test('an order that the provider refuses for good fails the release and says why', async () => {
  const cloud = await testCloud()
  await fetch(`${cloud.vultr.url}/_local/faults`, {
    method: 'POST',
    body: JSON.stringify({
      kind: 'status',
      method: 'POST',
      path: '/v2/instances',
      status: 400,
      body: { error: 'Invalid hostname.', status: 400 },
    }),
  })
  await cloud.work()
  const alice = await cloud.person('alice')
  const { body } = await alice.deploy('hello', 'x')
  expect(await ended(alice, body.release.id)).toMatchObject({
    status: 'failed',
    failure: { reason: 'machine_refused', message: expect.stringContaining('Invalid hostname') },
  })
  expect((await alice.deploy('hello', 'x')).status).toBe(202)
})

test('a machine that Seoul has not at the moment fails the release in words of its own, and the next deploy may do', async () => {
  const cloud = await testCloud()
  const availability = { available_plans: ['vc2-1c-1gb'] }
  await fetch(`${cloud.vultr.url}/_local/faults`, {
    method: 'POST',
    body: JSON.stringify({
      kind: 'status',
      status: 200,
      path: '/v2/regions/icn/availability',
      body: availability,
    }),
  })
  await cloud.work()
  const alice = await cloud.person('alice')
  const { body } = await alice.deploy('hello', 'x')
  expect((await ended(alice, body.release.id)).failure).toEqual({
    reason: 'machines_sold_out',
    message: 'There is no small machine to be had in Seoul at the moment.',
    logTail: [],
  })
  expect(await cloud.instances()).toEqual([])
  const smaller = await alice.deploy('hello', 'x', { size: 'nano' })
  expect(await cloud.machineOf(smaller.body.agent.id)).toBeDefined()
})

test('a provider that gives no machine is told to whoever waits, and after ten minutes as what it is', async () => {
  const cloud = await testCloud()
  await cloud.fault({ kind: 'status', status: 401, path: '/v2/', times: 10_000 })
  await cloud.work()
  const alice = await cloud.person('alice')
  const { body } = await alice.deploy('hello', 'x')
  await eventually(async () => {
    const { body: release } = await alice.call('GET', `/v1/releases/${body.release.id}`)
    return release.step === 'The provider of machines is in trouble; it is asked again' ? true : undefined
  })
  cloud.advance(601)
  await due(cloud, body.agent.id)
  expect((await ended(alice, body.release.id)).failure).toEqual({
    reason: 'provider_unavailable',
    message: 'The provider gave no machine within 10 minutes.',
    logTail: [],
  })
})

test('a worker that slept past its lease orders nothing that stays', async () => {
  const cloud = await testCloud()
  const reached = Promise.withResolvers<void>()
  const asleep = Promise.withResolvers<void>()
  let sleeping = false
  const slow = {
    ...cloud.deps,
    machines: {
      ...cloud.deps.machines,
      async create(order: Parameters<typeof cloud.deps.machines.create>[0]) {
        // Only in its first order; what it takes on later it does like any other.
        if (!sleeping) {
          sleeping = true
          reached.resolve()
          await asleep.promise
        }
        return cloud.deps.machines.create(order)
      },
    },
  }
  const alice = await cloud.person('alice')
  const sleeper = await cloud.work({ release: agentWork(slow).release as Work }, 60)
  const { body } = await alice.deploy('hello', 'x')
  await reached.promise
  await cloud.sql`update operations set lease_until = clock_timestamp(), run_at = clock_timestamp() where state = 'pending'`
  await cloud.work()
  // The second worker looks a few times for the order of the first before it gives its own.
  const machine = await eventually(async () => {
    await due(cloud, body.agent.id)
    const rows = await cloud.sql`select 1 from machines where state = 'created'`
    return rows.length > 0 ? cloud.machineOf(body.agent.id) : undefined
  })
  asleep.resolve()
  await sleeper.stop()
  expect(await cloud.instances()).toHaveLength(2)
  await machine.hello()
  await machine.learns(body.release.id)
  await machine.report(body.release.id, 'healthy')
  expect(await ended(alice, body.release.id)).toMatchObject({ status: 'live' })

  const { sweep } = agentWork(cloud.deps)
  await cloud.sql`insert into operations (id, kind, subject, created_at) values ('op_sweep', 'sweep', 'sweep:machines', now())`
  await cloud.work({ sweep: sweep as Work })
  const sightings = () => cloud.sql`select provider_id from orphan_sightings`
  await eventually(async () => ((await sightings()).length === 1 ? true : undefined))
  cloud.advance(ORPHAN_SECONDS - 1)
  await sweepAgain(cloud)
  expect(await cloud.instances()).toHaveLength(2)
  cloud.advance(2)
  await sweepAgain(cloud)
  const [left] = await cloud.instances()
  const [row] = await cloud.sql`select provider_id as id from machines where state = 'ready'`
  expect(await cloud.instances()).toHaveLength(1)
  expect(left?.id).toBe(row?.id)
  expect(await sightings()).toHaveLength(0)
})

async function sweepAgain(cloud: TestCloud): Promise<void> {
  const [before] = await cloud.sql<
    { fencing: bigint }[]
  >`select fencing from operations where id = 'op_sweep'`
  await due(cloud, 'sweep:machines')
  await eventually(async () => {
    const [row] = await cloud.sql<{ fencing: bigint; idle: boolean }[]>`
      select fencing, lease_until is null as idle from operations where id = 'op_sweep'`
    return row && before && row.fencing > before.fencing && row.idle ? true : undefined
  })
}

/** As somebody with the key of the account may, beside our own servers. */
async function order(cloud: TestCloud, label: string, tags: string[], region = 'icn'): Promise<void> {
  const answer = await fetch(`${cloud.vultr.url}/v2/instances`, {
    method: 'POST',
    headers: { authorization: `Bearer ${cloud.vultr.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      region,
      plan: 'vc2-1c-1gb',
      os_id: 2136,
      label,
      tags,
      user_data: 'IyEvYmluL3NoCg==',
    }),
  })
  expect(answer.ok).toBe(true)
}

/** An agent whose machine is ordered under a label, and may be there already. */
async function orderUnderWay(cloud: TestCloud, label: string): Promise<void> {
  const alice = await cloud.person('alice')
  const { body } = await alice.deploy('hello', 'x')
  await cloud.sql`
    insert into machines (id, agent_id, namespace_id, generation, label, operation_id, plan, state, created_at)
    values ('mch_intended', ${body.agent.id}, ${alice.namespaceId}, 1, ${label}, 'op_x', 'p', 'intended', now())`
}

async function beginSweeping(cloud: TestCloud): Promise<void> {
  await cloud.sql`insert into operations (id, kind, subject, created_at) values ('op_sweep', 'sweep', 'sweep:machines', now())`
  await cloud.work({ sweep: agentWork(cloud.deps).sweep as Work })
  await sweepAgain(cloud)
}

test('the sweeper leaves machines of other environments and orders under way alone', async () => {
  const cloud = await testCloud()
  await order(cloud, 'other', ['agentctl', 'env:elsewhere'])
  await order(cloud, 'unrelated', [])
  await orderUnderWay(cloud, 'under-way')
  await order(cloud, 'under-way', ['agentctl', 'env:test'])
  await beginSweeping(cloud)
  expect(await cloud.sql`select 1 from orphan_sightings`).toHaveLength(0)
})

test('a machine in another region is told of as long as it is there, and stays while somebody has it', async () => {
  const cloud = await testCloud()
  const elsewhere = async () => (await cloud.sql`select machines_elsewhere()::int as count`)[0]?.count
  await orderUnderWay(cloud, 'under-way')
  await order(cloud, 'under-way', ['agentctl', 'env:test'], 'nrt')
  await beginSweeping(cloud)
  cloud.advance(ORPHAN_SECONDS + 1)
  await sweepAgain(cloud)
  expect(await elsewhere()).toBe(1)
  expect(await cloud.instances()).toHaveLength(1)
  // Once nobody has it, it goes like any other.
  await cloud.sql`delete from machines`
  await sweepAgain(cloud)
  cloud.advance(ORPHAN_SECONDS + 1)
  await sweepAgain(cloud)
  expect(await cloud.instances()).toHaveLength(0)
  await sweepAgain(cloud)
  expect(await elsewhere()).toBe(0)
})

test('a bootstrap token is used once, but a greeting whose answer was lost may be repeated', async () => {
  const cloud = await testCloud()
  await cloud.work()
  const alice = await cloud.person('alice')
  const { body } = await alice.deploy('hello', 'x')
  const machine = await cloud.machineOf(body.agent.id)
  const lost = await machine.hello()
  const greeted = await machine.hello()
  expect(greeted.status).toBe(200)
  expect(greeted.body.machineToken).not.toBe(lost.body.machineToken)
  await machine.learns(body.release.id)
  expect((await machine.hello()).status).toBe(401)
  machine.token = lost.body.machineToken
  expect((await machine.post('/v1/runner/logs', { lines: [] })).status).toBe(401)
  machine.token = greeted.body.machineToken
  expect((await machine.post('/v1/runner/logs', { lines: [] })).status).toBe(204)
})

test('a machine that is gone at the provider is replaced by the next deploy', async () => {
  const cloud = await testCloud()
  await cloud.work()
  const alice = await cloud.person('alice')
  const { machine, agent } = await deployLive(cloud, alice, 'hello', 'x')
  const [instance] = await cloud.instances()
  await cloud.deps.machines.delete(instance?.id ?? '')
  cloud.advance(200)
  const { body } = await alice.deploy('hello', 'y')
  const next = await cloud.machineOf(agent.id, machine)
  await next.hello()
  await next.learns(body.release.id)
  await next.report(body.release.id, 'healthy')
  expect(await ended(alice, body.release.id)).toMatchObject({ status: 'live' })
  expect(await cloud.sql`select kind from notices where account_id = ${alice.account}`).toEqual([
    { kind: 'files_lost' },
  ])
})

test('an account has a limited number of machines', async () => {
  const cloud = await testCloud()
  const alice = await cloud.person('alice')
  await alice.upload('x')
  const request = { config: plainConfig, files: [file('index.js', 'x')] }
  let made = 0
  const deployUntilRefused = async () => {
    for (;;) {
      const named = { ...request, name: `agent-${made}` }
      const answer = await alice.call('POST', '/v1/deploys', named, { 'idempotency-key': newId('req') })
      if (answer.status !== 202 || made > MACHINES_PER_ACCOUNT) return answer
      made++
    }
  }
  expect(await deployUntilRefused()).toMatchObject({
    status: 409,
    body: {
      code: 'agent_limit',
      detail: 'In its first 7 days an account has at most 5 machines at a time.',
      fix: expect.stringMatching(/^From \d{4}-\d\d-\d\d on it may have 10\./),
    },
  })
  expect(made).toBe(MACHINES_PER_NEW_ACCOUNT)
  cloud.advance(NEW_ACCOUNT_DAYS * 86_400)
  expect(await deployUntilRefused()).toMatchObject({ status: 409, body: { code: 'agent_limit' } })
  expect(made).toBe(MACHINES_PER_ACCOUNT)
})

test('programs are served by their hash', async () => {
  const cloud = await testCloud()
  const alice = await cloud.person('alice')
  await cloud.work()
  const { machine } = await deployLive(cloud, alice, 'hello', 'x')
  machine.revision = -1
  const { runner } = await machine.poll()
  const found = await cloud.app.request(`/v1/runner/assets/${runner.sha256}`)
  expect(await found.text()).toBe('not really runner.cjs')
  expect((await cloud.app.request(`/v1/runner/assets/${'0'.repeat(64)}`)).status).toBe(404)
})

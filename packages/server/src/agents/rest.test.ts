import { expect, test } from 'vitest'
import {
  deployLive,
  ended,
  eventually,
  file,
  type Person,
  plainConfig,
  type TestCloud,
  testCloud,
} from './test-cloud.ts'

const cloud = await testCloud()
await cloud.work()

const show = async (person: Person, agent = 'hello') => (await person.call('GET', `/v1/agents/${agent}`)).body
const machinesOf = (agentId: string) =>
  cloud.sql<{ state: string; trusted: boolean }[]>`
    select state, token_hash is not null or router_ciphertext is not null as trusted
    from machines where agent_id = ${agentId} order by generation`

/** Until the machine is gone and the operation has ended. */
function atRest(from: TestCloud, agentId: string): Promise<true> {
  return eventually(async () => {
    const [busy] = await from.sql`
      select 1 from operations where subject = ${agentId} and state = 'pending'
      union all select 1 from machines where agent_id = ${agentId} and state <> 'deleted'`
    return busy ? undefined : true
  })
}

test('an agent is charged from its first healthy moment, by its size, until it is deleted', async () => {
  const alice = await cloud.person('metered')
  const { body } = await alice.deploy('hello', 'x')
  expect(await cloud.rate(body.agent.id)).toBe(0)
  const machine = await cloud.machineOf(body.agent.id)
  await machine.hello()
  await machine.learns(body.release.id)
  await machine.report(body.release.id, 'healthy')
  expect(await cloud.rate(body.agent.id)).toBe(20_000)
  await machine.report(body.release.id, 'crashed')
  expect((await show(alice)).status).toBe('failing')
  expect(await cloud.rate(body.agent.id)).toBe(20_000)

  const larger = await alice.deploy('hello', 'x', { size: 'medium' })
  await machine.forgets()
  const next = await cloud.machineOf(body.agent.id, machine)
  await next.hello()
  await next.learns(larger.body.release.id)
  expect(await cloud.rate(body.agent.id)).toBe(1_000)
  await next.report(larger.body.release.id, 'healthy')
  expect(await cloud.rate(body.agent.id)).toBe(40_000)
  await alice.call('DELETE', '/v1/agents/hello')
  expect(await cloud.rate(body.agent.id)).toBe(0)
})

test('stopping keeps the disk and gives the machine back; starting makes one of that disk', async () => {
  const alice = await cloud.person('stopping')
  const { agent, machine, release } = await deployLive(cloud, alice, 'hello', 'x')
  const stopped = await alice.call('POST', '/v1/agents/hello/stop')
  expect(stopped).toMatchObject({ status: 202, body: { status: 'stopped', release: { id: release.id } } })
  expect(await cloud.rate(agent.id)).toBe(1_000)
  await machine.forgets()
  expect(await machinesOf(agent.id)).toEqual([{ state: 'resting', trusted: false }])
  expect((await machine.post('/v1/runner/poll', {})).status).toBe(401)
  await atRest(cloud, agent.id)
  expect(await cloud.instances()).toEqual([])
  expect(await cloud.snapshots()).toHaveLength(1)
  expect((await alice.call('POST', '/v1/agents/hello/stop')).status).toBe(202)

  const started = await alice.call('POST', '/v1/agents/hello/start')
  expect(started).toMatchObject({ status: 202, body: { number: 2, repeats: release.id } })
  expect((await show(alice)).status).toBe('starting')
  const next = await cloud.machineOf(agent.id, machine)
  expect(await latest(agent.id)).toMatchObject({ restored: true })
  await next.hello()
  await next.learns(started.body.id)
  expect(await cloud.rate(agent.id)).toBe(1_000)
  await next.report(started.body.id, 'healthy')
  expect(await show(alice)).toMatchObject({ status: 'running', release: { number: 2 } })
  expect(await cloud.rate(agent.id)).toBe(20_000)
  await eventually(async () => ((await cloud.snapshots()).length === 0 ? true : undefined))
  await alice.call('DELETE', '/v1/agents/hello')
})

test('a restored machine has a fresh credential, and nothing of the generation before is believed', async () => {
  const alice = await cloud.person('restored')
  const { agent, machine } = await deployLive(cloud, alice, 'hello', 'x')
  const before = machine.token
  await alice.call('POST', '/v1/agents/hello/stop')
  await machine.forgets()
  await atRest(cloud, agent.id)
  const started = await alice.call('POST', '/v1/agents/hello/start')
  const next = await cloud.machineOf(agent.id, machine)
  const refused = async (): Promise<number[]> => {
    const asked = [
      machine.post('/v1/runner/poll', {
        protocol: 1,
        runnerSha256: '0'.repeat(64),
        revision: -1,
        port: 7070,
      }),
      machine.report(started.body.id, 'healthy'),
      machine.log(cloud.deps.clock.now(), 'from the past'),
      machine.post('/v1/runner/blobs', { sha256s: [] }),
      // Its copy holds what it was booted with, and no more than that.
      machine.post('/v1/runner/hello', {
        bootstrapToken: machine.bootstrapToken,
        protocol: 1,
        runnerSha256: '0'.repeat(64),
      }),
    ]
    return (await Promise.all(asked)).map(({ status }) => status)
  }
  expect(await refused()).toEqual([401, 401, 401, 401, 401])
  expect(next.bootstrapToken).not.toBe(machine.bootstrapToken)
  await next.hello()
  expect(next.token).not.toBe(before)
  await next.learns(started.body.id)
  await next.report(started.body.id, 'healthy')
  expect(await refused()).toEqual([401, 401, 401, 401, 401])
  const rows = await cloud.sql`
    select generation, state, token_hash is null as revoked from machines
    where agent_id = ${agent.id} order by generation`
  expect(rows).toEqual([
    { generation: 1, state: 'deleted', revoked: true },
    { generation: 2, state: 'ready', revoked: false },
  ])
  await alice.call('DELETE', '/v1/agents/hello')
})

/** The latest machine of an agent. */
async function latest(agentId: string) {
  const [row] = await cloud.sql`
    select plan, snapshot_id is not null as restored from machines
    where agent_id = ${agentId} order by generation desc limit 1`
  return row
}

test('a start while the agent is still being stopped waits for that, and keeps the files', async () => {
  const alice = await cloud.person('impatient')
  const { agent, machine } = await deployLive(cloud, alice, 'hello', 'x')
  await alice.call('POST', '/v1/agents/hello/stop')
  const started = await alice.call('POST', '/v1/agents/hello/start')
  expect(started).toMatchObject({
    status: 202,
    body: { step: 'Waiting until its files are copied; its machine is made of them' },
  })
  expect((await alice.call('POST', '/v1/agents/hello/start')).body.id).toBe(started.body.id)
  await machine.forgets()
  const next = await cloud.machineOf(agent.id, machine)
  expect(await latest(agent.id)).toMatchObject({ restored: true })
  await next.hello()
  await next.learns(started.body.id)
  await next.report(started.body.id, 'healthy')
  expect(await show(alice)).toMatchObject({ status: 'running' })
  await alice.call('DELETE', '/v1/agents/hello')
})

test('files that the provider loses before they are copied cost nothing, and its people are told', async () => {
  const alice = await cloud.person('robbed')
  const { agent, machine } = await deployLive(cloud, alice, 'hello', 'x')
  const [row] = await cloud.sql<{ provider: string }[]>`
    select provider_id as provider from machines where agent_id = ${agent.id}`
  await cloud.deps.machines.delete(row?.provider ?? '')
  await alice.call('POST', '/v1/agents/hello/stop')
  await machine.forgets()
  await atRest(cloud, agent.id)
  expect(await cloud.rate(agent.id)).toBe(0)
  expect(await cloud.sql`select message, next from notices where account_id = ${alice.account}`).toEqual([
    {
      message:
        'The machine of hello was lost at our provider before its files were copied: they are gone. Its configuration, secrets and last release are kept: started again, it begins with an empty disk.',
      next: 'agentctl agents start hello',
    },
  ])
  await alice.call('DELETE', '/v1/agents/hello')
})

test('a start that fails leaves the agent stopped, with its files', async () => {
  const alice = await cloud.person('unlucky')
  const { agent, machine } = await deployLive(cloud, alice, 'hello', 'x')
  await alice.call('POST', '/v1/agents/hello/stop')
  await machine.forgets()
  await atRest(cloud, agent.id)
  const { body } = await alice.call('POST', '/v1/agents/hello/start')
  const next = await cloud.machineOf(agent.id, machine)
  await next.hello()
  await next.learns(body.id)
  await next.report(body.id, 'failed', { reason: 'exited', message: 'It exited.' })
  expect(await ended(alice, body.id)).toMatchObject({ status: 'failed' })
  expect((await show(alice)).status).toBe('stopped')
  expect(await cloud.rate(agent.id)).toBe(1_000)
  await atRest(cloud, agent.id)
  expect(await cloud.snapshots()).toHaveLength(1)
  await alice.call('DELETE', '/v1/agents/hello')
  await eventually(async () => ((await cloud.snapshots()).length === 0 ? true : undefined))
})

test('a stop during a redeploy ends that, and what served comes back', async () => {
  const alice = await cloud.person('midway')
  const { agent, machine, release } = await deployLive(cloud, alice, 'hello', 'x')
  const redeploy = await alice.deploy('hello', 'y')
  await alice.call('POST', '/v1/agents/hello/stop')
  expect(await ended(alice, redeploy.body.release.id)).toMatchObject({
    status: 'failed',
    failure: { reason: 'agent_stopped' },
  })
  await machine.forgets()
  await atRest(cloud, agent.id)
  const { body } = await alice.call('POST', '/v1/agents/hello/start')
  expect(body.repeats).toBe(release.id)
  await alice.call('DELETE', '/v1/agents/hello')
})

test('deployed from rest, an agent moves to a larger machine with its files, and not to one where they do not fit', async () => {
  const alice = await cloud.person('growing')
  const { agent, machine } = await deployLive(cloud, alice, 'hello', 'x')
  await alice.call('POST', '/v1/agents/hello/stop')
  await machine.forgets()
  await atRest(cloud, agent.id)
  const smaller = await alice.deploy('hello', 'x', { size: 'nano' })
  expect(smaller).toMatchObject({ status: 400, body: { code: 'invalid_config' } })
  const plan = await alice.call('POST', '/v1/deploys/plan', {
    name: 'hello',
    config: { ...plainConfig, size: 'large' },
    files: [file('index.js', 'x')],
  })
  expect(plan.body.changes).toEqual([
    'Start the agent again on a large machine in Seoul, with the files that it had.',
  ])
  const larger = await alice.deploy('hello', 'x', { size: 'large' })
  const next = await cloud.machineOf(agent.id, machine)
  expect(await latest(agent.id)).toEqual({ plan: 'vc2-4c-8gb', restored: true })
  await next.hello()
  await next.learns(larger.body.release.id)
  await next.report(larger.body.release.id, 'healthy')
  expect(await show(alice)).toMatchObject({ status: 'running', size: 'large' })
  expect(await cloud.rate(agent.id)).toBe(80_000)
  await alice.call('DELETE', '/v1/agents/hello')
})

test('an agent that never ran cannot be stopped or started', async () => {
  const alice = await cloud.person('never')
  await alice.call('POST', '/v1/agents', { name: 'hello' })
  expect((await alice.call('POST', '/v1/agents/hello/stop')).body.code).toBe('agent_not_running')
  expect((await alice.call('POST', '/v1/agents/hello/start')).body.code).toBe('agent_not_running')
})

for (const kind of ['drop-after-effect', 'error-after-effect', 'drop-before', 'html-503']) {
  test(`one snapshot is made, and no machine goes before it is whole, when its order meets: ${kind}`, async () => {
    const alone = await testCloud()
    await alone.work()
    const alice = await alone.person('faulty')
    const { agent, machine } = await deployLive(alone, alice, 'hello', 'x')
    await alone.fault({ kind, method: 'POST', path: '/v2/snapshots' })
    await alone.fault({ kind, method: 'POST', path: '/v2/instances/*/halt' })
    await alice.call('POST', '/v1/agents/hello/stop')
    await machine.forgets()
    await eventually(async () => {
      await alone.sql`update operations set run_at = clock_timestamp() where subject = ${agent.id} and state = 'pending'`
      const [row] = await alone.sql`select 1 from snapshots where state = 'complete'`
      return row ? true : undefined
    }, 30_000)
    await atRest(alone, agent.id)
    expect(await alone.snapshots()).toHaveLength(1)
    expect(await alone.instances()).toEqual([])
  }, 60_000)
}

test('a machine whose runner does not answer is switched off after a while, and its disk is kept', async () => {
  const alone = await testCloud()
  await alone.work()
  const alice = await alone.person('silent')
  const { agent } = await deployLive(alone, alice, 'hello', 'x')
  await alice.call('POST', '/v1/agents/hello/stop')
  alone.advance(60)
  await eventually(async () => {
    await alone.sql`update operations set run_at = clock_timestamp() where subject = ${agent.id} and state = 'pending'`
    return (await alone.snapshots()).length === 1 ? true : undefined
  })
  await atRest(alone, agent.id)
})

test('deleting a stopped agent deletes its snapshot', async () => {
  const alice = await cloud.person('tidy')
  const { agent, machine } = await deployLive(cloud, alice, 'hello', 'x')
  await alice.call('POST', '/v1/agents/hello/stop')
  await machine.forgets()
  await atRest(cloud, agent.id)
  await alice.call('DELETE', '/v1/agents/hello')
  await atRest(cloud, agent.id)
  expect(await cloud.snapshots()).toEqual([])
  expect(await cloud.rate(agent.id)).toBe(0)
})

import { expect, test } from 'vitest'
import { deployLive, ended, eventually, file, plainConfig, testCloud } from './test-cloud.ts'

const cloud = await testCloud()
await cloud.work()

test('a deploy ends live once the machine says that it is healthy', async () => {
  const alice = await cloud.person('first')
  const deployed = await alice.deploy('hello', 'console.log(1)')
  expect(deployed.status).toBe(202)
  expect(deployed.body).toMatchObject({
    agent: {
      name: 'hello',
      namespace: 'first',
      status: 'starting',
      url: 'http://hello-first.agents.localhost:8788',
    },
    release: { number: 1, status: 'pending' },
    price: { hourlyMicros: '20000' },
  })
  const machine = await cloud.machineOf(deployed.body.agent.id)
  expect(await machine.hello()).toMatchObject({
    status: 200,
    body: { listenAddress: expect.stringMatching(/^127\./) },
  })
  const desired = await machine.learns(deployed.body.release.id)
  expect(desired.release).toMatchObject({
    number: 1,
    config: { start: 'node index.js' },
    files: [{ path: 'index.js' }],
  })
  for (const state of ['fetching', 'installing', 'starting'] as const) {
    expect((await machine.report(deployed.body.release.id, state)).status).toBe(204)
  }
  await machine.report(deployed.body.release.id, 'healthy', { timings: { installMs: 5 } })
  const release = await ended(alice, deployed.body.release.id)
  expect(release).toMatchObject({
    status: 'live',
    step: null,
    timings: { installMs: 5, totalMs: expect.any(Number) },
  })
  expect((await alice.call('GET', '/v1/agents/hello')).body).toMatchObject({
    status: 'running',
    release: { id: release.id, number: 1 },
  })
})

test('a redeploy uses the machine that is there, and the release before it retires', async () => {
  const alice = await cloud.person('second')
  const { machine, agent, release } = await deployLive(cloud, alice, 'hello', 'one')
  const next = await alice.deploy('hello', 'two')
  await machine.learns(next.body.release.id)
  await machine.report(next.body.release.id, 'healthy')
  expect(await ended(alice, next.body.release.id)).toMatchObject({ status: 'live', number: 2 })
  expect((await alice.call('GET', `/v1/releases/${release.id}`)).body.status).toBe('retired')
  const machines = await cloud.sql`select id from machines where agent_id = ${agent.id}`
  expect(machines).toHaveLength(1)
})

test('a failed release says why, and the one before it goes on', async () => {
  const alice = await cloud.person('third')
  const { machine, release } = await deployLive(cloud, alice, 'hello', 'one')
  const next = await alice.deploy('hello', 'broken')
  await machine.learns(next.body.release.id)
  await machine.report(next.body.release.id, 'failed', {
    reason: 'exited',
    message: 'It exited with 1.',
    logTail: ['boom\0'],
  })
  expect(await ended(alice, next.body.release.id)).toMatchObject({
    status: 'failed',
    failure: { reason: 'exited', message: 'It exited with 1.', logTail: ['boom\uFFFD'] },
  })
  expect((await machine.poll()).release?.id).toBe(release.id)
  expect((await alice.call('GET', '/v1/agents/hello')).body).toMatchObject({
    status: 'running',
    release: { id: release.id },
  })
  // Its subject is free at once: the next deploy need not wait for anything.
  expect((await alice.deploy('hello', 'mended')).status).toBe(202)
})

test('a machine whose first release fails is deleted', async () => {
  const alice = await cloud.person('fourth')
  const { body } = await alice.deploy('hello', 'broken')
  const machine = await cloud.machineOf(body.agent.id)
  await machine.hello()
  await machine.learns(body.release.id)
  await machine.report(body.release.id, 'failed', { reason: 'exited', message: 'It exited.' })
  expect((await alice.call('GET', '/v1/agents/hello')).body.status).toBe('failing')
  await eventually(async () => {
    const [row] = await cloud.sql`select state from machines where id = ${machine.id}`
    return row?.state === 'deleted' ? true : undefined
  })
  expect((await machine.post('/v1/runner/poll', {})).status).toBe(401)
})

test('a first release that is not healthy within ten minutes fails, and its machine goes', async () => {
  const late = await testCloud()
  await late.work()
  const alice = await late.person('slow')
  const { body } = await alice.deploy('hello', 'slow')
  const machine = await late.machineOf(body.agent.id)
  await machine.hello()
  await machine.learns(body.release.id)
  late.advance(601)
  await late.sql`update operations set run_at = clock_timestamp() where state = 'pending'`
  expect(await ended(alice, body.release.id)).toMatchObject({
    status: 'failed',
    failure: { reason: 'timeout' },
  })
  await eventually(async () => ((await late.instances()).length === 0 ? true : undefined))
})

test('a machine that never phones home fails the release and goes', async () => {
  const late = await testCloud()
  await late.work()
  const alice = await late.person('silent')
  const { body } = await alice.deploy('hello', 'x')
  await late.machineOf(body.agent.id)
  late.advance(601)
  await late.sql`update operations set run_at = clock_timestamp() where state = 'pending'`
  expect(await ended(alice, body.release.id)).toMatchObject({ failure: { reason: 'machine_not_ready' } })
  await eventually(async () => ((await late.instances()).length === 0 ? true : undefined))
})

test('of two deploys at once one is told that the other is under way', async () => {
  const alice = await cloud.person('hasty')
  await alice.upload('x')
  const request = { name: 'hello', config: plainConfig, files: [file('index.js', 'x')] }
  const answers = await Promise.all(
    ['k1', 'k2'].map((key) => alice.call('POST', '/v1/deploys', request, { 'idempotency-key': key })),
  )
  expect(answers.map(({ status }) => status).sort()).toEqual([202, 409])
  expect(answers.find(({ status }) => status === 409)?.body.code).toBe('deploy_in_progress')
})

test('a deploy that waits for work on its agent holds nothing that the work needs', async () => {
  const alice = await cloud.person('crossing')
  const { body } = await alice.deploy('hello', 'x')
  const deploying = await cloud.sql.begin(async (worker) => {
    await worker`select from operations where subject = ${body.agent.id} and state = 'pending' for update`
    const second = alice.deploy('hello', 'y')
    await eventually(async () => {
      const [waiting] = await cloud.sql`
        select true as waits from pg_stat_activity
        where wait_event_type = 'Lock' and query like '%select kind from operations%'`
      return waiting?.waits
    })
    await worker`select from agents where id = ${body.agent.id} for update nowait`
    return { second }
  })
  expect((await deploying.second).body.code).toBe('deploy_in_progress')
})

test('the same key gives the same answer, another request with it is refused', async () => {
  const alice = await cloud.person('again')
  await alice.upload('x')
  const request = { name: 'hello', config: plainConfig, files: [file('index.js', 'x')] }
  const headers = { 'idempotency-key': 'once' }
  const first = await alice.call('POST', '/v1/deploys', request, headers)
  const second = await alice.call('POST', '/v1/deploys', request, headers)
  expect(second).toEqual(first)
  const other = { ...request, config: { ...plainConfig, start: 'node other.js' } }
  expect((await alice.call('POST', '/v1/deploys', other, headers)).body.code).toBe('idempotency_mismatch')
  const { body } = await alice.call('GET', '/v1/agents/hello/releases')
  expect(body.releases).toHaveLength(1)
})

test('requests with the same key at once make one release', async () => {
  const alice = await cloud.person('twice')
  await alice.upload('x')
  const request = { name: 'hello', config: plainConfig, files: [file('index.js', 'x')] }
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => alice.call('POST', '/v1/deploys', request, { 'idempotency-key': 'k' })),
  )
  for (const { status, body } of answers) {
    expect(status === 202 || body.code === 'idempotency_in_flight').toBe(true)
  }
  expect((await alice.call('GET', '/v1/agents/hello/releases')).body.releases).toHaveLength(1)
})

test('knowing a hash grants nothing', async () => {
  const alice = await cloud.person('has-it')
  const mallory = await cloud.person('knows-it')
  await alice.upload('secret source')
  const request = { name: 'thief', config: plainConfig, files: [file('index.js', 'secret source')] }
  const plan = await mallory.call('POST', '/v1/deploys/plan', request)
  expect(plan.body.upload.missing).toHaveLength(1)
  const deployed = await mallory.call('POST', '/v1/deploys', request, { 'idempotency-key': 'k' })
  expect(deployed.body.code).toBe('blobs_missing')
  expect((await mallory.call('GET', '/v1/agents')).body.agents).toEqual([])
})

test('a machine gets contents of its own release only', async () => {
  const alice = await cloud.person('contents')
  await alice.upload('of another agent')
  const { machine } = await deployLive(cloud, alice, 'hello', 'of this release')
  const mine = await machine.post('/v1/runner/blobs', { sha256s: [file('a', 'of this release').sha256] })
  expect(mine.body).toContain('of this release')
  const other = await machine.post('/v1/runner/blobs', { sha256s: [file('a', 'of another agent').sha256] })
  expect(other.status).toBe(404)
})

test('deleting during a deploy ends it, and nothing is left', async () => {
  const alice = await cloud.person('regret')
  const { body } = await alice.deploy('hello', 'regretted')
  const machine = await cloud.machineOf(body.agent.id)
  await machine.hello()
  await alice.call('PATCH', '/v1/agents/hello/secrets', { secrets: { TOKEN: 'x' } })
  const deleted = await alice.call('DELETE', '/v1/agents/hello')
  expect(deleted).toMatchObject({ status: 202, body: { status: 'deleted', release: null } })
  expect((await alice.call('GET', '/v1/agents/hello')).status).toBe(404)
  await eventually(async () => {
    const rows = await cloud.sql`
      select 1 from operations where subject = ${body.agent.id} and state = 'pending'`
    return rows.length === 0 ? true : undefined
  })
  const left = await cloud.sql`
    select (select count(*) from secrets where agent_id = ${body.agent.id})
      + (select count(*) from releases where agent_id = ${body.agent.id})
      + (select count(*) from blobs where account_id = ${alice.account})
      + (select count(*) from machines where agent_id = ${body.agent.id} and state <> 'deleted') as count`
  expect(Number(left[0]?.count)).toBe(0)
  const [row] = await cloud.sql`select label, status from agents where id = ${body.agent.id}`
  expect(row).toEqual({ label: 'hello-regret', status: 'deleted' })
  const again = await alice.call('POST', '/v1/agents', { name: 'hello' })
  expect(again.body.url).toMatch(/hello-regret-[a-z0-9]{6}\./)
})

test('an agent that was never deployed is deleted as well', async () => {
  const alice = await cloud.person('never')
  const { body } = await alice.call('POST', '/v1/agents', { name: 'hello' })
  expect(body.status).toBe('stopped')
  await alice.call('DELETE', '/v1/agents/hello')
  await eventually(async () => {
    const [row] = await cloud.sql`select state from operations where subject = ${body.id}`
    return row?.state === 'done' ? true : undefined
  })
})

test('another size moves the agent to another machine, and the one before says nothing about it any more', async () => {
  const alice = await cloud.person('grows')
  const { machine, agent } = await deployLive(cloud, alice, 'hello', 'x')
  const next = await alice.deploy('hello', 'x', { size: 'medium' })
  await eventually(async () => {
    const [row] = await cloud.sql`select state from machines where id = ${machine.id}`
    return row?.state === 'resting' ? true : undefined
  })
  // The machine before is not believed about a release that is not meant for it.
  await machine.report(next.body.release.id, 'healthy')
  expect((await alice.call('GET', `/v1/releases/${next.body.release.id}`)).body.status).not.toBe('live')
  await machine.forgets()
  const bigger = await cloud.machineOf(agent.id, machine)
  await bigger.hello()
  await bigger.learns(next.body.release.id)
  await bigger.report(next.body.release.id, 'healthy')
  expect(await ended(alice, next.body.release.id)).toMatchObject({ status: 'live' })
  expect((await alice.call('GET', '/v1/agents/hello')).body.size).toBe('medium')
})

test('rollback repeats what was live before, restart repeats what is live', async () => {
  const alice = await cloud.person('returns')
  const { machine, release } = await deployLive(cloud, alice, 'hello', 'one')
  expect((await alice.call('POST', '/v1/agents/hello/rollback', {})).body.code).toBe('nothing_to_roll_back')
  const second = await alice.deploy('hello', 'two')
  await machine.learns(second.body.release.id)
  await machine.report(second.body.release.id, 'healthy')
  const restarted = await alice.call('POST', '/v1/agents/hello/restart')
  expect(restarted.body).toMatchObject({ number: 3, repeats: second.body.release.id })
  await machine.learns(restarted.body.id)
  await machine.report(restarted.body.id, 'healthy')
  const back = await alice.call('POST', '/v1/agents/hello/rollback', {})
  expect(back.body).toMatchObject({ number: 4, repeats: release.id })
  const desired = await machine.learns(back.body.id)
  expect(desired.release?.files).toEqual([file('index.js', 'one')])
})

test('a crash after health is told, and so is the recovery', async () => {
  const alice = await cloud.person('shaky')
  const { machine, release } = await deployLive(cloud, alice, 'hello', 'x')
  await machine.report(release.id, 'crashed', { message: 'It exited with 1.' })
  expect((await alice.call('GET', '/v1/agents/hello')).body.status).toBe('failing')
  await machine.report(release.id, 'healthy')
  expect((await alice.call('GET', '/v1/agents/hello')).body.status).toBe('running')
})

test('waiting for a release ends when it changes', async () => {
  const alice = await cloud.person('waits')
  const { machine } = await deployLive(cloud, alice, 'hello', 'one')
  const next = await alice.deploy('hello', 'two')
  const { id } = next.body.release
  await machine.learns(id)
  await machine.report(id, 'starting')
  const waiting = alice.call('GET', `/v1/releases/${id}?waitSeconds=20&status=starting`)
  await machine.report(id, 'healthy')
  expect((await waiting).body.status).toBe('live')
})

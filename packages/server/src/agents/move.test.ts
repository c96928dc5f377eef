import { expect, test } from 'vitest'
import {
  deployLive,
  ended,
  eventually,
  file,
  type Person,
  plainConfig,
  type TestMachine,
  testCloud,
} from './test-cloud.ts'

const cloud = await testCloud()
await cloud.workForEver()

const show = async (person: Person) => (await person.call('GET', '/v1/agents/hello')).body
const stoppedAs = (person: Person, status: string) =>
  eventually(async () => ((await show(person)).status === status ? true : undefined))

/** The latest machine of an agent. */
async function latest(agentId: string) {
  const [row] = await cloud.sql`
    select plan, snapshot_id is not null as restored from machines
    where agent_id = ${agentId} order by generation desc limit 1`
  return row
}

/** Deploys to a large machine, and lets the old one end in peace. */
async function beginMove(person: Person, agentId: string, machine: TestMachine) {
  const { status, body } = await person.deploy('hello', 'y', { size: 'large' })
  expect(status).toBe(202)
  await machine.forgets()
  const next = await cloud.machineOf(agentId, machine)
  await next.hello()
  await next.learns(body.release.id)
  return { release: body.release as { id: string; number: number }, next }
}

test('a running agent moves to a larger machine made of its disk, costs little on the way, and leaves nothing behind', async () => {
  const alice = await cloud.person('moving')
  const { agent, machine } = await deployLive(cloud, alice, 'hello', 'x')
  // Whatever becomes of an answer on the way, there is one copy and one machine.
  await cloud.fault({ kind: 'drop-after-effect', method: 'POST', path: '/v2/snapshots' })
  const { release, next } = await beginMove(alice, agent.id, machine)
  expect(await show(alice)).toMatchObject({ status: 'starting', size: 'small' })
  expect(await cloud.rate(agent.id)).toBe(1_000)
  expect(await latest(agent.id)).toEqual({ plan: 'vc2-4c-8gb', restored: true })
  await next.report(release.id, 'healthy')
  expect(await show(alice)).toMatchObject({ status: 'running', size: 'large', release: { number: 2 } })
  expect(await cloud.rate(agent.id)).toBe(80_000)
  await eventually(async () => ((await cloud.snapshots()).length === 0 ? true : undefined))
  await eventually(async () => ((await cloud.instances()).length === 1 ? true : undefined))
  const back = await alice.call('POST', '/v1/agents/hello/rollback', {})
  expect(back.status).toBe(202)
  await next.learns(back.body.id)
  await next.report(back.body.id, 'healthy')
  expect(await show(alice)).toMatchObject({ status: 'running', size: 'large', release: { number: 3 } })
  await alice.call('DELETE', '/v1/agents/hello')
})

test('to a smaller machine it does not move: refused before anything is touched, and the plan says so', async () => {
  const alice = await cloud.person('shrinking')
  const { agent, machine, release } = await deployLive(cloud, alice, 'hello', 'x')
  const smaller = await alice.deploy('hello', 'x', { size: 'nano' })
  expect(smaller).toMatchObject({
    status: 400,
    body: {
      code: 'invalid_config',
      detail: 'The files of this agent do not fit on a nano machine.',
      fix: 'Choose a machine at least as large as before (small), or delete the agent to begin anew.',
    },
  })
  const request = { name: 'hello', config: { ...plainConfig, size: 'nano' }, files: [file('index.js', 'x')] }
  expect((await alice.call('POST', '/v1/deploys/plan', request)).body.detail).toBe(smaller.body.detail)
  expect(await show(alice)).toMatchObject({ status: 'running', release: { id: release.id } })
  expect((await machine.poll()).release?.id).toBe(release.id)
  expect(await cloud.rate(agent.id)).toBe(20_000)
  await alice.call('DELETE', '/v1/agents/hello')
})

test('what is not healthy on the larger machine comes back as it was, with its files, by itself and once', async () => {
  const alice = await cloud.person('regretting')
  const { agent, machine, release: before } = await deployLive(cloud, alice, 'hello', 'x')
  const { release, next } = await beginMove(alice, agent.id, machine)
  await next.report(release.id, 'failed', { reason: 'exited', message: 'It exited.' })
  expect(await ended(alice, release.id)).toMatchObject({ status: 'failed' })
  const old = await cloud.machineOf(agent.id, next)
  expect(await latest(agent.id)).toEqual({ plan: 'vc2-1c-2gb', restored: true })
  const [returning] = (await alice.call('GET', '/v1/agents/hello/releases')).body.releases
  expect(returning).toMatchObject({ number: 3, repeats: before.id })
  await old.hello()
  await old.learns(returning.id)
  await old.report(returning.id, 'failed', { reason: 'exited', message: 'It exited.' })
  await stoppedAs(alice, 'stopped')
  expect(await cloud.rate(agent.id)).toBe(1_000)
  expect(await cloud.snapshots()).toHaveLength(1)
  const [row] = await cloud.sql`select resumes from agents where id = ${agent.id}`
  expect(row?.resumes).toBe(false)
  await alice.call('DELETE', '/v1/agents/hello')
  await eventually(async () => ((await cloud.snapshots()).length === 0 ? true : undefined))
})

test('a stop on the way ends the move, and the agent stays stopped with its files', async () => {
  const alice = await cloud.person('hesitating')
  const { agent, machine } = await deployLive(cloud, alice, 'hello', 'x')
  const { body } = await alice.deploy('hello', 'y', { size: 'large' })
  await eventually(async () => ((await show(alice)).status === 'starting' ? true : undefined))
  await alice.call('POST', '/v1/agents/hello/stop')
  expect(await ended(alice, body.release.id)).toMatchObject({ failure: { reason: 'agent_stopped' } })
  await machine.forgets()
  await eventually(async () => ((await cloud.instances()).length === 0 ? true : undefined))
  expect(await show(alice)).toMatchObject({ status: 'stopped', size: 'small' })
  expect(await cloud.snapshots()).toHaveLength(1)
  const [row] = await cloud.sql`select resumes from agents where id = ${agent.id}`
  expect(row?.resumes).toBe(false)
  await alice.call('DELETE', '/v1/agents/hello')
})

test('credits that end on the way suspend it, and a deposit brings it back as it was', async () => {
  const alice = await cloud.person('broke', 200_000n)
  const { agent, machine, release: before } = await deployLive(cloud, alice, 'hello', 'x')
  await alice.deploy('hello', 'y', { size: 'medium' })
  await machine.forgets()
  await cloud.machineOf(agent.id, machine)
  cloud.advance(400 * 3600)
  await stoppedAs(alice, 'suspended')
  await cloud.deposit(alice, 25_000_000n)
  const returning = await eventually(async () => {
    const [newest] = (await alice.call('GET', '/v1/agents/hello/releases')).body.releases
    return newest.number === 3 ? newest : undefined
  })
  expect(returning).toMatchObject({ repeats: before.id })
  await alice.call('DELETE', '/v1/agents/hello')
})

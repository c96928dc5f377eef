import { expect, test } from 'vitest'
import { deployLive, file, type Person, plainConfig, testCloud } from './test-cloud.ts'

const cloud = await testCloud()
await cloud.work()
const alice = await cloud.person('alice')
const mallory = await cloud.person('mallory')
const { agent, release } = await deployLive(cloud, alice, 'hello', 'private')

const withoutId = ({ status, body }: { status: number; body: { requestId?: string } }) => {
  const { requestId: _, ...rest } = body
  return { status, body: rest }
}

const requests = (id: string, releaseId: string): [string, string, unknown?][] => [
  ['GET', `/v1/agents/${id}`],
  ['DELETE', `/v1/agents/${id}`],
  ['POST', `/v1/agents/${id}/restart`],
  ['POST', `/v1/agents/${id}/rollback`, {}],
  ['GET', `/v1/agents/${id}/releases`],
  ['GET', `/v1/agents/${id}/logs`],
  ['GET', `/v1/agents/${id}/secrets`],
  ['PATCH', `/v1/agents/${id}/secrets`, { secrets: { A: 'b' } }],
  ['GET', `/v1/releases/${releaseId}`],
]

async function answers(person: Person, id: string, releaseId: string) {
  const all = []
  for (const request of requests(id, releaseId)) all.push(withoutId(await person.call(...request)))
  return all
}

test("somebody else's agent looks like none, to the letter", async () => {
  const foreign = await answers(mallory, agent.id, release.id)
  const missing = await answers(mallory, 'agt_missing', 'rel_missing')
  expect(foreign).toEqual(missing)
  for (const { status } of foreign) expect(status).toBe(404)
  expect((await alice.call('GET', '/v1/agents/hello')).body.status).toBe('running')
})

test("somebody else's namespace looks like none", async () => {
  const paths = (namespace: string): [string, string, unknown?][] => [
    ['GET', `/v1/agents?namespace=${namespace}`],
    ['POST', '/v1/agents', { name: 'hello', namespace }],
    ['GET', `/v1/agents/hello?namespace=${namespace}`],
    ['POST', '/v1/deploys/plan', { name: 'hello', namespace, config: plainConfig, files: [file('a', 'b')] }],
  ]
  for (const [at, request] of paths('alice').entries()) {
    const foreign = withoutId(await mallory.call(...request))
    const missing = withoutId(await mallory.call(...(paths('nobody')[at] ?? request)))
    expect(foreign).toEqual(missing)
    expect(foreign.status).toBe(404)
  }
})

test('a viewer reads and does not write', async () => {
  const viewer = await cloud.person('viewer')
  await cloud.sql`
    insert into members (namespace_id, account_id, role, created_at)
    values (${alice.namespaceId}, ${viewer.account}, 'viewer', ${new Date()})`
  expect((await viewer.call('GET', `/v1/agents/${agent.id}`)).status).toBe(200)
  expect((await viewer.call('GET', '/v1/agents/hello?namespace=alice')).status).toBe(200)
  expect((await viewer.call('GET', `/v1/releases/${release.id}`)).status).toBe(200)
  for (const [method, path, body] of requests(agent.id, release.id)) {
    if (method !== 'GET') expect((await viewer.call(method, path, body)).status).toBe(403)
  }
  expect((await viewer.call('GET', '/v1/agents')).body.agents).toHaveLength(1)
})

test('what a developer uploads belongs to the account that pays', async () => {
  const developer = await cloud.person('developer')
  await cloud.sql`
    insert into members (namespace_id, account_id, role, created_at)
    values (${alice.namespaceId}, ${developer.account}, 'developer', ${new Date()})`
  await developer.upload('mine only')
  const request = {
    name: 'team',
    namespace: 'alice',
    config: plainConfig,
    files: [file('index.js', 'mine only')],
  }
  const plan = await developer.call('POST', '/v1/deploys/plan', request)
  expect(plan.body.upload.missing).toHaveLength(1)
  const own = await developer.call('POST', '/v1/deploys/plan', { ...request, namespace: 'developer' })
  expect(own.body.upload.missing).toEqual([])
})

test('a key of one namespace sees nothing of another', async () => {
  const other = {
    ...alice.caller,
    via: 'key' as const,
    scopes: ['agents:read' as const],
    namespaceId: 'ns_other',
  }
  Object.assign(alice.caller, other)
  try {
    const bound = withoutId(await alice.call('GET', `/v1/agents/${agent.id}`))
    expect(bound).toEqual(withoutId(await alice.call('GET', '/v1/agents/agt_missing')))
    expect((await alice.call('DELETE', `/v1/agents/${agent.id}`)).status).toBe(403)
  } finally {
    Object.assign(alice.caller, { via: 'session', scopes: 'all', namespaceId: null })
  }
})

test('a machine credential is no credential of a person, nor the other way round', async () => {
  const second = await deployLive(cloud, mallory, 'hello', 'x')
  const asMachine = await cloud.app.request('/v1/agents', {
    headers: { authorization: `Bearer ${second.machine.token}` },
  })
  expect(asMachine.status).toBe(401)
  expect((await mallory.call('POST', '/v1/runner/poll', {})).status).toBe(401)
})

test('a machine changes nothing about a release of another agent', async () => {
  const other = await deployLive(cloud, mallory, 'spy', 'x')
  const next = await alice.deploy('hello', 'next')
  await other.machine.report(next.body.release.id, 'failed', { message: 'sabotage' })
  await other.machine.report(release.id, 'crashed')
  expect((await alice.call('GET', `/v1/releases/${next.body.release.id}`)).body.status).toBe('pending')
  expect((await alice.call('GET', '/v1/agents/hello')).body.status).toBe('running')
})

import { expect, test } from 'vitest'
import type { Person } from '../agents/test-cloud.ts'
import { testDomains } from './test-domains.ts'

const domains = await testDomains({ work: false })
const { cloud } = domains
const alice = await cloud.person('alice')
const mallory = await cloud.person('mallory')
await alice.call('POST', '/v1/agents', { name: 'hello' })
const added = await domains.add(alice, 'hello', 'private.example.com')
const { id, agent } = added.body

const withoutId = ({ status, body }: { status: number; body: { requestId?: string } }) => {
  const { requestId: _, ...rest } = body
  return { status, body: rest }
}

async function answers(person: Person, wanted: { domain: string; agent: string }) {
  const requests: [string, string][] = [
    ['GET', `/v1/domains/${wanted.domain}`],
    ['GET', `/v1/domains/${wanted.domain}?waitSeconds=1`],
    ['POST', `/v1/domains/${wanted.domain}/check`],
    ['DELETE', `/v1/domains/${wanted.domain}`],
    ['GET', `/v1/domains?agent=${wanted.agent}`],
    ['GET', `/v1/domains/${wanted.domain}?namespace=alice`],
  ]
  const all = []
  for (const request of requests) all.push(withoutId(await person.call(...request)))
  return all
}

test("somebody else's domain looks like none, to the letter, by its id and by its name", async () => {
  const none = await answers(mallory, { domain: 'dom_missing', agent: 'agt_missing' })
  expect(await answers(mallory, { domain: id, agent: agent.id })).toEqual(none)
  expect(await answers(mallory, { domain: 'private.example.com', agent: agent.id })).toEqual(none)
  for (const { status } of none) expect(status).toBe(404)
  expect((await mallory.call('GET', '/v1/domains')).body.domains).toEqual([])
  expect((await alice.call('GET', '/v1/domains')).body.domains).toHaveLength(1)
})

test("a name cannot be attached to somebody else's agent", async () => {
  const answer = await domains.add(mallory, agent.id, 'mine.example.com')
  expect(withoutId(answer)).toEqual(withoutId(await domains.add(mallory, 'agt_missing', 'mine.example.com')))
  expect(answer.status).toBe(404)
})

test('a viewer sees and checks domains, a developer attaches and removes them', async () => {
  const viewer = await cloud.person('viewer')
  await cloud.sql`
    insert into members (namespace_id, account_id, role, created_at)
    values (${alice.namespaceId}, ${viewer.account}, 'viewer', ${new Date()})`
  expect((await viewer.call('GET', `/v1/domains/${id}`)).status).toBe(200)
  expect((await viewer.call('POST', `/v1/domains/${id}/check`)).status).toBe(200)
  expect((await viewer.call('DELETE', `/v1/domains/${id}`)).body.code).toBe('forbidden')
  expect((await domains.add(viewer, agent.id, 'more.example.com')).body.code).toBe('forbidden')
})

test('a key needs the scope, and one that is bound to a namespace learns nothing of another', async () => {
  const { caller } = alice
  const scoped = async <T>(change: Partial<typeof caller>, run: () => Promise<T>): Promise<T> => {
    const before = { ...caller }
    Object.assign(caller, change)
    try {
      return await run()
    } finally {
      Object.assign(caller, before)
    }
  }
  const reader = { via: 'key', scopes: ['agents:read', 'agents:write'] } as const
  await scoped(reader, async () => {
    expect((await alice.call('GET', '/v1/domains')).status).toBe(200)
    expect((await domains.add(alice, 'hello', 'scope.example.com')).body.detail).toBe(
      'This API key lacks the scope domains:write.',
    )
    expect((await alice.call('DELETE', `/v1/domains/${id}`)).status).toBe(403)
  })
  const { body: other } = await alice.call('POST', '/v1/agents', { name: 'other' })
  const elsewhere = {
    via: 'key',
    scopes: ['agents:read', 'domains:write'],
    namespaceId: 'ns_elsewhere',
  } as const
  await scoped(elsewhere, async () => {
    expect((await alice.call('GET', `/v1/domains/private.example.com`)).status).toBe(404)
    expect((await domains.add(alice, other.id, 'private.example.com')).status).toBe(404)
  })
})

test('the database itself shows a domain to members alone', async () => {
  const seen = (account: string) =>
    cloud.deps.db.as({ account }, (tx) => tx`select hostname from domains where id = ${id}`)
  expect(await seen(alice.account)).toHaveLength(1)
  expect(await seen(mallory.account)).toHaveLength(0)
})

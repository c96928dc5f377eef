import { expect, test } from 'vitest'
import { eventually } from '../agents/test-cloud.ts'
import { testDomains } from './test-domains.ts'

const domains = await testDomains()
const { cloud } = domains

test('a name is live once its DNS leads here, its certificate is there and our own probe was answered', async () => {
  const alice = await cloud.person('first')
  await alice.call('POST', '/v1/agents', { name: 'hello' })
  const added = await domains.add(alice, 'hello', 'BOT.example.com')
  expect(added).toMatchObject({
    status: 201,
    body: {
      id: expect.stringMatching(/^dom_/),
      hostname: 'bot.example.com',
      status: 'pending',
      records: [{ type: 'CNAME', name: 'bot.example.com', value: 'hello-first.agents.localhost' }],
      agent: { name: 'hello' },
      namespace: 'first',
      isApex: false,
      liveAt: null,
    },
  })
  const { id } = added.body
  const waiting = await domains.until(alice, id, ({ checkedAt }) => checkedAt !== null)
  expect(waiting).toMatchObject({ status: 'pending', step: 'bot.example.com is not there.' })
  await domains.record('bot.example.com', 'CNAME', 'hello-first.agents.localhost')
  const live = await domains.until(alice, id, ({ status }) => status === 'live')
  expect(live).toMatchObject({
    step: null,
    failure: null,
    givenUpAt: null,
    certificate: { status: 'active', issuer: expect.any(String), expiresAt: expect.any(String) },
  })
  expect((await alice.call('GET', '/v1/agents/hello')).body.domains).toEqual([
    { hostname: 'bot.example.com', status: 'live' },
  ])
})

test('a removed name is gone at the provider before anybody else may have it', async () => {
  const alice = await cloud.person('second')
  const domain = await domains.live(alice, 'hello', 'gone.example.com')
  await domains.fault({
    kind: 'status',
    method: 'DELETE',
    path: '/client/v4/zones/*/custom_hostnames',
    status: 500,
    times: 3,
  })
  const removed = await alice.call('DELETE', '/v1/domains/gone.example.com')
  expect(removed).toMatchObject({
    status: 202,
    body: { status: 'live', step: expect.stringMatching(/taken away/) },
  })
  const mallory = await cloud.person('second-too')
  await mallory.call('POST', '/v1/agents', { name: 'hello' })
  expect((await domains.add(mallory, 'hello', 'gone.example.com')).body.code).toBe('hostname_unavailable')
  await domains.until(alice, domain.id, ({ status }) => status === 'removed')
  expect(await domains.hostnames()).not.toContainEqual(
    expect.objectContaining({ hostname: 'gone.example.com' }),
  )
  expect((await alice.call('GET', '/v1/domains/gone.example.com')).status).toBe(404)
  expect((await alice.call('GET', '/v1/agents/hello')).body.domains).toEqual([])
  expect((await domains.add(mallory, 'hello', 'gone.example.com')).status).toBe(201)
})

test('the same name on the same agent again is the same domain, on another agent it is told where it is', async () => {
  const alice = await cloud.person('third')
  for (const name of ['hello', 'other']) await alice.call('POST', '/v1/agents', { name })
  const first = await domains.add(alice, 'hello', 'same.example.com')
  expect((await domains.add(alice, 'hello', 'same.example.com')).body.id).toBe(first.body.id)
  const other = await domains.add(alice, 'other', 'same.example.com')
  expect(other).toMatchObject({
    status: 409,
    body: {
      code: 'conflict',
      detail: 'same.example.com is attached to the agent hello in third.',
      fix: 'Remove it there first: agentctl domains remove same.example.com',
    },
  })
})

test('the same key gives the same answer, and another request with it is refused', async () => {
  const alice = await cloud.person('fourth')
  await alice.call('POST', '/v1/agents', { name: 'hello' })
  const first = await domains.add(alice, 'hello', 'key.example.com', 'once')
  expect(await domains.add(alice, 'hello', 'key.example.com', 'once')).toEqual(first)
  expect((await domains.add(alice, 'hello', 'other.example.com', 'once')).body.code).toBe(
    'idempotency_mismatch',
  )
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => domains.add(alice, 'hello', 'busy.example.com', 'busy')),
  )
  for (const { status, body } of answers) {
    expect(status === 201 || body.code === 'idempotency_in_flight').toBe(true)
  }
  const { body } = await alice.call('GET', '/v1/domains?agent=hello')
  expect(body.domains.map(({ hostname }: { hostname: string }) => hostname)).toEqual([
    'busy.example.com',
    'key.example.com',
  ])
})

test('of two accounts that want a name at once one gets it, and neither is told of the other', async () => {
  const people = [await cloud.person('racer-a'), await cloud.person('racer-b')]
  for (const person of people) await person.call('POST', '/v1/agents', { name: 'hello' })
  const answers = await Promise.all(people.map((person) => domains.add(person, 'hello', 'raced.example.com')))
  expect(answers.map(({ status }) => status).sort()).toEqual([201, 409])
  const refused = answers.find(({ status }) => status === 409)
  expect(refused?.body).toMatchObject({
    code: 'hostname_unavailable',
    detail: 'raced.example.com cannot be attached.',
  })
  expect(JSON.stringify(refused?.body)).not.toMatch(/racer/)
})

test('a deleted agent takes its names along, at the provider first', async () => {
  const alice = await cloud.person('fifth')
  const domain = await domains.live(alice, 'hello', 'with-agent.example.com')
  await alice.call('DELETE', `/v1/agents/${domain.agent.id}`)
  await eventually(async () => {
    const left = await cloud.sql`
      select 1 from operations where subject = ${domain.agent.id} and kind = 'delete-agent' and state = 'pending'`
    return left.length === 0 ? true : undefined
  })
  expect(await cloud.sql`select 1 from domains where agent_id = ${domain.agent.id}`).toHaveLength(0)
  expect(await domains.hostnames()).not.toContainEqual(
    expect.objectContaining({ hostname: 'with-agent.example.com' }),
  )
})

test('a name beyond ASCII is stored as DNS has it and found as people write it', async () => {
  const alice = await cloud.person('sixth')
  await alice.call('POST', '/v1/agents', { name: 'hello' })
  const added = await domains.add(alice, 'hello', 'Bücher.example.com')
  expect(added.body).toMatchObject({
    hostname: 'xn--bcher-kva.example.com',
    records: [{ name: 'xn--bcher-kva.example.com' }],
  })
  const path = `/v1/domains/${encodeURIComponent('bücher.example.com')}`
  expect((await alice.call('GET', path)).body.id).toBe(added.body.id)
  expect((await domains.add(alice, 'hello', 'xn--bcher-kva.example.com')).body.id).toBe(added.body.id)
  await alice.call('POST', '/v1/agents', { name: 'other' })
  const { body } = await domains.add(alice, 'other', 'xn--bcher-kva.example.com')
  expect(body.detail).toMatch(
    /^bücher\.example\.com \(xn--bcher-kva\.example\.com\) is attached to the agent hello/,
  )
})

test('an account has so many names and no more', async () => {
  const alice = await cloud.person('greedy')
  const { body } = await alice.call('POST', '/v1/agents', { name: 'hello' })
  await cloud.sql`
    insert into domains (id, namespace_id, agent_id, hostname, status, created_at, attended_at, given_up_at)
    select 'dom_greedy' || n, ${alice.namespaceId}, ${body.id}, 'n' || n || '.example.org', 'pending', ${new Date()},
      ${new Date()}, ${new Date()}
    from generate_series(1, 100) n`
  expect((await domains.add(alice, 'hello', 'one-more.example.com')).body).toMatchObject({
    code: 'conflict',
    detail: 'An account has at most 100 domains.',
  })
})

test('a wait ends when something changes', async () => {
  const alice = await cloud.person('waiter')
  await alice.call('POST', '/v1/agents', { name: 'hello' })
  const { body } = await domains.add(alice, 'hello', 'waited.example.com')
  const step = encodeURIComponent(body.step)
  const changed = await alice.call('GET', `/v1/domains/${body.id}?waitSeconds=20&status=pending&step=${step}`)
  expect(changed.body.step).not.toBe(body.step)
})

test('an account that has never paid holds three names, and more from its first payment on', async () => {
  const alice = await cloud.person('unpaid', 0n)
  await alice.call('POST', '/v1/agents', { name: 'hello' })
  for (const n of [1, 2, 3]) {
    expect((await domains.add(alice, 'hello', `unpaid${n}.example.com`)).status).toBe(201)
  }
  expect(await domains.add(alice, 'hello', 'unpaid4.example.com')).toMatchObject({
    status: 409,
    body: {
      detail: 'Before its first payment an account has at most 3 domains.',
      fix: 'Top up first: agentctl billing deposit 25',
    },
  })
  await cloud.deposit(alice, 1_000_000n)
  expect((await domains.add(alice, 'hello', 'unpaid4.example.com')).status).toBe(201)
})

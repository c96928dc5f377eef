import { expect, test } from 'vitest'
import { file, plainConfig } from '../agents/test-cloud.ts'
import { setEnded } from './lifecycle-store.ts'
import { testDomains } from './test-domains.ts'

const domains = await testDomains({ work: false })
const { cloud } = domains

test('a plan says which names of agent.json will be attached, and which of the live release stay', async () => {
  const alice = await cloud.person('planner')
  const request = (names: string[]) => ({
    name: 'hello',
    config: { ...plainConfig, domains: names },
    files: [file('index.js', 'x')],
  })
  const plan = async (...names: string[]) => {
    const { status, body } = await alice.call('POST', '/v1/deploys/plan', request(names))
    if (status !== 200) throw new Error(JSON.stringify(body))
    return body
  }
  expect((await plan('one.example.com')).domains).toEqual({
    attach: ['one.example.com'],
    refused: [],
    keep: [],
  })
  const { body: deployed } = await alice.deploy('hello', 'x', { domains: ['one.example.com'] })
  await cloud.sql`update releases set status = 'live' where id = ${deployed.release.id}`
  await cloud.sql`
    update agents set release_id = ${deployed.release.id}, status = 'running' where id = ${deployed.agent.id}`
  await cloud.sql`update operations set state = 'done', finished_at = now() where subject = ${deployed.agent.id}`
  const { body: one } = await domains.add(alice, 'hello', 'one.example.com')
  await domains.add(alice, 'hello', 'bücher.example.com')

  expect((await plan('one.example.com')).domains).toEqual({ attach: [], refused: [], keep: [] })
  // As people write it, as DNS has it, and with the dot of the root it is one name.
  expect((await plan('one.example.com.', 'Bücher.example.com')).domains).toEqual({
    attach: [],
    refused: [],
    keep: [],
  })
  const doubled = await plan('Two.example.com', 'two.example.com.', 'no name', 'not one')
  expect(doubled.domains.attach).toEqual(['Two.example.com', 'no name', 'not one'])
  const moved = await plan('two.example.com')
  expect(moved.domains).toEqual({ attach: ['two.example.com'], refused: [], keep: ['one.example.com'] })
  expect(moved.changes.slice(-2)).toEqual([
    'Attach the domain two.example.com, once the release is live.',
    'Keep the domain one.example.com, which agent.json does not name any more.',
  ])
  // One that has failed is to be attached again; nothing is taken away of itself.
  await setEnded(cloud.deps.db.jobs, one.id, { status: 'failed', now: new Date() })
  expect((await plan('one.example.com')).domains).toEqual({
    attach: ['one.example.com'],
    refused: [],
    keep: [],
  })
  expect((await plan()).domains).toEqual({ attach: [], refused: [], keep: [] })
})

test('a plan promises no name that would be refused, and says why in the words of the refusal', async () => {
  const alice = await cloud.person('promised')
  const mallory = await cloud.person('holder')
  for (const [person, agent] of [
    [alice, 'other'],
    [mallory, 'hello'],
  ] as const) {
    await person.call('POST', '/v1/agents', { name: agent })
    await domains.add(person, agent, `held-by-${person.namespace}.example.com`)
  }
  const wished = [
    ...['not a name', 'co.uk', 'x.agents.localhost', '10.0.0.1'],
    ...['held-by-holder.example.com', 'held-by-promised.example.com', 'free.example.com'],
  ]
  const { body } = await alice.call('POST', '/v1/deploys/plan', {
    name: 'hello',
    config: { ...plainConfig, domains: wished },
    files: [file('index.js', 'x')],
  })
  await alice.call('POST', '/v1/agents', { name: 'hello' })
  const refusals: unknown[] = []
  for (const hostname of wished) {
    const added = await domains.add(alice, 'hello', hostname)
    const { code, detail: message, fix } = added.body
    if (added.status !== 201) refusals.push({ hostname, code, message, fix })
  }
  expect(body.domains).toEqual({ attach: wished, refused: refusals, keep: [] })
  expect(refusals).toHaveLength(wished.length - 1)
  expect(body.changes.filter((change: string) => change.startsWith('Attach'))).toEqual([
    'Attach the domain free.example.com, once the release is live.',
  ])
})

test('a plan counts the names that an account may still attach', async () => {
  const alice = await cloud.person('collector')
  const { body: agent } = await alice.call('POST', '/v1/agents', { name: 'hello' })
  await cloud.sql`
    insert into domains (id, namespace_id, agent_id, hostname, status, step, created_at, attended_at, given_up_at)
    select 'dom_held' || n, ${alice.namespaceId}, ${agent.id}, 'held' || n || '.example.com', 'pending', 'x', now(), now(), now()
    from generate_series(1, 99) n`
  const { body } = await alice.call('POST', '/v1/deploys/plan', {
    name: 'hello',
    config: { ...plainConfig, domains: ['last.example.com', 'over.example.com'] },
    files: [file('index.js', 'x')],
  })
  expect(body.domains.refused).toMatchObject([{ hostname: 'over.example.com', code: 'conflict' }])
})

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
  expect((await plan('one.example.com')).domains).toEqual({ attach: ['one.example.com'], keep: [] })
  const { body: deployed } = await alice.deploy('hello', 'x', { domains: ['one.example.com'] })
  await cloud.sql`update releases set status = 'live' where id = ${deployed.release.id}`
  await cloud.sql`
    update agents set release_id = ${deployed.release.id}, status = 'running' where id = ${deployed.agent.id}`
  const { body: one } = await domains.add(alice, 'hello', 'one.example.com')
  await domains.add(alice, 'hello', 'bücher.example.com')

  expect((await plan('one.example.com')).domains).toEqual({ attach: [], keep: [] })
  // As people write it, as DNS has it, and with the dot of the root it is one name.
  expect((await plan('one.example.com.', 'Bücher.example.com')).domains).toEqual({ attach: [], keep: [] })
  const doubled = await plan('Two.example.com', 'two.example.com.', 'no name', 'not one')
  expect(doubled.domains.attach).toEqual(['Two.example.com', 'no name', 'not one'])
  const moved = await plan('two.example.com')
  expect(moved.domains).toEqual({ attach: ['two.example.com'], keep: ['one.example.com'] })
  expect(moved.changes.slice(-2)).toEqual([
    'Attach the domain two.example.com, once the release is live.',
    'Keep the domain one.example.com, which agent.json does not name any more.',
  ])
  // One that has failed is to be attached again; nothing is taken away of itself.
  await setEnded(cloud.deps.db.jobs, one.id, { status: 'failed', now: new Date() })
  expect((await plan('one.example.com')).domains).toEqual({ attach: ['one.example.com'], keep: [] })
  expect((await plan()).domains).toEqual({ attach: [], keep: [] })
})

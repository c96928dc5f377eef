import { endpoints } from '@agentctl/contract/api.ts'
import { expect, test } from 'vitest'
import { chargeMeters } from '../billing/meters.ts'
import { deployLive, testCloud } from './test-cloud.ts'

const cloud = await testCloud()
await cloud.work()

test('usage names agents and their namespaces, also of agents that are gone, and nobody else’s', async () => {
  const alice = await cloud.person('using')
  const bob = await cloud.person('other')
  const first = await deployLive(cloud, alice, 'hello', 'x')
  await deployLive(cloud, bob, 'secret', 'x')
  cloud.advance(3600)
  await alice.call('DELETE', '/v1/agents/hello')
  // Another content: that of the first one goes with it at this moment.
  const second = await deployLive(cloud, alice, 'hello', 'y')
  cloud.advance(3600)
  await cloud.deps.db.work((tx) => chargeMeters(tx, cloud.deps.clock.now()))
  const { status, body } = await alice.call('GET', '/v1/billing/usage')
  expect(status).toBe(200)
  expect(endpoints['GET /v1/billing/usage'].response.safeParse(body)).toMatchObject({ success: true })
  const told = new Set(
    body.rows.map((row: Record<string, unknown>) => `${row.subject} ${row.namespace}/${row.agent}`),
  )
  expect(told).toEqual(new Set([`${first.agent.id} using/hello`, `${second.agent.id} using/hello`]))
  const own = await alice.call('GET', '/v1/billing/usage?namespace=using')
  const subjects = (rows: { subject: string }[]) => rows.map(({ subject }) => subject)
  expect(subjects(own.body.rows)).toEqual(subjects(body.rows))
  // Another's namespace, and one that nobody has, are the same.
  for (const name of ['other', 'nosuch']) {
    expect(await alice.call('GET', `/v1/billing/usage?namespace=${name}`)).toMatchObject({
      status: 404,
      body: { code: 'not_found' },
    })
  }
})

import { expect, test } from 'vitest'
import { eventually, type Person } from '../agents/test-cloud.ts'
import { openEdgeProbe } from '../providers/dns/edge-probe.ts'
import { domainWork } from './operations.ts'
import { testDomains } from './test-domains.ts'

const domains = await testDomains({ work: false })
const { cloud, deps } = domains
/** Nobody listens there. */
const REFUSING_PORT = 1

/** Several looks at a domain, one after the other, by a worker whose probe goes to this port. */
async function look(id: string, times: number, edgePort: number): Promise<void> {
  const edgeProbe = openEdgeProbe({ ...deps.config.domains, edgePort }, deps.liveDns)
  const worker = await cloud.work(domainWork({ ...deps, edgeProbe }))
  const visits = async (): Promise<number> => {
    const [row] = await cloud.sql<{ fencing: number; idle: boolean }[]>`
      select fencing::int as fencing, lease_until is null as idle from operations
      where subject = ${id} and state = 'pending'`
    return row?.idle ? row.fencing : -1
  }
  for (let time = 0; time < times; time++) {
    const before = await eventually(async () => ((await visits()) >= 0 ? await visits() : undefined))
    await domains.look(id)
    await eventually(async () => ((await visits()) > before ? true : undefined))
  }
  await worker.stop()
}

const shown = async (person: Person, id: string) => (await person.call('GET', `/v1/domains/${id}`)).body
const told = (person: Person) => cloud.sql`select kind from notices where account_id = ${person.account}`

test('a live name at which our own edge refuses connections stays live, and nobody is told that it is lost', async () => {
  const alice = await cloud.person('edge')
  const { edgePort } = deps.config.domains
  const attaching = await cloud.work(domainWork(deps))
  const { id } = await domains.live(alice, 'hello', 'edge.example.com')
  await attaching.stop()
  await look(id, 4, REFUSING_PORT)
  expect(await shown(alice, id)).toMatchObject({ status: 'live', step: null, failure: null })
  expect(await told(alice)).toEqual([])
  await look(id, 1, edgePort)
  expect(await shown(alice, id)).toMatchObject({ status: 'live', step: null, failure: null })
})

test('a name that is not live yet is told that our edge cannot be reached, and is not live before it can', async () => {
  const bob = await cloud.person('edge-too')
  await bob.call('POST', '/v1/agents', { name: 'hello' })
  const { body } = await domains.add(bob, 'hello', 'coming.example.com')
  await domains.record('coming.example.com', 'CNAME', await domains.target(bob, 'hello'))
  const edgeProbe = openEdgeProbe({ ...deps.config.domains, edgePort: REFUSING_PORT }, deps.liveDns)
  const refused = await cloud.work(domainWork({ ...deps, edgeProbe }))
  await domains.until(bob, body.id, ({ step }) => step === 'Our edge cannot be reached.')
  expect(await shown(bob, body.id)).toMatchObject({ status: 'verifying' })
  await refused.stop()
  await cloud.work(domainWork(deps))
  await domains.until(bob, body.id, ({ status }) => status === 'live')
})

import { expect, test } from 'vitest'
import { eventually } from '../agents/test-cloud.ts'
import { domainWork, scheduleDomainWork } from './operations.ts'
import { testDomains } from './test-domains.ts'

const domains = await testDomains()
const { cloud } = domains
const CALLS = '/client/v4/zones/*/custom_hostnames'
let names = 0

/** One faulty call of each kind, then none: the name is live in the end, and is there once. */
const faults: [string, Record<string, unknown>][] = [
  ['401', { kind: 'status', status: 401 }],
  ['403', { kind: 'status', status: 403 }],
  ['404 for the zone', { kind: 'status', status: 404 }],
  ['429 without Retry-After', { kind: 'status', status: 429 }],
  ['429 with Retry-After', { kind: 'status', status: 429, headers: { 'retry-after': '1' } }],
  ['500', { kind: 'status', status: 500 }],
  ['503 with HTML', { kind: 'html-503' }],
  [
    'success:false with 200',
    { kind: 'status', status: 200, body: '{"success":false,"errors":[],"messages":[],"result":null}' },
  ],
  [
    'an answer that breaks its own schema',
    { kind: 'status', status: 200, body: '{"success":true,"result":{"id":7}}' },
  ],
  ['a connection that ends before the effect', { kind: 'drop-before' }],
  ['a connection that ends after the effect', { kind: 'drop-after-effect' }],
  ['an error after the effect', { kind: 'error-after-effect' }],
]

test.each(faults)('an order that meets %s ends in one hostname that is live', async (_, fault) => {
  names += 1
  const person = await cloud.person(`order-${names}`)
  const hostname = `order-${names}.example.com`
  await person.call('POST', '/v1/agents', { name: 'hello' })
  await domains.record(hostname, 'CNAME', await domains.target(person, 'hello'))
  await domains.fault({ method: 'POST', path: CALLS, ...fault })
  const { body } = await domains.add(person, 'hello', hostname)
  await domains.until(person, body.id, ({ status }) => status === 'live')
  expect((await domains.hostnames()).filter((one) => one.hostname === hostname)).toHaveLength(1)
})

test('a name that the provider refuses has failed, in its words, and leaves nothing there', async () => {
  const person = await cloud.person('refused')
  await person.call('POST', '/v1/agents', { name: 'hello' })
  await domains.fault({
    kind: 'status',
    method: 'POST',
    path: CALLS,
    status: 400,
    body: '{"success":false,"errors":[{"code":1407,"message":"The hostname is on a deny list"}],"messages":[],"result":null}',
  })
  const { body } = await domains.add(person, 'hello', 'refused.example.com')
  const failed = await domains.until(person, body.id, ({ status }) => status === 'failed')
  expect(failed.failure).toMatchObject({
    reason: 'refused',
    message: expect.stringMatching(/^Cloudflare does not take this name: .*deny list/),
  })
  expect(await domains.hostnames()).not.toContainEqual(
    expect.objectContaining({ hostname: 'refused.example.com' }),
  )
})

test.each([
  ['500', { kind: 'status', status: 500, times: 4 }],
  ['404: it is gone already', { kind: 'status', status: 404, times: 1 }],
  ['a connection that ends after the effect', { kind: 'drop-after-effect', times: 1 }],
  ['429', { kind: 'status', status: 429, times: 2 }],
])('a removal that meets %s leaves no hostname and no operation', async (_, fault) => {
  names += 1
  const person = await cloud.person(`removal-${names}`)
  const hostname = `removal-${names}.example.com`
  await person.call('POST', '/v1/agents', { name: 'hello' })
  const { body } = await domains.add(person, 'hello', hostname)
  await domains.until(person, body.id, ({ checkedAt }) => checkedAt !== null)
  await domains.fault({ method: 'DELETE', path: CALLS, ...fault })
  await person.call('DELETE', `/v1/domains/${body.id}`)
  await domains.until(person, body.id, ({ status }) => status === 'removed')
  const left = await cloud.sql`select 1 from operations where subject = ${body.id} and state = 'pending'`
  expect(left).toHaveLength(0)
})

test('while the provider is away, that is told to whoever waits', async () => {
  const person = await cloud.person('away')
  await person.call('POST', '/v1/agents', { name: 'hello' })
  await domains.fault({ kind: 'html-503', path: CALLS, times: null })
  const { body } = await domains.add(person, 'hello', 'away.example.com')
  const waiting = await domains.until(person, body.id, ({ step }) => step !== body.step)
  expect(waiting).toMatchObject({
    status: 'pending',
    step: 'Cloudflare cannot be asked right now; it is tried again.',
  })
  await domains.control('DELETE', '/faults')
  await domains.until(person, body.id, ({ checkedAt }) => checkedAt !== null)
})

test('a hostname that nobody ordered is not taken over, and at the second sighting it is deleted', async () => {
  const { hostnames } = domains.deps
  await hostnames?.create('stray.example.com')
  await hostnames?.create('old.example.com')
  const before = await hostnames?.findByName('old.example.com')
  const person = await cloud.person('stray')
  await person.call('POST', '/v1/agents', { name: 'hello' })
  const { body } = await domains.add(person, 'hello', 'old.example.com')
  await domains.until(person, body.id, ({ checkedAt }) => checkedAt !== null)
  const after = await hostnames?.findByName('old.example.com')
  expect(after?.id).not.toBe(before?.id)
  expect(after?.ownership?.value).not.toBe(before?.ownership?.value)

  await scheduleDomainWork(domains.deps)
  const sightings = () => cloud.sql`select label from orphan_sightings where kind = 'hostname'`
  await eventually(async () => ((await sightings()).length > 0 ? true : undefined))
  const sighted = (await sightings()).map(({ label }) => label)
  expect(sighted).toContain('stray.example.com')
  expect(sighted).not.toContain('old.example.com')
  expect(await hostnames?.findByName('stray.example.com')).toBeDefined()
  domains.advance(1801)
  await domains.cloud.sql`update operations set run_at = clock_timestamp() where kind = 'sweep-hostnames'`
  await eventually(async () => ((await sightings()).length === 0 ? true : undefined))
  expect(await hostnames?.findByName('stray.example.com')).toBeUndefined()
  expect((await hostnames?.findByName('old.example.com'))?.id).toBe(after?.id)
})

test('more names than may be visited at once do not hold up other work', async () => {
  const busy = domainWork(domains.deps)
  const visits = Array.from({ length: 6 }, (_, at) =>
    busy.domain?.(
      {
        id: `op_${at}`,
        kind: 'domain',
        subject: 'dom_none',
        namespaceId: null,
        step: 'start',
        stepData: {},
        attempts: 0,
        createdAt: new Date(),
        fencing: 1n,
      },
      {} as never,
    ),
  )
  const outcomes = await Promise.all(visits)
  expect(outcomes.filter((outcome) => outcome !== 'settled' && outcome?.state === 'done')).toHaveLength(3)
  expect(outcomes.filter((outcome) => outcome !== 'settled' && outcome?.state === 'again')).toHaveLength(3)
})

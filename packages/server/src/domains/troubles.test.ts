import { expect, test } from 'vitest'
import { eventually } from '../agents/test-cloud.ts'
import { domainWork, scheduleDomainWork } from './operations.ts'
import { testDomains } from './test-domains.ts'

const domains = await testDomains()
const { cloud } = domains
const CALLS = '/client/v4/zones/*/custom_hostnames'
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

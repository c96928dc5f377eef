import { eventually, type Person } from '@agentctl/server/agents/test-cloud.ts'
import { scheduleDomainWork } from '@agentctl/server/domains/operations.ts'
import { testDomains } from '@agentctl/server/domains/test-domains.ts'
import { afterEach, expect, test } from 'vitest'
import { cliAgainst, errorOf } from './cli-against.ts'
import { cloudflareFailure, cloudflareTroubles } from './provider-errors.ts'

const domains = await testDomains({ timeoutMs: 800 })
const { cloud } = domains
const { run } = await cliAgainst(cloud)
await scheduleDomainWork(domains.deps)
afterEach(() => domains.control('DELETE', '/faults'))

const HOSTNAMES = '/client/v4/zones/*/custom_hostnames'
/** Calls of one life of a name, each of which goes wrong once. */
const CALLS = [
  ['GET', `${HOSTNAMES}$`],
  ['POST', `${HOSTNAMES}$`],
  ['GET', `${HOSTNAMES}/*$`],
  ['PATCH', `${HOSTNAMES}/*$`],
  ['DELETE', `${HOSTNAMES}/*$`],
] as const

let people = 0
async function owner(): Promise<{ person: Person; hostname: string }> {
  people += 1
  const person = await cloud.person(`user-${people}`)
  await person.call('POST', '/v1/agents', { name: 'hello' })
  return { person, hostname: `bot-${people}.example.com` }
}

async function sweep(): Promise<void> {
  const swept = () => cloud.sql<{ fencing: bigint; idle: boolean }[]>`
    select fencing, lease_until is null and attempts = 0 as idle from operations where kind = 'sweep-hostnames'`
  const [before] = await swept()
  await cloud.sql`update operations set run_at = clock_timestamp() where kind = 'sweep-hostnames'`
  await eventually(async () => {
    const [now] = await swept()
    return now?.idle && now.fencing > (before?.fencing ?? 0n) ? true : undefined
  })
}

/** What is at Cloudflare once the sweeper had its second sighting, and what is not done here. */
async function leftovers(domainId: string, hostname: string): Promise<unknown[]> {
  const there = async () => (await domains.hostnames()).filter((one) => one.hostname === hostname)
  if ((await there()).length > 0) {
    await sweep()
    domains.advance(1801)
    await sweep()
  }
  const work = await cloud.sql`
    select kind, state, last_error from operations where subject = ${domainId} and state = 'pending'`
  return [...(await there()), ...work]
}

test.each(cloudflareTroubles)(
  'a name comes and goes though each call meets $name once, and leaves nothing',
  async ({ fault }) => {
    const { person, hostname } = await owner()
    await domains.record(hostname, 'CNAME', await domains.target(person, 'hello'))
    for (const [method, path] of CALLS) await domains.fault({ ...fault, method, path })
    const { body } = await domains.add(person, 'hello', hostname)
    await domains.until(person, body.id, ({ status }) => status === 'live')
    expect((await domains.hostnames()).filter((one) => one.hostname === hostname)).toHaveLength(1)
    await person.call('DELETE', `/v1/domains/${body.id}`)
    await domains.until(person, body.id, ({ status }) => status === 'removed')
    expect(await (await domains.control('GET', '/faults')).json()).toEqual([])
    expect(await leftovers(body.id, hostname)).toEqual([])
  },
  60_000,
)

test.each(cloudflareTroubles)(
  'while Cloudflare answers with $name, whoever waits is told that it cannot be asked, with exit 8',
  async ({ fault }) => {
    const { person, hostname } = await owner()
    await domains.fault({ ...fault, path: HOSTNAMES, times: null })
    const { body } = await domains.add(person, 'hello', hostname)
    const step = 'Cloudflare cannot be asked right now; it is tried again.'
    await domains.until(person, body.id, (domain) => domain.step === step)
    const waited = await run(person, 'domains', 'wait', hostname, '--timeout', '0s')
    expect(errorOf(waited)).toBe(
      `error: ${hostname} is not settled yet: Cloudflare cannot be asked right now; it is tried again\n` +
        `It goes on. Wait on: agentctl domains wait ${hostname}\n`,
    )
    expect(waited.code).toBe(8)
    await domains.control('DELETE', '/faults')
    await person.call('DELETE', `/v1/domains/${body.id}`)
    await domains.until(person, body.id, ({ status }) => status === 'removed')
    expect(await leftovers(body.id, hostname)).toEqual([])
  },
  60_000,
)

test('one that cannot be taken away now is told so, is kept from everybody, and goes later', async () => {
  const { person, hostname } = await owner()
  const { id } = await domains.live(person, 'hello', hostname)
  await domains.fault({ kind: 'html-503', path: HOSTNAMES, times: null })
  const removing = await run(person, 'domains', 'remove', hostname, '--yes', '--timeout', '5s')
  expect(errorOf(removing).split('\n')[0]).toBe(
    `error: ${hostname} is not settled yet: Cloudflare cannot be asked right now; it is tried again`,
  )
  expect(removing.code).toBe(8)
  const { person: other } = await owner()
  const taken = await run(other, 'domains', 'add', hostname, '--agent', 'hello')
  expect(errorOf(taken).split('\n')[0]).toBe(`error: ${hostname} cannot be attached.`)
  expect(taken.code).toBe(1)
  await domains.control('DELETE', '/faults')
  await domains.until(person, id, ({ status }) => status === 'removed')
  expect(await leftovers(id, hostname)).toEqual([])
})

test.each([400, 422])(
  'a name that is refused with %i is exit 1 in its words, and leaves nothing',
  async (status) => {
    const { person, hostname } = await owner()
    const body = cloudflareFailure(1407, 'The hostname\nis on a deny list')
    await domains.fault({ kind: 'status', status, body, method: 'POST', path: `${HOSTNAMES}$` })
    const refused = await run(person, 'domains', 'add', hostname, '--agent', 'hello')
    expect(errorOf(refused)).toBe(
      `error: ${hostname} cannot be used. Cloudflare does not take this name: The hostname is on a deny list\n` +
        `See: agentctl domains check ${hostname}\n`,
    )
    expect(refused.code).toBe(1)
    const [row] = await cloud.sql<{ id: string; status: string }[]>`
    select id, status from domains where hostname = ${hostname}`
    expect(row?.status).toBe('failed')
    expect(await leftovers(row?.id ?? '', hostname)).toEqual([])
  },
)

test('a name that Cloudflare has for somebody else is given up after a while, in words', async () => {
  const { person, hostname } = await owner()
  const body = cloudflareFailure(1406, 'Duplicate custom hostname found.')
  await domains.fault({
    kind: 'status',
    status: 409,
    body,
    method: 'POST',
    path: `${HOSTNAMES}$`,
    times: null,
  })
  const { body: domain } = await domains.add(person, 'hello', hostname)
  const failed = await domains.until(person, domain.id, ({ status }) => status === 'failed')
  expect(failed.failure).toEqual({
    reason: 'taken_elsewhere',
    message: 'Cloudflare has this name for another service. It has to be taken away there first.',
  })
  expect(await leftovers(domain.id, hostname)).toEqual([])
})

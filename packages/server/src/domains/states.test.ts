import { expect, test } from 'vitest'
import type { Person } from '../agents/test-cloud.ts'
import { testDomains } from './test-domains.ts'

const DAY = 86_400
const domains = await testDomains()
const { cloud } = domains

async function notices(person: Person): Promise<{ kind: string; message: string; next: string | null }[]> {
  return cloud.sql`select kind, message, next from notices where account_id = ${person.account} order by created_at, id`
}

const hostnamesOf = async (name: string): Promise<unknown[]> =>
  (await domains.hostnames()).filter(({ hostname }) => hostname === name)

async function pending(person: Person, hostname: string): Promise<string> {
  await person.call('POST', '/v1/agents', { name: 'hello' })
  const { body } = await domains.add(person, 'hello', hostname)
  await domains.until(person, body.id, ({ checkedAt }) => checkedAt !== null)
  return body.id
}

test('a name that is blocked at the provider has failed, is told, and leaves nothing there', async () => {
  const alice = await cloud.person('blocked')
  const id = await pending(alice, 'blocked.example.com')
  await domains.control('POST', '/hostnames/blocked.example.com', { status: 'blocked' })
  await domains.record('blocked.example.com', 'CNAME', await domains.target(alice, 'hello'))
  const failed = await domains.until(alice, id, ({ status }) => status === 'failed')
  expect(failed.failure).toEqual({
    reason: 'blocked',
    message: 'Cloudflare has blocked this name, as it does with names that are known for abuse.',
  })
  expect(await hostnamesOf('blocked.example.com')).toEqual([])
  expect(await notices(alice)).toEqual([
    {
      kind: 'domain_failed',
      message:
        'The domain blocked.example.com of hello was given up. Cloudflare has blocked this name, as it does with names that are known for abuse.',
      next: 'agentctl domains add blocked.example.com --agent hello',
    },
  ])
})

test('a live name whose DNS moves away is doubted, then told, goes on being answered, and comes back', async () => {
  const alice = await cloud.person('moved')
  const { id } = await domains.live(alice, 'hello', 'moved.example.com')
  await domains.record('moved.example.com', 'CNAME', 'elsewhere.example.net')
  const lost = await domains.until(alice, id, ({ status }) => status === 'verifying')
  expect(lost).toMatchObject({
    failure: { reason: 'dns_moved', message: expect.stringContaining('elsewhere.example.net') },
    givenUpAt: expect.any(String),
  })
  expect((await notices(alice)).map(({ kind, message }) => [kind, message])).toEqual([
    [
      'domain_lost',
      'The domain moved.example.com of hello is not live any more. moved.example.com is a CNAME for elsewhere.example.net instead of hello-moved.agents.localhost. It is given up in seven days.',
    ],
  ])
  await domains.control('POST', '/hostnames/moved.example.com', { status: 'moved', isHeld: false })
  await domains.record('moved.example.com', 'CNAME', await domains.target(alice, 'hello'))
  const back = await domains.until(alice, id, ({ status }) => status === 'live')
  expect(back).toMatchObject({ failure: null, givenUpAt: null })
  expect((await notices(alice)).map(({ kind }) => kind)).toEqual(['domain_lost', 'domain_back'])
})

test('one wrong look at a live name changes nothing', async () => {
  const alice = await cloud.person('slip')
  const { id, liveAt } = await domains.live(alice, 'hello', 'slip.example.com')
  await domains.noRecord('slip.example.com')
  await domains.look(id)
  await expect
    .poll(async () => {
      const [row] = await cloud.sql<{ doubts: number }[]>`
        select (step_data->>'doubts')::int as doubts from operations where subject = ${id} and state = 'pending'`
      return row?.doubts
    })
    .toBe(1)
  await domains.record('slip.example.com', 'CNAME', await domains.target(alice, 'hello'))
  await domains.look(id)
  await expect
    .poll(async () => {
      const [row] = await cloud.sql<{ data: object }[]>`
        select step_data as data from operations where subject = ${id} and state = 'pending'`
      return row?.data
    })
    .toEqual({})
  expect((await alice.call('GET', `/v1/domains/${id}`)).body).toMatchObject({ status: 'live', liveAt })
  expect(await notices(alice)).toEqual([])
})

test('a live name that the provider has lost is registered again and told', async () => {
  const alice = await cloud.person('lost')
  const { id } = await domains.live(alice, 'hello', 'lost.example.com')
  const { hostnames } = domains.deps
  const found = await hostnames?.findByName('lost.example.com')
  await hostnames?.delete(found?.id ?? '')
  await domains.until(alice, id, ({ status }) => status !== 'live')
  await domains.until(alice, id, ({ status }) => status === 'live')
  expect((await hostnames?.findByName('lost.example.com'))?.id).not.toBe(found?.id)
  expect((await notices(alice)).map(({ kind }) => kind)).toEqual(['domain_lost', 'domain_back'])
})

test('a certificate that ran out of time is asked for again', async () => {
  const alice = await cloud.person('timeout')
  const id = await pending(alice, 'timeout.example.com')
  await domains.control('POST', '/hostnames/timeout.example.com', {
    sslStatus: 'validation_timed_out',
    isHeld: false,
  })
  await domains.record('timeout.example.com', 'CNAME', await domains.target(alice, 'hello'))
  await domains.until(alice, id, ({ status }) => status === 'live')
})

test('nobody is let in under a name before it is live, and only this name answers its probe', async () => {
  const alice = await cloud.person('routed')
  const id = await pending(alice, 'routed.example.com')
  const ask = async (host: string, path = '/') => {
    const { get } = await import('node:http')
    return new Promise<{ status: number; body: string }>((resolve, reject) => {
      get({ host: '127.0.0.1', port: domains.routerPort, path, headers: { host } }, (answer) => {
        let body = ''
        answer.setEncoding('utf8').on('data', (part: string) => {
          body += part
        })
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }))
      }).on('error', reject)
    })
  }
  const probe = `/.well-known/agentctl/${id}`
  expect((await ask('routed.example.com')).status).toBe(404)
  expect(await ask('routed.example.com', probe)).toEqual({ status: 200, body: `${id}\n` })
  expect((await ask('routed.example.com', '/.well-known/agentctl/dom_other')).status).toBe(404)
  expect((await ask('another.example.com', probe)).status).toBe(404)
  await domains.record('routed.example.com', 'CNAME', await domains.target(alice, 'hello'))
  await domains.until(alice, id, ({ status }) => status === 'live')
  await expect.poll(async () => (await ask('routed.example.com')).status).toBe(503)
  expect((await ask('ROUTED.example.com:443')).body).toMatch(/stopped/)
  await alice.call('DELETE', `/v1/domains/${id}`)
  await expect.poll(async () => (await ask('routed.example.com')).status).toBe(404)
})

// The last ones, for they move the clock of all.
test('after seven days without being live a name has failed, is told, and is free for others', async () => {
  const alice = await cloud.person('expired')
  const id = await pending(alice, 'expired.example.com')
  domains.advance(7 * DAY + 60)
  const failed = await domains.until(alice, id, ({ status }) => status === 'failed')
  expect(failed.failure).toEqual({
    reason: 'expired',
    message:
      'It was not live within seven days. The last thing it waited for: expired.example.com is not there.',
  })
  expect(await hostnamesOf('expired.example.com')).toEqual([])
  expect((await notices(alice)).map(({ kind }) => kind)).toEqual(['domain_failed'])
  const bob = await cloud.person('expired-too')
  await bob.call('POST', '/v1/agents', { name: 'hello' })
  expect((await domains.add(bob, 'hello', 'expired.example.com')).status).toBe(201)
  expect((await domains.add(alice, 'hello', 'expired.example.com')).body.code).toBe('hostname_unavailable')
})

test('one that failed may be tried again, as another domain', async () => {
  const alice = await cloud.person('again')
  const id = await pending(alice, 'again.example.com')
  domains.advance(7 * DAY + 60)
  await domains.until(alice, id, ({ status }) => status === 'failed')
  const second = await domains.add(alice, 'hello', 'again.example.com')
  expect(second).toMatchObject({ status: 201, body: { status: 'pending', failure: null } })
  expect(second.body.id).not.toBe(id)
  const { body } = await alice.call('GET', '/v1/domains?agent=hello')
  expect(body.domains).toHaveLength(1)
  await alice.call('DELETE', '/v1/domains/again.example.com')
  await domains.until(alice, second.body.id, ({ status }) => status === 'removed')
  expect((await alice.call('DELETE', '/v1/domains/again.example.com')).status).toBe(404)
})

test('a lost name that does not come back within seven days is given up', async () => {
  const alice = await cloud.person('never')
  const { id } = await domains.live(alice, 'hello', 'never.example.com')
  await domains.noRecord('never.example.com')
  await domains.until(alice, id, ({ status }) => status === 'verifying')
  domains.advance(7 * DAY + 60)
  await domains.until(alice, id, ({ status }) => status === 'failed')
  expect(await hostnamesOf('never.example.com')).toEqual([])
  expect((await notices(alice)).map(({ kind }) => kind)).toEqual(['domain_lost', 'domain_failed'])
})

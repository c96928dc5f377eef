import { afterEach, expect, test } from 'vitest'
import { Problem } from '../../platform/problem.ts'
import { Secret } from '../../platform/secret.ts'
import { cloudflareForTests } from './test-cloudflare.ts'

const { standIn, open, control, fault, record, requests, said } = await cloudflareForTests()
const hostnames = open()
const HOSTNAMES = `/client/v4/zones/${standIn.zoneId}/custom_hostnames`

afterEach(async () => {
  await control('DELETE', '/faults')
  await control('DELETE', '/requests')
  said.splice(0)
})

async function made(hostname: string): Promise<string> {
  const outcome = await hostnames.create(hostname)
  if (outcome.state !== 'created') throw new Error(outcome.state)
  return outcome.hostname.id
}

test('the zone is prepared once, and found prepared from then on', async () => {
  expect(await hostnames.prepare()).toEqual({ isReady: true, troubles: [] })
  const changes = (await requests()).filter(({ method }) => method !== 'GET')
  expect(changes.map(({ method, path }) => `${method} ${path.split('/').at(-1)}`)).toEqual([
    'POST dns_records',
    'PUT fallback_origin',
  ])
  expect(JSON.parse(changes[0]?.body ?? '')).toEqual({
    name: `*.${standIn.zoneName}`,
    type: 'CNAME',
    content: standIn.fallbackOrigin,
    proxied: true,
    ttl: 1,
    comment: 'agentctl:test',
  })
  await control('DELETE', '/requests')
  expect(await open().prepare()).toEqual({ isReady: true, troubles: [] })
  expect((await requests()).filter(({ method }) => method !== 'GET')).toEqual([])
})

test('what is in the way of the zone is told in words', async () => {
  const troubleOf = async (change: Parameters<typeof open>[0]) => (await open(change).prepare()).troubles[0]
  expect(await troubleOf({ environment: 'other' })).toBe(
    'The environment of the record *.agents.localhost, marked "agentctl:test", works in the same zone. Give each environment a zone of its own.',
  )
  expect(await troubleOf({ zoneName: 'agents.example' })).toBe(
    'The zone CLOUDFLARE_ZONE_ID is agents.localhost, but CLOUDFLARE_ZONE_NAME says agents.example. Correct one of them.',
  )
  expect(await troubleOf({ apiToken: new Secret('wrong') })).toBe(
    'The service cannot check the token CLOUDFLARE_API_TOKEN: Cloudflare answered 401 with error 1000. The token needs "DNS: Edit" and "SSL and Certificates: Edit" on the zone.',
  )
  expect(await troubleOf({ zoneId: 'f'.repeat(32) })).toContain('cannot look at the zone')
  const token = { id: 'x', status: 'disabled' }
  const body = { success: true, errors: [], messages: [], result: token }
  await fault({ kind: 'status', status: 200, body, method: 'GET', path: '/client/v4/user/tokens/verify' })
  expect(await troubleOf({})).toBe(
    'The token CLOUDFLARE_API_TOKEN is disabled. Make another one at Cloudflare.',
  )
})

test('a wildcard record that somebody else has made is left alone, one of ours is adopted', async () => {
  const path = `/client/v4/zones/${standIn.zoneId}/dns_records`
  const records = async () => {
    const answer = await fetch(standIn.url + path, {
      headers: { authorization: `Bearer ${standIn.apiToken}` },
    })
    return (await answer.json()) as { result: { id: string; name: string }[] }
  }
  const wildcard = (await records()).result.find(({ name }) => name.startsWith('*.'))
  const edit = (body: object) =>
    fetch(`${standIn.url}${path}/${wildcard?.id}`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${standIn.apiToken}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  await edit({ comment: 'mine' })
  expect((await open().prepare()).troubles[0]).toContain('is not marked "agentctl:test". It is left alone')
  await edit({ comment: 'agentctl:test', content: 'elsewhere.example.com' })
  expect(await open().prepare()).toEqual({ isReady: true, troubles: [] })
  // The answer to the first create was lost: the record is there, and is not made twice.
  await fetch(`${standIn.url}${path}/${wildcard?.id}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${standIn.apiToken}` },
  })
  await fault({ kind: 'drop-after-effect', method: 'POST', path })
  expect(await open().prepare()).toEqual({ isReady: true, troubles: [] })
  expect((await records()).result.filter(({ name }) => name.startsWith('*.'))).toHaveLength(1)
})

test('a hostname is ordered with one record to make, and seen through to its certificate', async () => {
  const id = await made('bot.example.com')
  const [order] = await requests('POST')
  expect(JSON.parse(order?.body ?? '')).toEqual({
    hostname: 'bot.example.com',
    ssl: { method: 'http', type: 'dv', settings: { min_tls_version: '1.2' } },
  })
  const waiting = await hostnames.find(id)
  expect(waiting).toMatchObject({
    hostname: 'bot.example.com',
    status: 'pending',
    ownership: { name: '_cf-custom-hostname.bot.example.com' },
    ssl: { issuer: undefined, expiresAt: undefined },
  })
  await record('bot.example.com', 'CNAME', `domains.${standIn.zoneName}`)
  expect(await hostnames.restartValidation(id)).toBe(true)
  await eventually(async () => (await hostnames.find(id))?.ssl.status === 'active')
  expect(await hostnames.findByName('bot.example.com')).toMatchObject({
    id,
    status: 'active',
    ownership: undefined,
    verificationErrors: [],
    ssl: { issuer: 'GoogleTrustServices', expiresAt: expect.any(Date), records: [], errors: [] },
  })
  await hostnames.delete(id)
  await hostnames.delete(id)
  expect(await hostnames.find(id)).toBeUndefined()
  expect(await hostnames.findByName('bot.example.com')).toBeUndefined()
  expect(await hostnames.restartValidation(id)).toBe(false)
})

test('what Cloudflare misses is read out of its answer', async () => {
  const id = await made('missing.example.com')
  await eventually(async () => ((await hostnames.find(id))?.ssl.errors.length ?? 0) > 0)
  const found = await hostnames.find(id)
  expect(found?.verificationErrors).toEqual(['custom hostname does not CNAME to this zone.'])
  expect(found?.ssl.records).toEqual([
    {
      type: 'HTTP',
      name: expect.stringMatching(/^http:\/\/missing\.example\.com\//),
      value: expect.any(String),
    },
  ])
  await hostnames.delete(id)
})

test('all hostnames are listed, from every page', async () => {
  const names = Array.from({ length: 53 }, (_, number) => `bot-${number}.example.net`)
  const call = (path: string, body: object) =>
    fetch(standIn.url + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${standIn.apiToken}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  for (const hostname of names) await call(HOSTNAMES, { hostname, ssl: { method: 'http', type: 'dv' } })
  const listed = (await hostnames.listOurs()).map(({ hostname }) => hostname)
  expect(names.filter((name) => !listed.includes(name))).toEqual([])
  expect(new Set(listed).size).toBe(listed.length)
  await expect(open({ environment: 'other' }).listOurs()).rejects.toMatchObject({
    code: 'provider_unavailable',
  })
})

test('an order is never repeated by itself, and says what is known about it', async () => {
  const success = { success: true, errors: [], messages: [] }
  const failure = (code: number, message: string) => ({
    body: { success: false, errors: [{ code, message }], messages: [], result: null },
  })
  for (const [kind, outcome] of [
    [{ kind: 'drop-before' }, { state: 'unknown' }],
    [{ kind: 'drop-after-effect' }, { state: 'unknown' }],
    [{ kind: 'error-after-effect' }, { state: 'unknown' }],
    [{ kind: 'html-503' }, { state: 'unknown' }],
    [{ kind: 'status', status: 200, ...failure(1000, 'no') }, { state: 'unknown' }],
    [{ kind: 'status', status: 200, body: { ...success, result: null } }, { state: 'unknown' }],
    [{ kind: 'status', status: 200, body: { ...success, result: { id: 7 } } }, { state: 'unknown' }],
    [{ kind: 'status', status: 200, body: 'not JSON' }, { state: 'unknown' }],
    [{ kind: 'status', status: 200, ...failure(1406, 'Duplicate') }, { state: 'taken' }],
    [{ kind: 'status', status: 409, ...failure(1406, 'Duplicate') }, { state: 'taken' }],
    [{ kind: 'status', status: 401, ...failure(10_000, 'Authentication error') }, { state: 'not_now' }],
    [{ kind: 'status', status: 403, ...failure(1405, 'quota') }, { state: 'not_now' }],
    [{ kind: 'status', status: 404, ...failure(7003, 'no zone') }, { state: 'not_now' }],
    [
      { kind: 'status', status: 422, ...failure(1407, 'not\na\u0000 name') },
      { state: 'refused', message: 'not a  name' },
    ],
    [{ kind: 'status', status: 429, ...failure(971, 'Please wait') }, { state: 'not_now' }],
  ] as const) {
    await control('DELETE', '/requests')
    await fault({ ...kind, method: 'POST', path: HOSTNAMES })
    const fresh = open()
    expect(await fresh.create('unsure.example.com')).toEqual(outcome)
    expect(await requests('POST')).toHaveLength(1)
    const left = await fresh.findByName('unsure.example.com')
    if (left) await fresh.delete(left.id)
  }
})

test('what is never answered is given up in time, and what never arrived is known not to have', async () => {
  const hurried = open({}, 300)
  for (const kind of ['hang', 'hang-after-effect'] as const) {
    await fault({ kind, method: 'POST', path: HOSTNAMES })
    expect(await hurried.create(`${kind}.example.com`)).toEqual({ state: 'unknown' })
  }
  expect(await hostnames.findByName('hang.example.com')).toBeUndefined()
  expect(await hostnames.findByName('hang-after-effect.example.com')).toMatchObject({ status: 'pending' })
  const nobody = open({ baseUrl: 'http://127.0.0.1:1' })
  expect(await nobody.create('x.example.com')).toEqual({ state: 'not_now' })
  expect((await nobody.prepare()).troubles[0]).toContain('Cloudflare does not answer')
})

test('a name that is there already is said to be taken, and found for adoption', async () => {
  const id = await made('twice.example.com')
  expect(await hostnames.create('twice.example.com')).toEqual({ state: 'taken' })
  expect(await hostnames.findByName('twice.example.com')).toMatchObject({ id })
})

test('a refused token is told to the operator by its numbers, never by its text', async () => {
  expect(await open({ apiToken: new Secret('a secret') }).create('x.example.com')).toEqual({
    state: 'not_now',
  })
  expect(said).toEqual(['Cloudflare refuses the token, or what it may do'])
})

test('reading is repeated while Cloudflare is in trouble, as late as it asks', async () => {
  await fault({ kind: 'drop-before', method: 'GET', path: HOSTNAMES })
  await fault({
    kind: 'status',
    status: 429,
    headers: { 'retry-after': '1' },
    method: 'GET',
    path: HOSTNAMES,
  })
  const begun = performance.now()
  expect(await open().findByName('nobody.example.com')).toBeUndefined()
  expect(performance.now() - begun).toBeGreaterThan(1000)
  expect(await requests('GET')).toHaveLength(3)
})

test('a block of five minutes is not waited out, and nothing is sent while it lasts', async () => {
  const blocked = open()
  await fault({
    kind: 'status',
    status: 429,
    headers: { 'retry-after': '300' },
    method: 'GET',
    path: HOSTNAMES,
  })
  await expect(blocked.find('x')).rejects.toMatchObject({
    code: 'provider_unavailable',
    retryAfterSeconds: 300,
  })
  expect(await blocked.create('x.example.com')).toEqual({ state: 'not_now' })
  await expect(blocked.delete('x')).rejects.toMatchObject({ code: 'provider_unavailable' })
  expect(await requests()).toHaveLength(1)
})

test('nothing but an answer counts as one: no empty list, no deletion', async () => {
  for (const kind of [
    { kind: 'html-503' },
    { kind: 'status', status: 200, body: { success: false, errors: [], messages: [], result: null } },
    { kind: 'status', status: 200, body: { success: true, errors: [], messages: [], result: null } },
    { kind: 'status', status: 403 },
  ]) {
    await control('DELETE', '/faults')
    await fault({ ...kind, method: 'GET', path: HOSTNAMES, times: null })
    const refusal = await open()
      .findByName('bot.example.com')
      .catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(Problem)
    expect(refusal).toMatchObject({
      code: 'provider_unavailable',
      message: expect.not.stringContaining('html'),
    })
  }
  await control('DELETE', '/faults')
  const id = await made('still.example.com')
  await fault({
    kind: 'status',
    status: 200,
    body: { success: false, errors: [], messages: [], result: null },
    method: 'DELETE',
    path: HOSTNAMES,
    times: null,
  })
  await expect(open().delete(id)).rejects.toMatchObject({ code: 'provider_unavailable' })
  await control('DELETE', '/faults')
  expect(await open().find(id)).toMatchObject({ id })
  expect(await open().find('../../zones')).toBeUndefined()
})

async function eventually(look: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 15_000
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error('It did not come to pass.')
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

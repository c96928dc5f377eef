import { afterEach, expect, test } from 'vitest'
import { temporaryDataDir } from '../temporary-data-dir.ts'
import { waitUntil } from '../wait-until.ts'
import { checked, startForTest } from './test-cloudflare.ts'

// Every request of every test, and every answer, is held against Cloudflare's document.
afterEach(() => {
  expect(checked.violations.splice(0)).toEqual([])
})

test('the documents are there, or their absence is said', ({ skip }) => {
  skip(checked.missing !== undefined, checked.missing)
})

test("Cloudflare's own client prepares a zone, and finds what it made", async () => {
  const { standIn, client, zone_id, makeReady } = await startForTest()
  expect(await client.user.tokens.verify()).toMatchObject({ status: 'active' })
  expect(await client.zones.get({ zone_id })).toMatchObject({ name: standIn.zoneName, status: 'active' })
  await expect(client.customHostnames.fallbackOrigin.get({ zone_id })).rejects.toMatchObject({ status: 404 })
  await makeReady()
  expect(await client.customHostnames.fallbackOrigin.get({ zone_id })).toMatchObject({
    origin: standIn.fallbackOrigin,
    status: 'active',
  })
  const name = `*.${standIn.zoneName}`
  const wanted = {
    zone_id,
    type: 'CNAME',
    name,
    content: standIn.fallbackOrigin,
    proxied: true,
    ttl: 1,
  } as const
  await expect(client.dns.records.create(wanted)).rejects.toMatchObject({
    status: 400,
    errors: [{ code: 81_058 }],
  })
  await expect(
    client.dns.records.create({ ...wanted, type: 'A', content: '192.0.2.1' }),
  ).rejects.toMatchObject({ errors: [{ code: 81_053 }] })
  const { result } = await client.dns.records.list({ zone_id, name: { exact: name } })
  expect(result).toHaveLength(1)
  const id = result[0]?.id ?? ''
  await client.dns.records.edit(id, { ...wanted, comment: 'agentctl:test' })
  const marked = await client.dns.records.list({ zone_id, comment: { startswith: 'agentctl:' } })
  expect(marked.result).toMatchObject([{ id, comment: 'agentctl:test', proxied: true }])
  await client.dns.records.delete(id, { zone_id })
  await expect(client.dns.records.get(id, { zone_id })).rejects.toMatchObject({ status: 404 })
  expect((await client.customHostnames.fallbackOrigin.delete({ zone_id })) as object).toMatchObject({
    status: 'pending_deletion',
  })
})

test('a hostname comes alive when its owner points it here, and says until then what is missing', async () => {
  const { order, comesTo, pointHere, control, find, makeReady } = await startForTest()
  await makeReady()
  const ordered = await order('bot.example.com')
  expect(ordered).toMatchObject({
    hostname: 'bot.example.com',
    status: 'pending',
    ssl: { status: 'initializing', method: 'http' },
    ownership_verification: { type: 'txt', name: '_cf-custom-hostname.bot.example.com' },
  })
  await control('POST', '/checks')
  const waiting = await comesTo(ordered.id, 'pending', 'pending_validation')
  expect(waiting.verification_errors).toEqual(['custom hostname does not CNAME to this zone.'])
  expect(waiting.ssl?.validation_records).toMatchObject([
    { http_url: expect.stringContaining('pki-validation') },
  ])

  expect((await pointHere('bot.example.com')).status).toBe(200)
  const live = await comesTo(ordered.id, 'active', 'active')
  expect(live.ssl).toMatchObject({ issuer: 'GoogleTrustServices', expires_on: expect.any(String) })
  expect(live.ownership_verification).toBeUndefined()
  expect(await find(ordered.id)).toEqual(live)
})

test('a name that still points elsewhere is proven by TXT records, and certified by one', async () => {
  const { order, comesTo, record, control } = await startForTest()
  await record('www.example.com', 'A', '203.0.113.7')
  const ordered = await order('www.example.com', 'txt')
  const { name = '', value = '' } = ordered.ownership_verification ?? {}
  await control('POST', '/checks')
  const waiting = await comesTo(ordered.id, 'pending', 'pending_validation')
  expect(waiting.verification_errors?.[0]).toContain(
    'None of the A or AAAA records are owned by this account',
  )
  const [{ txt_name = '', txt_value = '' } = {}] = waiting.ssl?.validation_records ?? []
  await record(name, 'TXT', 'something else', value)
  await record(txt_name, 'TXT', txt_value)
  await comesTo(ordered.id, 'active', 'active')
})

test('the challenges of the certificate authority can be left to Cloudflare by one CNAME', async () => {
  const { order, comesTo, record, client, zone_id } = await startForTest()
  const { uuid } = (await client.dcvDelegation.get({ zone_id })) as { uuid: string }
  const ordered = await order('www.example.com', 'txt')
  await record('_acme-challenge.www.example.com', 'CNAME', `www.example.com.${uuid}.dcv.cloudflare.com`)
  await client.customHostnames.edit(ordered.id, { zone_id, ssl: { method: 'txt', type: 'dv' } })
  await comesTo(ordered.id, 'pending', 'active')
})

test('a CAA record that names other authorities keeps the certificate away until it is changed', async () => {
  const { order, comesTo, record, pointHere, control, client, zone_id, makeReady } = await startForTest()
  await makeReady()
  await record('example.com', 'CAA', '0 issue "letsencrypt.org"')
  await pointHere('bot.example.com')
  const { id } = await order('bot.example.com')
  await control('POST', '/checks')
  const refused = await comesTo(id, 'active', 'pending_validation')
  expect(refused.ssl?.validation_errors).toEqual([
    { message: 'caa_error: CAA records block issuance by pki.goog' },
  ])
  await record(
    'example.com',
    'CAA',
    '0 issue "letsencrypt.org"',
    '0 issue "pki.goog; cansignhttpexchanges=yes"',
  )
  await client.customHostnames.edit(id, { zone_id, ssl: { method: 'http', type: 'dv' } })
  await comesTo(id, 'active', 'active')
})

test('what Cloudflare would not accept is refused in its shape of an error', async () => {
  const { order, client, clientWith, zone_id } = await startForTest()
  await order('bot.example.com')
  await expect(order('BOT.example.com')).rejects.toMatchObject({ status: 409, errors: [{ code: 1406 }] })
  for (const hostname of ['203.0.113.7', 'localhost', 'a..b', 'bad_name.example.com', 'café.example']) {
    await expect(order(hostname)).rejects.toMatchObject({ status: 400, errors: [{ code: 1407 }] })
  }
  await expect(order('x.example.com', 'pigeon' as never)).rejects.toMatchObject({ status: 400 })
  const extras = { zone_id, hostname: 'y.example.com', ssl: { method: 'http', type: 'dv' } } as const
  await expect(
    client.customHostnames.create({ ...extras, custom_metadata: { key: 'x' } }),
  ).rejects.toMatchObject({ status: 403, errors: [{ code: 1413 }] })
  await expect(client.customHostnames.get('nothing', { zone_id })).rejects.toMatchObject({
    status: 404,
    errors: [{ code: 1436 }],
  })
  await expect(client.zones.get({ zone_id: 'f'.repeat(32) })).rejects.toMatchObject({ status: 403 })
  const stranger = clientWith('wrong')
  await expect(stranger.zones.get({ zone_id })).rejects.toMatchObject({ status: 401 })
  await expect(stranger.user.tokens.verify()).rejects.toMatchObject({ errors: [{ code: 1000 }] })
  await expect(
    client.customHostnames.fallbackOrigin.update({ zone_id, origin: 'elsewhere.example.com' }),
  ).rejects.toMatchObject({ status: 400 })
})

test('after seven days without proof the hostname is deleted, and 75 looks have been the most', async () => {
  const { order, comesTo, find, control, later, laterDays } = await startForTest()
  await control('POST', '/settings', { checkSeconds: 60 })
  const { id } = await order('never.example.com')
  await control('POST', '/checks')
  await comesTo(id, 'pending', 'pending_validation')
  const looks = async () => (await control('GET', '/hostnames')).body[0]
  for (let seconds = 0; seconds < 6.9 * 86_400; ) {
    later(seconds)
    await control('POST', '/checks')
    seconds = Math.ceil((Date.parse((await looks()).nextCheckAt) - Date.now()) / 1000) + 1
  }
  const { checks } = await looks()
  expect(checks).toBeGreaterThan(70)
  expect(checks).toBeLessThan(80)
  expect(await find(id)).toMatchObject({ status: 'pending' })
  laterDays(7.1)
  const isGone = async () => (await find(id).catch((error) => error.status)) === 404
  expect(await waitUntil(isGone, { withinMs: 5_000 })).toBe(true)
})

test('a name that is pointed elsewhere has moved, comes back, and is deleted if it stays away', async () => {
  const { order, comesTo, pointHere, record, control, find, laterDays, makeReady } = await startForTest()
  await makeReady()
  await pointHere('bot.example.com')
  const { id } = await order('bot.example.com')
  await control('POST', '/checks')
  await comesTo(id, 'active', 'active')
  await control('DELETE', '/dns?name=bot.example.com')
  await record('bot.example.com', 'A', '203.0.113.7')
  await control('POST', '/checks')
  expect(await find(id)).toMatchObject({ status: 'moved' })

  await control('DELETE', '/dns?name=bot.example.com')
  await pointHere('bot.example.com')
  await control('POST', '/checks')
  expect(await find(id)).toMatchObject({ status: 'active' })
  await control('DELETE', '/dns?name=bot.example.com')
  await control('POST', '/dns/faults', { name: 'bot.example.com', kind: 'servfail' })
  await control('POST', '/checks')
  expect(await find(id)).toMatchObject({ status: 'active' })
  await control('DELETE', '/dns/faults')
  await control('POST', '/checks')
  expect(await find(id)).toMatchObject({ status: 'moved' })
  laterDays(7.1)
  const isGone = async () => (await find(id).catch((error) => error.status)) === 404
  expect(await waitUntil(isGone, { withinMs: 5_000 })).toBe(true)
})

test('certificates are renewed while the name points here, and expire when it no longer does', async () => {
  const { order, comesTo, pointHere, record, control, laterDays, makeReady } = await startForTest()
  await makeReady()
  for (const name of ['stays.example.com', 'leaves.example.com']) await pointHere(name)
  const stays = await order('stays.example.com')
  const leaves = await order('leaves.example.com')
  await control('POST', '/checks')
  const first = await comesTo(stays.id, 'active', 'active')
  await comesTo(leaves.id, 'active', 'active')
  // Still proven, and led elsewhere: no authority finds its token any more.
  const { name = '', value = '' } = leaves.ownership_verification ?? {}
  await record(name, 'TXT', value)
  await control('DELETE', '/dns?name=leaves.example.com')
  await record('leaves.example.com', 'A', '203.0.113.7')
  laterDays(61)
  await control('POST', '/checks')
  const renewed = await comesTo(stays.id, 'active', 'active')
  expect(renewed.ssl?.serial_number).not.toBe(first.ssl?.serial_number)
  const failing = await comesTo(leaves.id, 'active', 'active')
  expect(failing.ssl?.validation_errors).toHaveLength(1)
  laterDays(91)
  await comesTo(leaves.id, 'active', 'expired')
  await comesTo(stays.id, 'active', 'active')
})

test('states that only Cloudflare brings about are set at will, and stay whatever the DNS says', async () => {
  const { order, find, pointHere, control } = await startForTest()
  await pointHere('bot.example.com')
  const { id } = await order('bot.example.com')
  const set = { status: 'blocked', sslStatus: 'validation_timed_out' }
  expect((await control('POST', '/hostnames/bot.example.com', set)).status).toBe(200)
  await control('POST', '/checks')
  expect(await find(id)).toMatchObject({ status: 'blocked', ssl: { status: 'validation_timed_out' } })
  expect((await control('POST', '/hostnames/bot.example.com', { status: 'gone' })).status).toBe(400)
  expect((await control('POST', '/hostnames/other.example.com', set)).status).toBe(404)
})

test('hostnames are listed page by page and by name, and everything survives a restart', async () => {
  const dataDir = temporaryDataDir()
  const first = await startForTest(dataDir)
  for (let number = 0; number < 7; number++) await first.order(`bot-${number}.example.com`)
  await first.record('bot-0.example.com', 'TXT', 'kept')
  const { url, apiToken, zoneId, dns, edge } = first.standIn
  await first.standIn.stop()
  const { standIn, client, zone_id, control } = await startForTest(dataDir)
  expect([standIn.url, standIn.apiToken, standIn.zoneId, standIn.dns, standIn.edge]).toEqual([
    ...[url, apiToken, zoneId, dns, edge],
  ])
  expect((await control('GET', '/dns')).body).toEqual([
    { name: 'bot-0.example.com', type: 'TXT', values: ['kept'] },
  ])
  const seen: string[] = []
  for await (const { hostname } of client.customHostnames.list({ zone_id, per_page: 5 })) seen.push(hostname)
  expect(seen).toHaveLength(7)
  const exact = await client.customHostnames.list({ zone_id, hostname: { exact: 'bot-3.example.com' } })
  expect(exact.result.map(({ hostname }) => hostname)).toEqual(['bot-3.example.com'])
  const [found] = exact.result
  await client.customHostnames.delete(found?.id ?? '', { zone_id })
  await expect(client.customHostnames.delete(found?.id ?? '', { zone_id })).rejects.toMatchObject({
    status: 404,
  })
})

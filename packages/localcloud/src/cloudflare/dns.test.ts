import { Resolver } from 'node:dns/promises'
import { createConnection } from 'node:net'
import { decode, streamEncode } from 'dns-packet'
import { expect, test } from 'vitest'
import { startForTest } from './test-cloudflare.ts'

async function start() {
  const cloudflare = await startForTest()
  const { address, port } = cloudflare.standIn.dns
  const ask = () => {
    const resolver = new Resolver({ timeout: 300, tries: 1 })
    resolver.setServers([`${address}:${port}`])
    return resolver
  }
  return { ...cloudflare, ask, port }
}

test('the zone answers with what the API has made; proxied records lead to the edge and nowhere else', async () => {
  const { ask, makeReady, client, zone_id, standIn } = await start()
  const name = `anything.${standIn.zoneName}`
  await expect(ask().resolve4(name)).rejects.toMatchObject({ code: 'ENOTFOUND' })
  await makeReady()
  expect(await ask().resolve4(name)).toEqual(['127.0.0.1'])
  await expect(ask().resolve6(name)).rejects.toMatchObject({ code: 'ENODATA' })
  await expect(ask().resolveCname(name)).rejects.toMatchObject({ code: 'ENODATA' })
  const mail = { zone_id, name: `mail.${standIn.zoneName}`, ttl: 1 } as const
  await client.dns.records.create({ ...mail, type: 'A', content: '192.0.2.9' })
  await client.dns.records.create({ ...mail, type: 'TXT', content: 'v=spf1 -all' })
  expect(await ask().resolve4(mail.name)).toEqual(['192.0.2.9'])
  expect(await ask().resolveTxt(mail.name)).toEqual([['v=spf1 -all']])
  expect(await ask().resolveSoa(standIn.zoneName)).toMatchObject({ nsname: 'ns1.dns.example' })
})

test('names of the rest of the world are what their owners set, CNAMEs followed', async () => {
  const { ask, record, pointHere, makeReady, control, standIn } = await start()
  await makeReady()
  await pointHere('bot.example.com')
  await record('www.example.com', 'CNAME', 'bot.example.com')
  await record('v6.example.com', 'AAAA', '2001:db8::1')
  await record('example.com', 'CAA', '0 issue "pki.goog"', '128 iodef "mailto:a@example.com"')
  await record('sub.example.org', 'NS', 'ns.elsewhere.example')
  expect(await ask().resolve4('WWW.example.com')).toEqual(['127.0.0.1'])
  expect(await ask().resolveCname('bot.example.com')).toEqual([`domains.${standIn.zoneName}`])
  expect(await ask().resolve6('v6.example.com')).toEqual(['2001:db8::1'])
  expect(await ask().resolveCaa('example.com')).toMatchObject([
    { critical: 0, issue: 'pki.goog' },
    { critical: 128, iodef: 'mailto:a@example.com' },
  ])
  expect(await ask().resolveSoa('example.com')).toBeDefined()
  expect(await ask().resolveSoa('sub.example.org')).toBeDefined()
  await expect(ask().resolveSoa('v6.example.com')).rejects.toMatchObject({ code: 'ENODATA' })
  await expect(ask().resolve4('example.com')).rejects.toMatchObject({ code: 'ENODATA' })
  await expect(ask().resolve4('nobody.example.com')).rejects.toMatchObject({ code: 'ENOTFOUND' })
  await control('DELETE', '/dns?name=bot.example.com&type=CNAME')
  await expect(ask().resolve4('bot.example.com')).rejects.toMatchObject({ code: 'ENOTFOUND' })
})

test('records that cannot be are refused with a reason', async () => {
  const { record, standIn } = await start()
  await record('bot.example.com', 'TXT', 'x')
  for (const [name, type, ...values] of [
    ['bot.example.com', 'CNAME', 'a.example'],
    ['two.example.com', 'CNAME', 'a.example', 'b.example'],
    ['a.example.com', 'A', '1.2.3'],
    ['a.example.com', 'CAA', 'issue pki.goog'],
    ['a.example.com', 'MX', 'mail.example.com'],
    ['-.example.com', 'A', '1.2.3.4'],
    [`x.${standIn.zoneName}`, 'A', '1.2.3.4'],
    ['a.example.com', 'A'],
  ] as const) {
    const answer = await record(name, type, ...values)
    expect([answer.status, typeof answer.body.error]).toEqual([400, 'string'])
  }
})

test('what goes wrong with DNS goes wrong on request', async () => {
  const { ask, record, control } = await start()
  await record('bot.example.com', 'A', '192.0.2.1')
  for (const [kind, code] of [
    ['servfail', 'ESERVFAIL'],
    ['refused', 'EREFUSED'],
    ['nxdomain', 'ENOTFOUND'],
    ['timeout', 'ETIMEOUT'],
  ] as const) {
    await control('POST', '/dns/faults', { name: 'example.com', kind })
    await expect(ask().resolve4('bot.example.com')).rejects.toMatchObject({ code })
  }
  expect((await control('POST', '/dns/faults', { name: 'example.com', kind: 'x' })).status).toBe(400)
  await control('DELETE', '/dns/faults')
  expect(await ask().resolve4('bot.example.com')).toEqual(['192.0.2.1'])
})

test('what does not fit into a datagram is asked for over TCP, and garbage is passed over', async () => {
  const { ask, record, port } = await start()
  const texts = Array.from({ length: 40 }, (_, number) => `${number} ${'x'.repeat(300)}`)
  await record('long.example.com', 'TXT', ...texts)
  const found = await ask().resolveTxt('long.example.com')
  expect(found.map((parts) => parts.join(''))).toEqual(texts)

  const socket = createConnection({ host: '127.0.0.1', port })
  socket.write(Buffer.from([0, 3, 1, 2, 3]))
  socket.write(
    streamEncode({ type: 'query', id: 7, questions: [{ type: 'TXT', name: 'nobody.example.com' }] }),
  )
  const answer = await new Promise<Buffer>((resolve) => socket.once('data', resolve))
  expect(decode(answer.subarray(2))).toMatchObject({ id: 7, type: 'response', rcode: 'NXDOMAIN' })
  socket.destroy()
})

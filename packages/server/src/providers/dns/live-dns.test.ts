import { expect, test } from 'vitest'
import { openLiveDns } from './live-dns.ts'
import { cloudflareForTests } from './test-cloudflare.ts'

const { standIn, open, record, control, domains } = await cloudflareForTests()
await open().prepare()
const dns = openLiveDns(domains.dnsServers)

test('what is there is found, however it is written', async () => {
  await record('www.example.com', 'CNAME', 'bot.example.com')
  await record('bot.example.com', 'CNAME', domains.target)
  await record('example.com', 'A', '192.0.2.1', '192.0.2.2')
  await record('example.com', 'AAAA', '2001:db8::1')
  await record('_proof.example.com', 'TXT', 'one', 'x'.repeat(600))
  await record('example.com', 'CAA', '0 issue "letsencrypt.org"', '128 issuewild ";"')
  expect(await dns.findCnameChain('www.example.com')).toEqual({
    state: 'found',
    value: ['bot.example.com', domains.target],
  })
  expect(await dns.findAddresses('bot.example.com')).toEqual({ state: 'found', value: ['127.0.0.1'] })
  expect(await dns.findAddresses('example.com')).toEqual({
    state: 'found',
    value: ['192.0.2.1', '192.0.2.2', '2001:db8::1'],
  })
  expect(await dns.findTexts('_proof.example.com')).toEqual({
    state: 'found',
    value: ['one', 'x'.repeat(600)],
  })
  expect(await dns.findCaa('deep.below.example.com')).toEqual({
    state: 'found',
    value: {
      at: 'example.com',
      records: [
        { critical: false, tag: 'issue', value: 'letsencrypt.org' },
        { critical: true, tag: 'issuewild', value: ';' },
      ],
    },
  })
})

test('the top of a zone is told from the names in it, and from names that only lead to one', async () => {
  await record('example.net', 'TXT', 'x')
  await record('leads.example.org', 'CNAME', 'example.net')
  await record('plain.example.org', 'A', '192.0.2.1')
  expect(await dns.isApex('example.net')).toEqual({ state: 'found', value: true })
  expect(await dns.isApex(standIn.zoneName)).toEqual({ state: 'found', value: true })
  for (const name of ['leads.example.org', 'plain.example.org', 'nobody.example.org']) {
    expect(await dns.isApex(name)).toEqual({ state: 'found', value: false })
  }
})

test('not there is an answer', async () => {
  await record('there.example.com', 'TXT', 'x')
  for (const name of ['there.example.com', 'nobody.example.com', 'a..b', `${'x'.repeat(64)}.example.com`]) {
    expect(await dns.findAddresses(name)).toEqual({ state: 'absent' })
    expect(await dns.findCnameChain(name)).toEqual({ state: 'absent' })
  }
  expect(await dns.findTexts('nobody.example.com')).toEqual({ state: 'absent' })
  expect(await dns.findCaa('nobody.example.test')).toEqual({ state: 'absent' })
})

test('nobody to be asked is not the same as not there', async () => {
  await record('troubled.example.com', 'A', '192.0.2.1')
  for (const [kind, reason] of [
    ['servfail', 'servers_failed'],
    ['refused', 'refused'],
    ['timeout', 'timeout'],
  ] as const) {
    await control('POST', '/dns/faults', { name: 'troubled.example.com', kind })
    const unavailable = { state: 'unavailable', reason }
    const [addresses, chain, texts, caa, apex] = await Promise.all([
      dns.findAddresses('troubled.example.com'),
      dns.findCnameChain('troubled.example.com'),
      dns.findTexts('troubled.example.com'),
      dns.findCaa('troubled.example.com'),
      dns.isApex('troubled.example.com'),
    ])
    expect([addresses, chain, texts, caa, apex]).toEqual(Array(5).fill(unavailable))
  }
  await control('DELETE', '/dns/faults')
  expect(await openLiveDns(['127.0.0.1:1']).findTexts('x.example.com')).toMatchObject({
    state: 'unavailable',
  })
})

test('a change is seen by the very next question, and a circle is no endless one', async () => {
  await record('turn.example.com', 'CNAME', 'a.example.com')
  expect(await dns.findCnameChain('turn.example.com')).toMatchObject({ value: ['a.example.com'] })
  await record('turn.example.com', 'CNAME', 'b.example.com')
  expect(await dns.findCnameChain('turn.example.com')).toMatchObject({ value: ['b.example.com'] })
  await record('b.example.com', 'CNAME', 'turn.example.com')
  expect(await dns.findCnameChain('turn.example.com')).toMatchObject({
    value: ['b.example.com', 'turn.example.com'],
  })
})

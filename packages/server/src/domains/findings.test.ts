import type { Finding } from '@agentctl/contract/domains.ts'
import { expect, test } from 'vitest'
import { testDomains } from './test-domains.ts'

const domains = await testDomains()
const alice = await domains.cloud.person('alice')
await alice.call('POST', '/v1/agents', { name: 'hello' })
const TARGET = 'hello-alice.agents.localhost'

/** Attaches a name with these records and checks it. */
async function check(hostname: string, records: [name: string, type: string, ...values: string[]][] = []) {
  for (const record of records) await domains.record(...record)
  const { body } = await domains.add(alice, 'hello', hostname)
  // At an apex the provider's part of the records comes after the answer.
  await domains.until(alice, body.id, ({ checkedAt }) => checkedAt !== null)
  const checked = await alice.call('POST', `/v1/domains/${hostname}/check`)
  expect(checked.status).toBe(200)
  const findings: Finding[] = checked.body.findings
  return { findings, said: findings.map(({ state, message, fix }) => [state, message, fix].join(' | ')) }
}

test('a name that is not there', async () => {
  expect((await check('missing.example.com')).said).toEqual([
    `missing | missing.example.com is not there. | Create the CNAME missing.example.com for ${TARGET}.`,
  ])
})

test('a CNAME for something else is shown', async () => {
  const { findings, said } = await check('other.example.com', [
    ['other.example.com', 'CNAME', 'somewhere.example.net'],
  ])
  expect(said).toEqual([
    `other_value | other.example.com is a CNAME for somewhere.example.net instead of ${TARGET}. | Change its CNAME to ${TARGET}.`,
  ])
  expect(findings[0]).toMatchObject({ expected: TARGET, found: ['somewhere.example.net'] })
})

test("a CNAME for another agent's address is another value: a forgotten one is of no use to others", async () => {
  const mallory = await domains.cloud.person('mallory')
  await mallory.call('POST', '/v1/agents', { name: 'hello' })
  const { said } = await check('theirs.example.com', [
    ['theirs.example.com', 'CNAME', 'hello-mallory.agents.localhost'],
  ])
  expect(said[0]).toMatch(/^other_value \| theirs.example.com is a CNAME for hello-mallory.agents.localhost/)
})

test('a CNAME by way of another one is right', async () => {
  const { said } = await check('chained.example.com', [
    ['chained.example.com', 'CNAME', 'middle.example.net'],
    ['middle.example.net', 'CNAME', TARGET],
  ])
  expect(said).toEqual(['right | chained.example.com is right. | '])
})

test('addresses instead of a CNAME', async () => {
  const { said } = await check('addresses.example.com', [['addresses.example.com', 'A', '192.0.2.1']])
  expect(said).toEqual([
    `other_value | addresses.example.com leads to 192.0.2.1 instead of ${TARGET}. | Remove its A and AAAA records, and create the CNAME addresses.example.com for ${TARGET}.`,
  ])
})

test('a proxy of somebody else in front', async () => {
  const { said } = await check('proxied.example.com', [['proxied.example.com', 'A', '104.21.7.9']])
  expect(said).toEqual([
    `proxied | A proxy of Cloudflare that is not ours answers for proxied.example.com, with 104.21.7.9. | At Cloudflare, set the record of proxied.example.com to "DNS only" (a grey cloud), as a CNAME for ${TARGET}.`,
  ])
})

test('an apex needs its CNAME flattened, and a TXT record that says whose it is', async () => {
  const { findings, said } = await check('example.org', [['example.org', 'A', '192.0.2.1']])
  expect(said[0]).toBe(
    `needs_flattening | example.org is the apex of its zone and leads to 192.0.2.1. | A CNAME cannot be there: flatten one for ${TARGET} (some call it ALIAS or ANAME), or attach www.example.org and redirect to it.`,
  )
  expect(findings[1]).toMatchObject({
    type: 'TXT',
    name: '_cf-custom-hostname.example.org',
    state: 'missing',
  })
})

test('a flattened apex is live only with the TXT record: everybody has the same addresses', async () => {
  const edge = await domains.deps.liveDns.findAddresses(TARGET)
  const addresses = edge.state === 'found' ? edge.value : []
  const { findings } = await check('example.net', [['example.net', 'A', ...addresses]])
  expect(findings.map(({ type, state }) => [type, state])).toEqual([
    ['CNAME', 'right'],
    ['TXT', 'missing'],
  ])
  const { body } = await alice.call('GET', '/v1/domains/example.net')
  expect(body).toMatchObject({ status: 'pending', isApex: true, records: [{}, { type: 'TXT' }] })
  await domains.record('_cf-custom-hostname.example.net', 'TXT', body.records[1].value)
  await domains.until(alice, body.id, ({ status }) => status === 'live')
})

test('an apex that leads elsewhere besides is told which records have to go', async () => {
  const edge = await domains.deps.liveDns.findAddresses(TARGET)
  const addresses = edge.state === 'found' ? edge.value : []
  const { findings, said } = await check('example.edu', [['example.edu', 'A', ...addresses, '192.0.2.1']])
  expect(said[0]).toBe(
    `other_value | example.edu leads to 192.0.2.1 besides ${TARGET}. | Remove its records for 192.0.2.1.`,
  )
  expect(findings[1]).toMatchObject({ type: 'TXT', state: 'missing' })
  const { said: below } = await check('both.example.edu', [
    ['both.example.edu', 'A', ...addresses, '192.0.2.1'],
  ])
  expect(below[0]).toContain('create the CNAME both.example.edu')
})

test('CAA records that forbid the certificate, at the name or above it', async () => {
  const { findings, said } = await check('bot.strict.example.com', [
    ['bot.strict.example.com', 'CNAME', TARGET],
    ['strict.example.com', 'CAA', '0 issue "example-ca.com"'],
  ])
  expect(said[1]).toBe(
    'caa_forbids | The CAA records of strict.example.com forbid the certificate of bot.strict.example.com: they allow example-ca.com. | Add this CAA record at strict.example.com: 0 issue "pki.goog"',
  )
  expect(findings[1]).toMatchObject({ type: 'CAA', name: 'strict.example.com' })
  const { body } = await alice.call('GET', '/v1/domains/bot.strict.example.com')
  const stuck = await domains.until(alice, body.id, ({ step }) => step?.includes('certificate') ?? false)
  expect(stuck.step).toMatch(/certificate is not issued yet\. The CAA records of strict.example.com forbid/)
  await domains.record('strict.example.com', 'CAA', '0 issue "example-ca.com"', '0 issue "pki.goog"')
  await domains.control('POST', '/checks')
  await domains.until(alice, body.id, ({ status }) => status === 'live')
  expect((await alice.call('POST', `/v1/domains/${body.id}/check`)).body.findings).toHaveLength(1)
})

test('DNS that does not answer is told from a record that is not there', async () => {
  await domains.control('POST', '/dns/faults', { name: 'silent.example.com', kind: 'servfail' })
  const { said } = await check('silent.example.com')
  expect(said[0]).toMatch(/^not_answered \| DNS could not be asked about silent.example.com\./)
  await domains.control('DELETE', '/dns/faults')
})

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, expect, test } from 'vitest'
import { openEdgeProbe } from './edge-probe.ts'
import { openLiveDns } from './live-dns.ts'
import { cloudflareForTests } from './test-cloudflare.ts'

const { standIn, open, control, record, domains } = await cloudflareForTests()
const hostnames = open()
await hostnames.prepare()
const dns = openLiveDns(domains.dnsServers)
const probe = openEdgeProbe(domains, dns)

const origin = createServer((incoming, response) => {
  if (incoming.url === '/endless') {
    setInterval(() => response.write('x'.repeat(1000)), 1).unref()
    return
  }
  response.writeHead(incoming.url === '/teapot' ? 418 : 200).end(`${incoming.headers.host} ${incoming.url}`)
})
origin.listen(0, '127.0.0.1')
await once(origin, 'listening')
standIn.setOrigin(`http://127.0.0.1:${(origin.address() as AddressInfo).port}`)
afterAll(() => {
  origin.closeAllConnections()
  origin.close()
})

async function attach(name: string): Promise<string> {
  await record(name, 'CNAME', domains.target)
  const outcome = await hostnames.create(name)
  if (outcome.state !== 'created') throw new Error(outcome.state)
  const { id } = outcome.hostname
  const deadline = performance.now() + 15_000
  await control('POST', '/checks')
  while ((await hostnames.find(id))?.ssl.status !== 'active') {
    if (performance.now() > deadline) throw new Error(`${name} does not come alive.`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  return id
}

test('a name that is served is seen with its answer and its certificate', async () => {
  await attach('bot.example.com')
  expect(await probe.probe('bot.example.com', '/proof?a=b')).toEqual({
    served: true,
    status: 200,
    body: 'bot.example.com /proof?a=b',
    certificate: { issuer: 'agentctl local cloud', expiresAt: expect.any(Date) },
    trouble: undefined,
  })
  expect(await probe.probe('bot.example.com', '/teapot')).toMatchObject({ served: true, status: 418 })
  const endless = await probe.probe('bot.example.com', '/endless')
  expect([endless.served, endless.body.length]).toEqual([true, 4096])
})

test('a name that is not served is told why', async () => {
  expect(await probe.probe('unknown.example.com', '/')).toMatchObject({
    served: false,
    trouble: 'Our edge has no certificate for unknown.example.com yet.',
  })
  const distrusting = openEdgeProbe({ ...domains, edgeCaFile: undefined }, dns)
  expect(await distrusting.probe('bot.example.com', '/')).toMatchObject({
    served: false,
    body: '',
    certificate: { issuer: 'agentctl local cloud' },
    trouble: expect.stringContaining('is not from an authority that browsers trust'),
  })
  const closed = openEdgeProbe({ ...domains, edgePort: 1 }, dns)
  expect((await closed.probe('bot.example.com', '/')).trouble).toBe('Our edge cannot be reached.')
  const lost = openEdgeProbe({ ...domains, target: 'nobody.example.com' }, dns)
  expect((await lost.probe('bot.example.com', '/')).trouble).toBe(
    'The address of our own edge, nobody.example.com, cannot be found.',
  )
})

test("where the user's DNS points to is never called", async () => {
  let visits = 0
  const inside = createServer(() => {
    visits += 1
  })
  inside.on('connection', () => {
    visits += 1
  })
  // In the local cloud every edge is at 127.0.0.1, so the private address is another one of loopback, at the edge's port.
  inside.listen(domains.edgePort, '127.0.0.2')
  await once(inside, 'listening')
  await record('evil.example.com', 'A', '127.0.0.2')
  const report = await probe.probe('evil.example.com', '/')
  expect(report.served).toBe(false)
  expect(visits).toBe(0)
  inside.close()
})

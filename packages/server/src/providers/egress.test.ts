import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import CloudflareClient from 'cloudflare'
import StripeClient from 'stripe'
import { afterAll, describe, expect, test } from 'vitest'
import { silentLog } from '../platform/log.ts'
import { Secret } from '../platform/secret.ts'
import { policy, processors } from '../privacy/policy.ts'
import { s3Blobs } from './blobs/s3.ts'
import { openCards } from './cards/stripe.ts'
import { openChain } from './chain/evm.ts'
import { openTransfers } from './chain/transfers.ts'
import { openHostnames } from './dns/cloudflare.ts'
import { openMachines } from './machines/vultr.ts'
import { allowedHosts, CLOUDFLARE_FIELDS, processorHosts } from './processors.ts'
import { parsePhone } from './sms/phone.ts'
import { openSms } from './sms/twilio.ts'
import { fetchOver, openTransport, type Transport } from './transport.ts'

/** Somebody else's host; how often anything reached it. */
let reached = 0
const elsewhere = createServer((_, response) => response.writeHead(500).end()).on('connection', () => {
  reached += 1
})
await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))
const baseUrl = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`
const opened: Transport[] = []
afterAll(async () => {
  await Promise.all(opened.map((one) => one.close()))
  elsewhere.closeAllConnections()
  elsewhere.close()
})
const transportTo = (...hosts: Parameters<typeof openTransport>): Transport => {
  const transport = openTransport(...hosts)
  opened.push(transport)
  return transport
}

const log = silentLog
const secret = new Secret('not a secret')
const pause = async () => {}
const config = {
  twilio: { accountSid: `AC${'0'.repeat(32)}`, authToken: secret, verifyServiceSid: 'VA1', baseUrl },
  vultr: { apiKey: secret, baseUrl, environment: 'test' },
  stripe: { secretKey: new Secret('sk_test_1'), webhookSecret: secret, baseUrl },
  cloudflare: {
    ...{ apiToken: secret, zoneId: 'z', zoneName: 'example.com', fallbackOrigin: 'o.example.com' },
    ...{ environment: 'test', baseUrl, requestsInFiveMinutes: 1000 },
  },
  agentDomain: 'example.com',
  domains: { target: 'd.example.com', dnsServers: [], edgePort: 443, edgeCaFile: undefined },
  chain: { id: 8453, rpcUrl: baseUrl },
  blobs: { endpoint: baseUrl, bucket: 'b', region: 'r', accessKeyId: 'a', secretAccessKey: secret },
}
const chain = {
  ...{ name: 'base', chainId: 8453, rpcUrl: baseUrl, publicRpcUrl: baseUrl, startBlock: 0n },
  ...{
    address: `0x${'1'.repeat(40)}`,
    token: { symbol: 'USDC', address: `0x${'2'.repeat(40)}`, decimals: 6 },
  },
  ...{ windowBlocks: 10, pollSeconds: 1 },
}
const signed = { address: `0x${'3'.repeat(40)}`, message: 'm', signature: '0x1234' } as const
const order = {
  ...{ id: 'chk_1', amountCents: 500, title: 'Credits', expiresAt: new Date(2_000_000_000_000) },
  ...{ successUrl: 'https://example.com/a', cancelUrl: 'https://example.com/b' },
}

/** One call through each of the clients that the server has. */
const clients: Readonly<Record<string, (transport: Transport) => Promise<unknown>>> = {
  "Twilio's SDK": (transport) =>
    openSms({ config, transport, log }).sendCode(parsePhone('+821055501234', ['KR'])),
  "Stripe's SDK": (transport) => openCards({ stripe: config.stripe, transport, log }).openCheckout(order),
  "Cloudflare's SDK": (transport) =>
    openHostnames({ config, transport, log, pause }).create('bot.example.com'),
  Vultr: (transport) => openMachines(config, { transport, log, pause }).find('1'),
  'the store of files': (transport) =>
    s3Blobs({ s3: config.blobs, transport, log }).has('acc_1', '0'.repeat(64)),
  "viem's client of the chain": (transport) =>
    openChain({ config, transport, log }).acceptedByContract(signed),
  "viem's client of payments": (transport) => openTransfers(chain, transport).heads(),
}

describe('pointed at a host that is not on the list, nothing leaves:', () => {
  test.each(Object.entries(clients))('%s', async (_, call) => {
    const transport = transportTo({ processors: ['https://api.stripe.com'], infrastructure: [] })
    const before = reached
    await call(transport).catch(() => {})
    expect(transport.egress.refused()).toBeGreaterThan(0)
    expect(reached).toBe(before)
    // The same call with the host on the list: it would have been seen.
    await call(transportTo({ processors: [baseUrl], infrastructure: [] })).catch(() => {})
    expect(reached).toBeGreaterThan(before)
  })
})

describe("a vendor's SDK cannot tell more than what is on the list:", () => {
  const guarded = transportTo(
    allowedHosts(processorHosts({ ...config, vultr: { ...config.vultr, baseUrl: 'https://v.example' } }), []),
  )
  test('Stripe about who pays', async () => {
    const { hostname: host, port } = new URL(baseUrl)
    const client = new StripeClient('sk_test_1', {
      ...{ host, port, protocol: 'http', maxNetworkRetries: 0, telemetry: false },
      httpClient: StripeClient.createFetchHttpClient(fetchOver(guarded, 1000)),
    })
    const before = [reached, guarded.egress.refused()]
    await expect(client.customers.create({ email: 'alice@example.com' })).rejects.toThrow()
    expect([reached, guarded.egress.refused() - 1]).toEqual(before)
  })
  test('Cloudflare about whose a domain is', async () => {
    const client = new CloudflareClient({
      ...{ apiToken: 'x', baseURL: `${baseUrl}/client/v4`, maxRetries: 0 },
      fetch: fetchOver(guarded, 1000),
    })
    const before = [reached, guarded.egress.refused()]
    const custom_metadata = { account: 'acc_1' }
    await expect(
      client.customHostnames.create({ zone_id: 'z', hostname: 'a.example.com', custom_metadata } as never),
    ).rejects.toThrow()
    expect([reached, guarded.egress.refused() - 1]).toEqual(before)
  })
})

test('the hosts that are called are those of whom the policy tells, each with a list of what it is told', () => {
  const hosts = processorHosts(config)
  expect([...new Set(hosts.map(({ name }) => name))].sort()).toEqual(Object.keys(processors).sort())
  const told = policy.find(({ title }) => title === 'Who works for us')?.sentences.map(({ text }) => text)
  for (const { name, fields } of hosts) {
    expect(told?.some((text) => text.startsWith(name))).toBe(true)
    expect(fields.length).toBeGreaterThan(0)
  }
  const { fields } = allowedHosts(hosts, [])
  expect(Object.keys(fields)).toEqual([baseUrl])
  expect(fields[baseUrl]).toEqual(expect.arrayContaining(CLOUDFLARE_FIELDS))
})

test('of all fields that anybody is told, only one is about a person: the number that a code is sent to', () => {
  const ofPeople = /mail|phone|wallet|account|customer|user$|birth|address|ip$|^to$/i
  const found = processorHosts(config).flatMap(({ name, fields }) =>
    fields.filter((field) => ofPeople.test(field)).map((field) => `${name} ${field}`),
  )
  expect(found).toEqual(['Twilio To', 'Vultr activation_email'])
})

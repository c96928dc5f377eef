import { expect, test } from 'vitest'
import { readConfig } from './config.ts'

const REQUIRED = {
  DATABASE_URL: 'postgres://127.0.0.1/x',
  TWILIO_ACCOUNT_SID: 'AC1',
  TWILIO_AUTH_TOKEN: 'a secret',
  TWILIO_VERIFY_SERVICE_SID: 'VA1',
  PRIVACY_CONTACT: 'privacy@example.com',
  VULTR_API_KEY: 'a secret',
  CHAIN_RPC_URL: 'http://127.0.0.1:1',
  MACHINE_NODE_FILE: 'node',
  MACHINE_RUNNER_FILE: 'runner.cjs',
  AGENT_DOMAIN: 'agents.example',
}
const CLOUDFLARE = {
  CLOUDFLARE_API_TOKEN: 'a secret',
  CLOUDFLARE_ZONE_ID: '023e105f4ecef8ad9ca31a8372d0c353',
  CLOUDFLARE_ZONE_NAME: 'agents.example',
  CLOUDFLARE_FALLBACK_ORIGIN: 'origin.agents.example',
}

test('domains of customers are taken with all settings of Cloudflare, and not at all without', () => {
  const bare = readConfig(REQUIRED)
  expect(bare.cloudflare).toBeUndefined()
  expect(bare.domains).toEqual({
    target: 'domains.agents.example',
    dnsServers: [],
    edgePort: 443,
    edgeCaFile: undefined,
  })
  const config = readConfig({ ...REQUIRED, ...CLOUDFLARE, DNS_SERVERS: '127.0.0.1:53,[::1]:54' })
  expect(config.cloudflare).toMatchObject({
    zoneName: 'agents.example',
    baseUrl: 'https://api.cloudflare.com',
    environment: 'prod',
    requestsInFiveMinutes: 300,
  })
  expect(config.domains.dnsServers).toEqual(['127.0.0.1:53', '[::1]:54'])
  expect(JSON.stringify(config)).not.toContain('a secret')
  const none = { ...REQUIRED, ...CLOUDFLARE, CLOUDFLARE_REQUESTS_IN_FIVE_MINUTES: '0' }
  expect(() => readConfig(none)).toThrow('CLOUDFLARE_REQUESTS_IN_FIVE_MINUTES must be at least 1.')
  for (const name of Object.keys(CLOUDFLARE)) {
    expect(() => readConfig({ ...REQUIRED, ...CLOUDFLARE, [name]: '' })).toThrow('Set all of CLOUDFLARE_')
  }
})

test('names that the zone does not hold are refused at the start', () => {
  for (const [name, value] of [
    ['AGENT_DOMAIN', 'agents.test'],
    ['DOMAIN_TARGET', 'notagents.example'],
    ['CLOUDFLARE_FALLBACK_ORIGIN', 'agents.example.org'],
  ] as const) {
    expect(() => readConfig({ ...REQUIRED, ...CLOUDFLARE, [name]: value })).toThrow(
      `${name} must be agents.example`,
    )
  }
})

test('the contact of the policy is an address of mail', () => {
  expect(readConfig(REQUIRED).privacyContact).toBe('privacy@example.com')
  for (const PRIVACY_CONTACT of ['privacy', 'a@b', '<b>@example.com', 'a@example.com, b@example.com']) {
    expect(() => readConfig({ ...REQUIRED, PRIVACY_CONTACT })).toThrow('PRIVACY_CONTACT must be an address')
  }
})

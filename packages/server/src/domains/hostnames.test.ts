import { describe, expect, test } from 'vitest'
import { readConfig } from '../platform/config.ts'
import { Problem } from '../platform/problem.ts'
import { isApex, readHostname } from './hostnames.ts'

const settings = {
  API_URL: 'https://api.agentctl.dev',
  AGENT_DOMAIN: 'agentctl.app',
  DATABASE_URL: 'postgres://localhost/none',
  TWILIO_ACCOUNT_SID: 'none',
  TWILIO_AUTH_TOKEN: 'none',
  TWILIO_VERIFY_SERVICE_SID: 'none',
  PRIVACY_CONTACT: 'privacy@example.com',
  VULTR_API_KEY: 'none',
  CHAIN_RPC_URL: 'http://127.0.0.1:1',
  MACHINE_NODE_FILE: 'none',
  MACHINE_RUNNER_FILE: 'none',
}
const config = readConfig(settings)
const read = (said: string): string => readHostname(said, { config })

function refusal(said: string): string {
  try {
    return `taken as ${read(said)}`
  } catch (error) {
    if (error instanceof Problem && error.code === 'invalid_hostname') return error.message
    throw error
  }
}

test.each([
  ['bot.example.com', 'bot.example.com'],
  ['BOT.Example.COM.', 'bot.example.com'],
  [' bot.example.com ', 'bot.example.com'],
  ['bücher.de', 'xn--bcher-kva.de'],
  ['BÜCHER.de', 'xn--bcher-kva.de'],
  ['faß.de', 'xn--fa-hia.de'],
  ['xn--bcher-kva.de', 'xn--bcher-kva.de'],
  ['봇.한국', 'xn--7n3b.xn--3e0b707e'],
  ['ボット.jp', 'xn--9ckk2d.jp'],
  ['東京tower.jp', 'xn--tower-w91hq39l.jp'],
  ['ｂot．example。com', 'bot.example.com'],
  ['bot.user.github.io', 'bot.user.github.io'],
  [`${'a'.repeat(63)}.example.com`, `${'a'.repeat(63)}.example.com`],
])('%s is %s', (said, hostname) => {
  expect(read(said)).toBe(hostname)
})

test('what cannot be a domain is refused, each with its reason', () => {
  const refused = [
    'https://bot.example.com/path',
    '*.example.com',
    '192.0.2.1',
    '0x7f.1',
    '[2001:db8::1]',
    '2001:db8::1',
    'localhost',
    'bot',
    'bot.localhost',
    'bot.internal',
    'bot.local',
    'bot.onion',
    'com',
    'co.uk',
    'github.io',
    '한국',
    'agentctl.app',
    'bot.agentctl.app',
    'console.agentctl.dev',
    'bot..example.com',
    '.example.com',
    'bot_1.example.com',
    '-bot.example.com',
    'bot-.example.com',
    `${'a'.repeat(64)}.example.com`,
    `${'a.'.repeat(122)}example.com`,
    'bot example.com',
    'bot.example.com:443',
    'bot.example.com/x',
    'bot%2eexample.com',
    'xn--a.com',
    'xn--zzzzzz99999.com',
    'аpple.com',
    'xn--pple-43d.com',
    'a\u200db.com',
    '',
  ]
  expect(refused.map(refusal)).toMatchInlineSnapshot(`
    [
      "https://bot.example.com/path is an address, not a name.",
      "*.example.com is a wildcard, and what it stands for could not be checked name by name.",
      "192.0.2.1 is an IP address, and certificates are issued for names.",
      "0x7f.1 is an IP address, and certificates are issued for names.",
      "[2001:db8::1] is an IP address, and certificates are issued for names.",
      "2001:db8::1 is an IP address, and certificates are issued for names.",
      "localhost has no dot: a domain has at least two parts.",
      "bot has no dot: a domain has at least two parts.",
      "bot.localhost ends in .localhost, which is not a public ending: nobody else could reach it.",
      "bot.internal ends in .internal, which is not a public ending: nobody else could reach it.",
      "bot.local ends in .local, which is not a public ending: nobody else could reach it.",
      "bot.onion ends in .onion, which is not a public ending: nobody else could reach it.",
      "com has no dot: a domain has at least two parts.",
      "co.uk is a public ending under which others have their names.",
      "github.io is a public ending under which others have their names.",
      "한국 has no dot: a domain has at least two parts.",
      "agentctl.app belongs to this service.",
      "bot.agentctl.app belongs to this service.",
      "console.agentctl.dev belongs to this service.",
      "bot..example.com has an empty part between two dots.",
      ".example.com has an empty part between two dots.",
      "bot_1.example.com has an underscore, which a name of a website cannot have.",
      "-bot.example.com has a part that begins or ends with a hyphen.",
      "bot-.example.com has a part that begins or ends with a hyphen.",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example.com has a part that is longer than 63 characters.",
      "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.… is longer than 253 characters.",
      "bot example.com has characters that no name has.",
      "bot.example.com:443 has characters that no name has.",
      "bot.example.com/x has characters that no name has.",
      "bot%2eexample.com has characters that no name has.",
      "xn--a.com has a part that is not valid Punycode: xn--a.",
      "xn--zzzzzz99999.com has a part that is not valid Punycode: xn--zzzzzz99999.",
      "аpple.com mixes letters that look alike: Latin and Cyrillic in one part.",
      "xn--pple-43d.com mixes letters that look alike: Latin and Cyrillic in one part.",
      "a‍b.com has characters that no name has.",
      "The name is empty.",
    ]
  `)
})

test('agents may have their names below the zone of the service, all of which is its own', () => {
  const below = readConfig({
    ...settings,
    AGENT_DOMAIN: 'agents.agentctl.app',
    CLOUDFLARE_API_TOKEN: 'none',
    CLOUDFLARE_ZONE_ID: 'none',
    CLOUDFLARE_ZONE_NAME: 'agentctl.app',
    CLOUDFLARE_FALLBACK_ORIGIN: 'origin.agentctl.app',
  })
  for (const name of ['origin.agentctl.app', 'agentctl.app', 'bot.agents.agentctl.app'])
    expect(() => readHostname(name, { config: below }), name).toThrow('belongs to this service')
})

test('a name under the service that only looks like it is none of ours', () => {
  expect(read('notagentctl.app')).toBe('notagentctl.app')
})

describe('an apex', () => {
  test.each([
    ['example.com', true],
    ['example.co.uk', true],
    ['bot.example.com', false],
    ['www.example.co.uk', false],
    ['xn--bcher-kva.de', true],
  ])('%s: %s', (hostname, apex) => {
    expect(isApex(hostname)).toBe(apex)
  })
})

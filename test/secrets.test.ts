import { generateKeyPairSync } from 'node:crypto'
import { randomText } from '@agentctl/server/platform/ids.ts'
import { newToken } from '@agentctl/server/platform/tokens.ts'
import { expect, test } from 'vitest'
import { repository } from './repository.ts'
import { findSecrets } from './secret-rules.ts'

const CAPITALS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'
const HEX = '0123456789abcdef'

test('no file has a secret in it', async () => {
  const files = repository()
  expect(files.has('pnpm-lock.yaml')).toBe(true)
  const found: string[] = []
  for (const [path, text] of files) found.push(...(await findSecrets(path, text)))
  expect(found).toEqual([])
})

const ed25519 = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })

// Made up as the tests run: written down, each would be found in this file.
test.each([
  ['an API key of ours', newToken('k').reveal()],
  ['the credential of an operator', newToken('o').reveal()],
  ['a key of Stripe', `sk_live_${randomText(24)}`],
  ['a restricted key of Stripe', `rk_live_${randomText(24)}`],
  ['a secret of a Stripe webhook', `whsec_${randomText(32)}`],
  ['an auth token of Twilio', `TWILIO_AUTH_TOKEN: ${randomText(32, HEX)}`],
  ['a key of Twilio', `SK${randomText(32, HEX)}`],
  ['a token of Cloudflare', `cfut_${randomText(48)}`],
  ['an older one', `CLOUDFLARE_API_TOKEN=${randomText(40)}`],
  ['a key of Vultr', `VULTR_API_KEY=${randomText(36, CAPITALS)}`],
  ['an id of a key of AWS', `AKIA${randomText(16, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ')}`],
  ['a secret key of AWS', `AWS_SECRET_ACCESS_KEY=${randomText(40)}`],
  ['a token of GitHub', `ghp_${randomText(36)}`],
  ['a token of npm', `//packages.example.com/:_authToken=npm_${randomText(36)}`],
  ['a private key', String(ed25519)],
  ['a password of a database', `postgres://agentctl:${randomText(20)}@db.example.com/agentctl`],
])('%s is found where it is planted, and not told', async (_, secret) => {
  const found = await findSecrets('docs/planted.md', `# Notes\n\nHere it is: ${secret}\n`)
  expect(found).toEqual(expect.arrayContaining([expect.stringMatching(/^docs\/planted\.md:3: [\w -]+$/)]))
  expect(found.join('\n')).not.toContain(secret.slice(-12).trim())
})

test('what only looks like one is let be', async () => {
  const examples = `actl_k_${'0'.repeat(36)} sk_live_… whsec_… TWILIO_AUTH_TOKEN=unused -----BEGIN PRIVATE KEY-----`
  expect(await findSecrets('README.md', examples)).toEqual([])
})

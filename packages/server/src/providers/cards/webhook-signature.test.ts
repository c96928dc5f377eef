import Stripe from 'stripe'
import { expect, test } from 'vitest'
import { Secret } from '../../platform/secret.ts'
import { isSignedWebhook } from './webhook-signature.ts'

const secret = 'whsec_test'
const payload = JSON.stringify({ id: 'evt_1', text: 'ünïcode' }, null, 2)
const now = new Date(1_800_000_000_900)
const at = 1_800_000_000

const header = (timestamp = at, change: { secret?: string; scheme?: string } = {}): string =>
  Stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp, scheme: 'v1', ...change })
const isSigned = (text: string, signature: string): boolean =>
  isSignedWebhook(Buffer.from(text), signature, new Secret(secret), now)

test("what Stripe's own client signs is accepted within five minutes, before and after", () => {
  for (const off of [0, -299, 300]) expect(isSigned(payload, header(at + off))).toBe(true)
  for (const off of [-301, 302, 3600, -3600]) expect(isSigned(payload, header(at + off))).toBe(false)
})

test('one signature of several is enough, so that the secret can be changed', () => {
  const [, other = ''] = header(at, { secret: 'whsec_old' }).split(',')
  expect(isSigned(payload, `${header()},${other}`)).toBe(true)
  expect(isSigned(payload, `t=${at},${other}`)).toBe(false)
})

test.each([
  ['another body', `${payload} `, header()],
  ['the same JSON written otherwise', JSON.stringify(JSON.parse(payload)), header()],
  ['another secret', payload, header(at, { secret: 'whsec_other' })],
  ['another scheme', payload, header(at, { scheme: 'v0' })],
  ['another time', payload, header().replace(String(at), String(at + 1))],
  ['two times', payload, `t=${at + 60},${header()}`],
  ['a second time behind the first', payload, `${header()},t=${at}`],
  ['no time', payload, header().replace(/t=\d+,/, '')],
  ['a time that is none', payload, header().replace(String(at), 'soon')],
  ['half a signature', payload, header().slice(0, -2)],
  ['nothing', payload, ''],
  ['rubbish', payload, '=,=;t'],
])('%s is refused', (_, text, signature) => {
  expect(isSigned(text, signature)).toBe(false)
})

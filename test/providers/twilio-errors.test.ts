import { newAddress, testIdentity } from '@agentctl/server/identity/test-identity.ts'
import { beforeEach, expect, test } from 'vitest'
import { type ProviderError, troubles } from './provider-errors.ts'

const identity = await testIdentity({ smsTimeoutMs: 800 })
const { call } = identity
// Codes that nobody types in would trip the breaker for the tests after them.
beforeEach(() => identity.db.as({ account: null }, (tx) => tx`delete from sms_counts`))

let numbers = 0
function newPhone(): string {
  numbers += 1
  return `+8210${String(2000 + numbers)}${String(1000 + numbers)}`
}
const start = (phone: string) => call('POST /v1/logins/phone', { body: { phone }, from: newAddress() })
const verify = (challengeId: unknown, code: string) =>
  call('POST /v1/logins/phone/verify', { body: { challengeId, code }, from: newAddress() })

/** What Twilio refuses by a code of its own, with the status of each. */
const CODES = [
  [60200, 400],
  [60202, 429],
  [60203, 429],
  [60205, 403],
  [60207, 429],
  [60212, 429],
  [60238, 403],
  [60410, 403],
  [60412, 403],
  [60605, 403],
] as const
const refusals: readonly ProviderError[] = [
  ...[404, 409, 422].map((status) => [20404, status, String(status)] as const),
  ...CODES.map(([code, status]) => [code, status, `${status} with ${code}`] as const),
].map(([code, status, name]) => ({
  name,
  fault: { kind: 'status', status, body: { code, status, message: 'What Twilio says of it' } },
}))

const wordsOf = (text: string): string =>
  text.replace(/chl_\w+/, 'chl').replace(/"(resendAt|expiresAt)":"[^"]+"/g, '$1')

test.each([...troubles, ...refusals])(
  'a code that meets $name on its way is answered as any other, and the next one is sent',
  async ({ fault }) => {
    const other = await start(newPhone())
    const phone = newPhone()
    await identity.fault({ ...fault, method: 'POST', path: '/v2/Services/', times: 1 })
    const { status, text } = await start(phone)
    expect([status, wordsOf(text)]).toEqual([other.status, wordsOf(other.text)])
    const sent = (await identity.codes(phone)).length
    identity.clock.advance(31)
    const { json } = await start(phone)
    await expect.poll(async () => (await identity.codes(phone)).length).toBe(sent + 1)
    expect((await verify(json.challengeId, (await identity.codes(phone)).at(-1) ?? '')).json.status).toBe(
      'terms_required',
    )
    expect(identity.logged()).not.toContain(phone.slice(1))
  },
)

test.each(troubles)(
  'a right code whose check meets $name is not counted as wrong, and is told in words with exit 7',
  async ({ fault }) => {
    const phone = newPhone()
    const { json } = await start(phone)
    const code = (await identity.codes(phone)).at(-1) ?? ''
    await identity.fault({ ...fault, method: 'POST', path: '/v2/Services/*/VerificationCheck$', times: 1 })
    const answer = await verify(json.challengeId, code)
    expect(answer.json).toMatchObject({
      code: 'provider_unavailable',
      detail: 'The code cannot be checked right now.',
    })
  },
)

import { expect, test } from 'vitest'
import { newToken } from '../platform/tokens.ts'
import { newAddress, type TestIdentity, testIdentity } from './test-identity.ts'

const identity = await testIdentity()
const { call, clock } = identity
const DAY = 86_400

/** Another session of the same account. */
async function logInAgain(account: Awaited<ReturnType<TestIdentity['newAccount']>>, device?: string) {
  const from = newAddress()
  const started = await call('POST /v1/logins/wallet', { body: { address: account.wallet.address }, from })
  const message = String(started.json.message)
  const signature = await account.wallet.signMessage({ message })
  const login = await call('POST /v1/logins/wallet/verify', { body: { message, signature, device }, from })
  return String(login.json.token)
}

const whoami = (token: string) => call('GET /v1/whoami', { token })
const refusal = (reply: { status: number; text: string }) =>
  `${reply.status} ${reply.text.replace(/req_\w+/, 'req')}`

test('tokens that are unknown, of another kind, mistyped or no tokens are refused alike', async () => {
  const { token } = await identity.newAccount()
  const mistyped = `${token.slice(0, -1)}${token.endsWith('a') ? 'b' : 'a'}`
  const tokens = [newToken('s'), newToken('k'), newToken('m'), newToken('u')].map((each) => each.reveal())
  const refusals = await Promise.all([...tokens, mistyped, 'hello', 'actl_s_'].map(whoami))
  expect(new Set(refusals.map(refusal)).size).toBe(1)
  expect(refusals[0]?.json.code).toBe('unauthenticated')
  expect((await call('GET /v1/whoami')).status).toBe(401)
})

test('a session that is used lives for 90 days, and an idle one for 30', async () => {
  const account = await identity.newAccount()
  const used = account.token
  const idle = await logInAgain(account)
  for (let days = 0; days < 90; days += 15) {
    expect((await whoami(used)).status).toBe(200)
    clock.advance(15 * DAY)
    if (days === 15) expect((await whoami(idle)).status).toBe(401)
  }
  expect((await whoami(used)).status).toBe(401)
})

test('sessions are listed without their tokens, and revoked one by one', async () => {
  const account = await identity.newAccount()
  const other = await logInAgain(account, 'agentctl 0.1.0 on linux')
  const listed = await call('GET /v1/account/sessions', { token: account.token })
  const sessions = listed.json.sessions as { id: string; current: boolean; device: string | null }[]
  expect(sessions.map(({ current, device }) => ({ current, device }))).toEqual(
    expect.arrayContaining([
      { current: true, device: null },
      { current: false, device: 'agentctl 0.1.0 on linux' },
    ]),
  )
  expect(listed.text).not.toContain(other.slice(7))

  const id = sessions.find(({ current }) => !current)?.id
  const stranger = await identity.newAccount()
  const foreign = await call(`DELETE /v1/account/sessions/${id}`, { token: stranger.token })
  const missing = await call('DELETE /v1/account/sessions/ses_0', { token: stranger.token })
  expect(refusal(foreign)).toBe(refusal(missing))
  expect((await whoami(other)).status).toBe(200)

  expect((await call(`DELETE /v1/account/sessions/${id}`, { token: account.token })).status).toBe(204)
  expect((await whoami(other)).status).toBe(401)
})

test('logging out ends the session on the server', async () => {
  const { token } = await identity.newAccount()
  expect((await call('POST /v1/logout', { token })).status).toBe(204)
  expect((await whoami(token)).status).toBe(401)
})

test('an account keeps its fifty latest sessions', async () => {
  const account = await identity.newAccount()
  clock.advance(1)
  for (let logins = 0; logins < 50; logins++) await logInAgain(account)
  expect((await whoami(account.token)).status).toBe(401)
})

import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { expect, test } from 'vitest'
import { newAddress, testIdentity } from './test-identity.ts'

const identity = await testIdentity()
const { call, clock, codes } = identity
const makeKey = async (token: string) =>
  (await call('POST /v1/keys', { token, body: { name: 'ci', scopes: ['agents:read'] } })).json.code

async function signed(route: string, token: string, wallet: PrivateKeyAccount) {
  const from = newAddress()
  const { json } = await call(route, { token, body: { address: wallet.address }, from })
  const message = String(json.message)
  return { token, body: { message, signature: await wallet.signMessage({ message }) }, from }
}
const prove = async (token: string, wallet: PrivateKeyAccount) =>
  call('POST /v1/account/proofs/wallet/verify', await signed('POST /v1/account/proofs/wallet', token, wallet))

test('a session that is older than ten minutes is proved anew in place, for ten minutes', async () => {
  const { token, wallet } = await identity.newAccount()
  clock.advance(601)
  expect(await makeKey(token)).toBe('reauthentication_required')
  expect((await prove(token, wallet)).status).toBe(204)
  clock.advance(600)
  expect(await makeKey(token)).toBeUndefined()
  clock.advance(1)
  expect(await makeKey(token)).toBe('reauthentication_required')
})

test('the proof of one session is none of another, and a wallet of somebody else proves nothing', async () => {
  const { token, wallet } = await identity.newAccount()
  const start = await call('POST /v1/logins/wallet', {
    body: { address: wallet.address },
    from: newAddress(),
  })
  const message = String(start.json.message)
  const second = await call('POST /v1/logins/wallet/verify', {
    body: { message, signature: await wallet.signMessage({ message }) },
    from: newAddress(),
  })
  clock.advance(601)
  expect((await prove(String(second.json.token), wallet)).status).toBe(204)
  expect(await makeKey(token)).toBe('reauthentication_required')
  const other = await identity.newAccount()
  expect((await prove(token, other.wallet)).json.code).toBe('login_failed')
  expect((await prove(token, privateKeyToAccount(generatePrivateKey()))).json.code).toBe('login_failed')
  expect(await makeKey(token)).toBe('reauthentication_required')
})

test('a signature that proves links nothing, and one that links proves nothing', async () => {
  const { token, wallet } = await identity.newAccount()
  const stranger = privateKeyToAccount(generatePrivateKey())
  const toProve = await signed('POST /v1/account/proofs/wallet', token, stranger)
  expect((await call('POST /v1/account/wallets/verify', toProve)).json.code).toBe('login_failed')
  const toLink = await signed('POST /v1/account/wallets', token, wallet)
  expect((await call('POST /v1/account/proofs/wallet/verify', toLink)).json.code).toBe('login_failed')
})

test('the code that the phone of the account receives proves it, and no other phone does', async () => {
  const [own, foreign] = ['+821055501001', '+821055501002']
  const withCode = async (route: string, phone: string, token?: string, more: object = {}) => {
    const from = newAddress()
    const told = token === undefined ? {} : { token }
    const start = await call(route, { ...told, body: { phone }, from })
    const code = (await codes(phone)).at(-1)
    const body = { challengeId: start.json.challengeId, code, ...more }
    return call(`${route}/verify`, { ...told, body, from })
  }
  const login = await withCode('POST /v1/logins/phone', own, undefined, { acceptTerms: true })
  const token = String(login.json.token)
  clock.advance(601)
  const wrong = await withCode('POST /v1/account/proofs/phone', foreign, token)
  expect(wrong.json.code).toBe('login_failed')
  expect(await makeKey(token)).toBe('reauthentication_required')
  expect((await withCode('POST /v1/account/proofs/phone', own, token)).status).toBe(204)
  expect(await makeKey(token)).toBeUndefined()
})

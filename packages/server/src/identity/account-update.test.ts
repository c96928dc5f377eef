import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { expect, test } from 'vitest'
import type { Caller } from '../platform/http.ts'
import { linkLoginMethod } from './accounts.ts'
import type { Proof } from './proof.ts'
import { newAddress, testIdentity } from './test-identity.ts'

const identity = await testIdentity()
const { call, clock, db } = identity
const deps = { db, clock, pepper: { version: 1, versions: [1], hmac: () => Buffer.alloc(32) } }
const newWallet = () => privateKeyToAccount(generatePrivateKey())

async function link(token: string, wallet: PrivateKeyAccount, more: object = {}) {
  const from = newAddress()
  const started = await call('POST /v1/account/wallets', { token, body: { address: wallet.address }, from })
  const message = String(started.json.message)
  const body = { message, signature: await wallet.signMessage({ message }), ...more }
  return call('POST /v1/account/wallets/verify', { token, body, from })
}
async function logIn(wallet: PrivateKeyAccount) {
  const from = newAddress()
  const { json } = await call('POST /v1/logins/wallet', { body: { address: wallet.address }, from })
  const message = String(json.message)
  const body = { message, signature: await wallet.signMessage({ message }) }
  return call('POST /v1/logins/wallet/verify', { body, from })
}
const addresses = (reply: { json: Record<string, unknown> }) =>
  (reply.json.wallets as { address: string }[]).map(({ address }) => address)

test('a wallet that takes the place of another logs in, the other one no more, and other sessions end', async () => {
  const { token, accountId, wallet: old } = await identity.newAccount()
  const elsewhere = String((await logIn(old)).json.token)
  const next = newWallet()
  const replaced = await link(token, next, { replaces: old.address })
  expect(addresses(replaced)).toEqual([next.address])
  expect((await call('GET /v1/whoami', { token: elsewhere })).status).toBe(401)
  expect((await call('GET /v1/whoami', { token })).status).toBe(200)
  expect((await logIn(next)).json.account).toEqual({ id: accountId })
  expect((await logIn(old)).json.status).toBe('terms_required')
  // The same again, as after an answer that was lost.
  expect(addresses(await link(token, next, { replaces: old.address }))).toEqual([next.address])
})

test('a wallet that is one more ends the other sessions as well', async () => {
  const { token, wallet } = await identity.newAccount()
  const elsewhere = String((await logIn(wallet)).json.token)
  const more = newWallet()
  expect(addresses(await link(token, more)).sort()).toEqual([wallet.address, more.address].sort())
  expect((await call('GET /v1/whoami', { token: elsewhere })).status).toBe(401)
})

test('what is to be replaced must be linked here, and a wallet does not replace itself', async () => {
  const [one, other] = [await identity.newAccount(), await identity.newAccount()]
  const next = newWallet()
  expect((await link(one.token, next, { replaces: other.wallet.address })).json.code).toBe('not_found')
  expect(addresses(await link(one.token, one.wallet, { replaces: one.wallet.address }))).toEqual([
    one.wallet.address,
  ])
  // Nothing came of what was refused, for either of them.
  expect((await logIn(next)).json.status).toBe('terms_required')
  expect((await logIn(other.wallet)).json.account).toEqual({ id: other.accountId })
})

test.each(['phone', 'wallet'] as const)(
  'of twenty accounts that want the same %s at once, one has it',
  async (method) => {
    const accounts = await Promise.all(Array.from({ length: 20 }, () => identity.newAccount()))
    const proof: Proof =
      method === 'wallet'
        ? { method, address: newWallet().address.toLowerCase() }
        : { method, phone: { hmac: Buffer.alloc(32, 7), pepperVersion: 1, olderHmacs: [] } }
    const outcomes = await Promise.allSettled(
      accounts.map(({ accountId, wallet }) => {
        const caller: Caller = {
          accountId,
          via: 'session',
          credentialId: 'ses_0',
          scopes: 'all',
          namespaceId: null,
          authenticatedAt: clock.now(),
        }
        return linkLoginMethod(deps, caller, proof, method === 'wallet' ? wallet.address : undefined)
      }),
    )
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason.code).toBe('login_method_taken')
    }
    // Who lost keeps the wallet that was to be replaced.
    const kept = await Promise.all(accounts.map(({ wallet }) => logIn(wallet)))
    expect(kept.filter(({ json }) => json.status === 'logged_in')).toHaveLength(method === 'wallet' ? 19 : 20)
  },
)

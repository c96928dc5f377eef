import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { expect, test } from 'vitest'
import { newAddress, testIdentity } from './test-identity.ts'

const identity = await testIdentity()
const { call, clock } = identity

const newWallet = () => privateKeyToAccount(generatePrivateKey())

async function messageFor(address: string): Promise<string> {
  const started = await call('POST /v1/logins/wallet', { body: { address }, from: newAddress() })
  expect(started.status).toBe(202)
  return String(started.json.message)
}

const verify = (message: string, signature: string, more: object = {}) =>
  call('POST /v1/logins/wallet/verify', { body: { message, signature, ...more }, from: newAddress() })

/** What a refusal says, without the number of the request. */
const refusal = (text: string) => text.replace(/req_\w+/, 'req')

test('the message names this service, its chain, a nonce of 128 bits and five minutes', async () => {
  const wallet = newWallet()
  const message = await messageFor(wallet.address.toLowerCase())
  expect(message.replace(wallet.address, 'ADDRESS').replace(/Nonce: [0-9a-f]{32}/, 'Nonce: NONCE')).toBe(
    [
      'api.example.com wants you to sign in with your Ethereum account:',
      'ADDRESS',
      '',
      'Log in to agentctl.',
      '',
      'URI: https://api.example.com',
      'Version: 1',
      'Chain ID: 31337',
      'Nonce: NONCE',
      `Issued At: ${clock.now().toISOString()}`,
      `Expiration Time: ${new Date(clock.now().getTime() + 300_000).toISOString()}`,
    ].join('\n'),
  )
})

test('a wallet makes an account after the terms, with a namespace of its own, and logs in again without them', async () => {
  const wallet = newWallet()
  const first = await messageFor(wallet.address)
  const proved = await verify(first, await wallet.signMessage({ message: first }))
  expect(proved.json).toMatchObject({
    status: 'terms_required',
    terms: { text: expect.stringContaining('18'), url: 'https://api.example.com/policy' },
  })
  const agreed = await call('POST /v1/logins/accept-terms', {
    body: { signupToken: proved.json.signupToken, device: 'agentctl \u001b[2J on linux' },
  })
  expect(agreed.json).toMatchObject({ status: 'logged_in', created: true })
  // Policy 10b: the text that it agreed to is known from then on.
  const { id } = agreed.json.account as { id: string }
  const seen = await identity.db.as(
    { account: id },
    (tx) => tx`select policy_seen::text as day from accounts`,
  )
  expect(seen).toMatchObject([{ day: '2026-11-26' }])
  const again = await call('POST /v1/logins/accept-terms', { body: { signupToken: proved.json.signupToken } })
  expect(again.json.code).toBe('login_failed')

  const second = await messageFor(wallet.address)
  const login = await verify(second, await wallet.signMessage({ message: second }))
  expect(login.json).toMatchObject({ status: 'logged_in', created: false, account: agreed.json.account })

  const whoami = await call('GET /v1/whoami', { token: String(login.json.token) })
  expect(whoami.json).toMatchObject({
    account: agreed.json.account,
    namespaces: [{ name: expect.stringMatching(/^[a-z]+-[a-z]+-\d{4}$/), role: 'owner' }],
    loginMethods: ['wallet'],
    via: 'session',
  })
  const sessions = await call('GET /v1/account/sessions', { token: String(login.json.token) })
  expect(sessions.text).toContain('agentctl [2J on linux')
})

test('a login with a key needs no chain, and addresses are shown with their checksum', async () => {
  const { token, wallet } = await identity.newAccount()
  const account = await call('GET /v1/account', { token })
  expect(account.json).toMatchObject({ phone: null, wallets: [{ address: wallet.address }] })
})

test('a nonce is good for one login, also when it is shown twice at once', async () => {
  const wallet = newWallet()
  const message = await messageFor(wallet.address)
  const signature = await wallet.signMessage({ message })
  const replies = await Promise.all([1, 2, 3].map(() => verify(message, signature, { acceptTerms: true })))
  expect(replies.map((reply) => reply.status).sort()).toEqual([200, 401, 401])
  expect((await verify(message, signature)).json.code).toBe('login_failed')
})

test('a wrong signature uses the nonce up', async () => {
  const wallet = newWallet()
  const message = await messageFor(wallet.address)
  await verify(message, await newWallet().signMessage({ message }))
  expect((await verify(message, await wallet.signMessage({ message }))).status).toBe(401)
})

test('whatever is wrong with a message or a signature, the refusal is the same to the byte', async () => {
  const wallet = newWallet()
  const refusals = new Map<string, string>()
  const refuse = async (what: string, change: (message: string) => string, signer = wallet) => {
    const message = change(await messageFor(wallet.address))
    const reply = await verify(message, await signer.signMessage({ message }), { acceptTerms: true })
    refusals.set(what, `${reply.status} ${refusal(reply.text)}`)
  }
  await refuse('a signature of somebody else', (message) => message, newWallet())
  await refuse('another domain', (message) => message.replace('api.example.com wants', 'evil.example wants'))
  await refuse('another address', (message) => message.replace(wallet.address, newWallet().address))
  await refuse('another uri', (message) => message.replace('URI: https://api', 'URI: https://evil'))
  await refuse('another chain', (message) => message.replace('Chain ID: 31337', 'Chain ID: 1'))
  await refuse('an unknown nonce', (message) => message.replace(/Nonce: \w+/, `Nonce: ${'0'.repeat(32)}`))
  await refuse('a later expiry', (message) => message.replace(/(Expiration Time: )\d{4}/, '$12999'))
  await refuse('no expiry', (message) => message.replace(/\nExpiration Time: .*/, ''))
  await refuse('trailing text', (message) => `${message}\nand all my money`)
  await refuse('text in front', (message) => `Hello\n${message}`)
  await refuse('another statement', (message) => message.replace('Log in to', 'Give all to'))
  await refuse('no message at all', () => 'hello')
  await refuse('an expired message', (message) => {
    clock.advance(301)
    return message
  })
  const message = await messageFor(wallet.address)
  const broken = await verify(message, '0x00')
  refusals.set('a broken signature', `${broken.status} ${refusal(broken.text)}`)
  expect(new Set(refusals.values()).size, JSON.stringify([...refusals], null, 1)).toBe(1)
  expect([...refusals.values()][0]).toContain('"code":"login_failed"')
})

test('a message for a login links nothing, and one for a link logs nobody in', async () => {
  const { token } = await identity.newAccount()
  const wallet = newWallet()
  const forLogin = await messageFor(wallet.address)
  const linked = await call('POST /v1/account/wallets/verify', {
    token,
    body: { message: forLogin, signature: await wallet.signMessage({ message: forLogin }) },
  })
  expect(linked.json.code).toBe('login_failed')

  const started = await call('POST /v1/account/wallets', { token, body: { address: wallet.address } })
  const forLink = String(started.json.message)
  expect(forLink).toMatch(/Link this wallet to the agentctl account acc_/)
  const login = await verify(forLink, await wallet.signMessage({ message: forLink }), { acceptTerms: true })
  expect(login.json.code).toBe('login_failed')
})

test('a link that another account began is of no use to this one', async () => {
  const [one, other] = [await identity.newAccount(), await identity.newAccount()]
  const wallet = newWallet()
  const started = await call('POST /v1/account/wallets', {
    token: one.token,
    body: { address: wallet.address },
  })
  const message = String(started.json.message)
  const reply = await call('POST /v1/account/wallets/verify', {
    token: other.token,
    body: { message, signature: await wallet.signMessage({ message }) },
  })
  expect(reply.json.code).toBe('login_failed')
})

test('an account can have several wallets, and a wallet belongs to one account', async () => {
  const [one, other] = [await identity.newAccount(), await identity.newAccount()]
  const link = async (token: string, wallet: typeof one.wallet) => {
    const started = await call('POST /v1/account/wallets', { token, body: { address: wallet.address } })
    const message = String(started.json.message)
    return call('POST /v1/account/wallets/verify', {
      token,
      body: { message, signature: await wallet.signMessage({ message }) },
    })
  }
  const second = newWallet()
  expect((await link(one.token, second)).json.wallets).toHaveLength(2)
  expect((await link(one.token, second)).json.wallets).toHaveLength(2)
  expect((await link(other.token, second)).json.code).toBe('login_method_taken')
  expect((await link(other.token, one.wallet)).json.code).toBe('login_method_taken')

  clock.advance(601)
  const started = await call('POST /v1/account/wallets', {
    token: one.token,
    body: { address: newWallet().address },
  })
  expect(started.json.code).toBe('reauthentication_required')
})

test('forty sign-ups of one wallet at once end with one account', async () => {
  const wallet = newWallet()
  const signed = await Promise.all(
    Array.from({ length: 40 }, async () => {
      const message = await messageFor(wallet.address)
      return { message, signature: await wallet.signMessage({ message }) }
    }),
  )
  const replies = await Promise.all(
    signed.map(({ message, signature }) => verify(message, signature, { acceptTerms: true })),
  )
  expect(replies.map((reply) => reply.status)).toEqual(replies.map(() => 200))
  expect(new Set(replies.map((reply) => (reply.json.account as { id: string }).id)).size).toBe(1)
  expect(replies.filter((reply) => reply.json.created)).toHaveLength(1)
  const { json } = await call('GET /v1/namespaces', { token: String(replies[0]?.json.token) })
  expect(json.namespaces).toHaveLength(1)
})

test('a chain that the service is not on is refused at the start', async () => {
  const reply = await call('POST /v1/logins/wallet', { body: { address: newWallet().address, chainId: 1 } })
  expect(reply.json).toMatchObject({ code: 'invalid_request', detail: expect.stringContaining('31337') })
})

test('one network can begin only so many wallet logins', async () => {
  const from = newAddress()
  const start = () => call('POST /v1/logins/wallet', { body: { address: newWallet().address }, from })
  const replies = await Promise.all(Array.from({ length: 121 }, start))
  expect(replies.filter((reply) => reply.status === 429)).toHaveLength(1)
  const refused = replies.find((reply) => reply.status === 429)
  expect(Number(refused?.headers.get('retry-after'))).toBe(600)
})

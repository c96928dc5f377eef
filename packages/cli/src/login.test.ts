import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { verifyMessage } from 'viem'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { StoredConfig } from './config-file.ts'
import { type Answers, type Asked, type FakeApi, refusal, startFakeApi } from './testing/fake-api.ts'
import { type Machine, newMachine } from './testing/run-cli.ts'
import { writeKeystore } from './testing/write-keystore.ts'

// The first of the well-known development accounts.
const address = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266'
const privateKey = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80'

const token = `actl_s_${'B'.repeat(36)}`
const loggedIn = {
  status: 'logged_in' as const,
  token,
  expiresAt: '2027-01-01T00:00:00Z',
  account: { id: 'acc_1' },
  created: true,
}
const terms = { text: 'I agree to the terms and am 18 or older.', url: 'https://agentctl.dev/terms' }

let machine: Machine
let api: FakeApi
const answers: Answers = {}

beforeEach(async () => {
  machine = await newMachine()
  api = await startFakeApi(answers)
  const { host } = new URL(api.url)
  Object.assign(answers, {
    'POST /v1/logins/wallet': ({ body }: Asked) => ({
      message: `${host} wants you to sign in with your Ethereum account:\n${(body as { address: string }).address}\n\nLog in.\n\nURI: ${api.url}\nVersion: 1\nChain ID: 31337\nNonce: 0123456789abcdef\nIssued At: 2026-11-23T00:00:00.000Z`,
      expiresAt: new Date(Date.now() + 300_000).toISOString(),
    }),
    'POST /v1/logins/wallet/verify': async ({ body }: Asked) => {
      const proof = body as { message: string; signature: `0x${string}`; acceptTerms?: boolean }
      if (!(await verifyMessage({ address, message: proof.message, signature: proof.signature }))) {
        return refusal('login_failed', 'This code or signature is not valid')
      }
      return proof.acceptTerms ? loggedIn : { status: 'terms_required', signupToken: 'sup_1', terms }
    },
    'POST /v1/logins/phone': () => ({
      challengeId: 'chl_1',
      expiresAt: new Date(Date.now() + 300_000).toISOString(),
      resendAt: new Date().toISOString(),
    }),
    'POST /v1/logins/phone/verify': ({ body }: Asked) =>
      (body as { code: string }).code === '123456'
        ? loggedIn
        : refusal('login_failed', 'This code or signature is not valid'),
    'POST /v1/logins/accept-terms': () => loggedIn,
    'POST /v1/logout': () => undefined,
  })
})
afterEach(async () => {
  await api.close()
  machine.remove()
})

const env = (more: Record<string, string> = {}) => ({ AGENTCTL_API_URL: api.url, ...more })
const config = (): StoredConfig =>
  JSON.parse(readFileSync(join(machine.home, 'config', 'config.json'), 'utf8'))

describe('by wallet', () => {
  test('a key in the environment signs, and the token is kept for this API alone', async () => {
    const ran = await machine.run(['login', '--wallet', '--accept-terms'], {
      env: env({ AGENTCTL_PRIVATE_KEY: privateKey }),
    })
    expect(ran).toMatchInlineSnapshot(`
      {
        "code": 0,
        "stderr": "A wallet address and its transactions are public on its chain, for everybody and for good.
      Signing in costs nothing and moves nothing.
      Next: agentctl init, then agentctl deploy
      ",
        "stdout": "Welcome. Your account is acc_1.
      ",
      }
    `)
    expect(config().logins).toEqual({
      [api.url]: { token, accountId: 'acc_1', via: 'session', expiresAt: '2027-01-01T00:00:00Z' },
    })
    const again = await machine.run(['login', '--wallet', '--accept-terms', '--json'], {
      env: env({ AGENTCTL_PRIVATE_KEY: privateKey }),
    })
    expect(again.stderr).toBe('')
    expect(JSON.parse(again.stdout)).toEqual({
      account: { id: 'acc_1' },
      created: true,
      via: 'session',
      expiresAt: '2027-01-01T00:00:00Z',
      apiUrl: api.url,
    })
    const elsewhere = await machine.run(['whoami', '--api-url', 'http://127.0.0.1:9'])
    expect(elsewhere).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('not logged in to http://127.0.0.1:9'),
    })
  })

  test('a keystore signs, found by name, its password from a file or the environment', async () => {
    const keystores = join(machine.home, '.foundry', 'keystores')
    const { mkdirSync } = await import('node:fs')
    mkdirSync(keystores, { recursive: true })
    writeFileSync(
      join(keystores, 'dev'),
      writeKeystore(Buffer.from(privateKey.slice(2), 'hex'), 'secret word'),
    )
    writeFileSync(join(machine.home, 'password'), 'secret word\n')
    const byFile = await machine.run(
      ['login', '--keystore', 'dev', '--password-file', 'password', '--accept-terms'],
      { env: env() },
    )
    expect(byFile.code).toBe(0)
    const wrong = await machine.run(['login', '--keystore', 'dev', '--accept-terms'], {
      env: env({ AGENTCTL_KEYSTORE_PASSWORD: 'wrong' }),
    })
    expect(wrong.code).toBe(2)
    expect(wrong.stderr).toContain('The password does not open this keystore')
    const absent = await machine.run(['login', '--keystore', 'prod'], { env: env() })
    expect(absent.code).toBe(2)
    expect(absent.stderr).toContain('These are there: dev')
  })

  test('a command signs: message on stdin, signature on stdout', async () => {
    const script = join(machine.home, 'sign.mjs')
    writeFileSync(
      script,
      `import { privateKeyToAccount } from ${JSON.stringify(import.meta.resolve('viem/accounts'))}
let message = ''
for await (const part of process.stdin) message += part
const signature = await privateKeyToAccount('${privateKey}').signMessage({ message })
process.stdout.write(signature + '\\n')
`,
    )
    const command = `'${process.execPath}' '${script}'`
    const ran = await machine.run(
      ['login', '--wallet', '--signer-cmd', command, '--address', address, '--accept-terms'],
      { env: env() },
    )
    expect(ran.code).toBe(0)
    const failing = await machine.run(['login', '--signer-cmd', 'exit 3', '--address', address], {
      env: env(),
    })
    expect(failing.code).toBe(2)
    expect(failing.stderr).toContain('The signing command ended with status 3')
    const nobody = await machine.run(['login', '--signer-cmd', command], { env: env() })
    expect(nobody.code).toBe(2)
    expect(nobody.stderr).toContain('--address')
  })

  test('the message of another site is not signed', async () => {
    answers['POST /v1/logins/wallet'] = () => ({
      message: `bank.example wants you to sign in with your Ethereum account:\n${address}\n\nURI: https://bank.example`,
      expiresAt: new Date(Date.now() + 300_000).toISOString(),
    })
    const ran = await machine.run(['login', '--wallet'], { env: env({ AGENTCTL_PRIVATE_KEY: privateKey }) })
    expect(ran.code).toBe(4)
    expect(ran.stderr).toContain('it signs in to bank.example')
    expect(api.asked.map(({ route }) => route)).toEqual(['POST /v1/logins/wallet'])
  })

  test('a new account needs the terms; agreeing afterwards needs no second signature', async () => {
    const asked = await machine.run(['login', '--wallet'], { env: env({ AGENTCTL_PRIVATE_KEY: privateKey }) })
    expect(asked.code).toBe(2)
    expect(asked.stderr).toContain(terms.text)
    expect(asked.stderr).toContain('agentctl login --accept-terms')
    const agreed = await machine.run(['login', '--accept-terms'], { env: env() })
    expect(agreed.code).toBe(0)
    expect(config().pending).toEqual({})
  })
})

describe('by phone', () => {
  test('the code is a line on stdin', async () => {
    const running = machine.start(['login', '--phone', '+821012345678', '--accept-terms'], { env: env() })
    await running.said('A code is on its way')
    running.child.stdin?.write('123456\n')
    expect(await running.ended).toMatchInlineSnapshot(`
      {
        "code": 0,
        "stderr": "A code is on its way to ••••78.
      Next: agentctl init, then agentctl deploy
      ",
        "stdout": "Welcome. Your account is acc_1.
      ",
      }
    `)
  })

  test('the code comes with the next run, which asks for no other one', async () => {
    const sent = await machine.run(['login', '--phone', '+821012345678', '--no-input'], { env: env() })
    expect(sent.code).toBe(2)
    expect(JSON.stringify(config())).not.toContain('1012345678')
    const done = await machine.run(['login', '--code', '123456', '--accept-terms'], { env: env() })
    expect(done.code).toBe(0)
    expect(api.asked.map(({ route }) => route)).toEqual([
      'POST /v1/logins/phone',
      'POST /v1/logins/phone/verify',
    ])
  })

  test('who left out the agreement gives it afterwards, with or without the code that has done its part', async () => {
    answers['POST /v1/logins/phone/verify'] = () => ({
      status: 'terms_required',
      signupToken: 'sup_1',
      terms,
    })
    for (const repeated of [[], ['--code', '123456']]) {
      const sent = await machine.run(['login', '--phone', '+821012345678', '--no-input'], { env: env() })
      expect(sent.stderr).toContain('run: agentctl login --code CODE')
      expect((await machine.run(['login', '--code', '123456'], { env: env() })).code).toBe(2)
      const agreed = await machine.run(['login', ...repeated, '--accept-terms'], { env: env() })
      expect(agreed.code).toBe(0)
    }
    expect(api.asked.filter(({ route }) => route === 'POST /v1/logins/phone')).toHaveLength(2)
  })

  test('an agreement that came too early is part of the command to go on with', async () => {
    const sent = await machine.run(['login', '--phone', '+821012345678', '--accept-terms', '--no-input'], {
      env: env(),
    })
    expect(sent.stderr).toContain('run: agentctl login --accept-terms --code CODE')
  })

  test('what cannot be a code is refused before anything is sent', async () => {
    const ran = await machine.run(['login', '--phone', '+821012345678', '--code', '12ab'], { env: env() })
    expect(ran).toMatchObject({ code: 2, stderr: expect.stringContaining('A code has 4 to 10 digits') })
    expect(api.asked).toEqual([])
  })

  test('the code for one number is not tried for another', async () => {
    await machine.run(['login', '--phone', '+821012345678', '--no-input'], { env: env() })
    await machine.run(['login', '--phone', '+821099999999', '--code', '123456'], { env: env() })
    expect(api.asked.map(({ route }) => route)).toEqual([
      'POST /v1/logins/phone',
      'POST /v1/logins/phone',
      'POST /v1/logins/phone/verify',
    ])
  })

  test('a wrong code is exit 4', async () => {
    const ran = await machine.run(['login', '--phone', '+821012345678'], { env: env(), input: '000000\n' })
    expect(ran.code).toBe(4)
    expect(ran.stderr).toContain('This code or signature is not valid')
  })
})

describe('afterwards', () => {
  const login = () =>
    machine.run(['login', '--wallet', '--accept-terms'], { env: env({ AGENTCTL_PRIVATE_KEY: privateKey }) })

  test('a second login ends the session that it replaces', async () => {
    await login()
    const second = `actl_s_${'C'.repeat(36)}`
    answers['POST /v1/logins/wallet/verify'] = () => ({ ...loggedIn, token: second, created: false })
    expect((await login()).code).toBe(0)
    expect(api.asked.at(-1)).toMatchObject({
      route: 'POST /v1/logout',
      headers: { authorization: `Bearer ${token}` },
    })
    expect(config().logins?.[api.url]?.token).toBe(second)
  })

  test('logout ends the session and forgets it', async () => {
    await login()
    const out = await machine.run(['logout', '--json'])
    expect(JSON.parse(out.stdout)).toEqual({ loggedOut: true, sessionEnded: true, apiUrl: api.url })
    expect(api.asked.at(-1)).toMatchObject({
      route: 'POST /v1/logout',
      headers: { authorization: `Bearer ${token}` },
    })
    expect(readFileSync(join(machine.home, 'config', 'config.json'), 'utf8')).not.toContain(token)
  })

  test('a token file that others may read is refused, with the command that mends it', async () => {
    await login()
    const { chmodSync } = await import('node:fs')
    const path = join(machine.home, 'config', 'config.json')
    chmodSync(path, 0o644)
    const ran = await machine.run(['whoami'])
    expect(ran.code).toBe(2)
    expect(ran.stderr).toContain(`Run: chmod 600 ${path}`)
  })

  test('AGENTCTL_API_KEY beats the login', async () => {
    await login()
    answers['GET /v1/whoami'] = () => ({
      account: { id: 'acc_2' },
      namespaces: [],
      loginMethods: [],
      via: 'key',
    })
    await machine.run(['whoami'], { env: { AGENTCTL_API_KEY: 'actl_k_other' } })
    expect(api.asked.at(-1)?.headers.authorization).toBe('Bearer actl_k_other')
  })
})

test('a folder cannot say where keys are sent', async () => {
  const { mkdirSync } = await import('node:fs')
  mkdirSync(join(machine.home, '.agentctl'))
  const local = join(machine.home, '.agentctl', 'local.json')
  writeFileSync(local, JSON.stringify({ apiUrl: 'http://evil.example' }))
  const refused = await machine.run(['doctor', '--json'], { env: { AGENTCTL_API_KEY: 'actl_k_other' } })
  expect(refused.stdout + refused.stderr).not.toContain('evil.example')
  writeFileSync(local, JSON.stringify({ apiUrl: api.url }))
  answers['GET /v1/whoami'] = () => ({
    account: { id: 'acc_2' },
    namespaces: [],
    loginMethods: [],
    via: 'key',
  })
  const found = await machine.run(['whoami'], { env: { AGENTCTL_API_KEY: 'actl_k_other' } })
  expect(found.code).toBe(0)
})

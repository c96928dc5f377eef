import { randomInt } from 'node:crypto'
import { beforeEach, expect, test } from 'vitest'
import { openPool } from '../platform/db.ts'
import { type CallOptions, newAddress, PEPPER_1, PEPPER_2, testIdentity } from './test-identity.ts'

const identity = await testIdentity()
const { call, clock } = identity

// Codes that these tests never type in would trip the breaker for the tests after them.
beforeEach(() => identity.db.as({ account: null }, (tx) => tx`delete from sms_counts`))

let numbers = 0
/** A number in a range of its own, so that the limit of one test's range is not another's. */
const newPhone = () => {
  numbers += 1
  return `+8210${String(2000 + numbers)}${String(randomInt(10_000)).padStart(4, '0')}`
}

const start = (phone: string, from = newAddress()) => call('POST /v1/logins/phone', { body: { phone }, from })
const verify = (challengeId: unknown, code: string, options: CallOptions & { more?: object } = {}) =>
  call('POST /v1/logins/phone/verify', {
    body: { challengeId, code, ...options.more },
    from: options.from ?? newAddress(),
  })
const latestCode = async (phone: string) => (await identity.codes(phone)).at(-1) ?? ''
const wrong = (code: string) => (code === '000000' ? '000001' : '000000')
const refusal = (text: string) => text.replace(/req_\w+/, 'req')

async function logIn(phone: string) {
  const { json } = await start(phone)
  return verify(json.challengeId, await latestCode(phone), { more: { acceptTerms: true } })
}

test('a phone makes an account after the terms and logs in again without them', async () => {
  const phone = newPhone()
  const started = await start(phone)
  expect(started.status).toBe(202)
  expect(started.json).toEqual({
    challengeId: expect.stringMatching(/^chl_/),
    expiresAt: new Date(clock.now().getTime() + 300_000).toISOString(),
    resendAt: new Date(clock.now().getTime() + 30_000).toISOString(),
  })
  const proved = await verify(started.json.challengeId, await latestCode(phone))
  expect(proved.json.status).toBe('terms_required')
  const agreed = await call('POST /v1/logins/accept-terms', {
    body: { signupToken: proved.json.signupToken },
  })
  expect(agreed.json).toMatchObject({ status: 'logged_in', created: true })

  clock.advance(60)
  const again = await logIn(phone)
  expect(again.json).toMatchObject({ status: 'logged_in', created: false, account: agreed.json.account })
  const account = await call('GET /v1/account', { token: String(again.json.token) })
  expect(account.json).toMatchObject({ phone: { linkedAt: expect.any(String) }, wallets: [] })
})

test('a sign-up waits a quarter of an hour for the terms', async () => {
  const phone = newPhone()
  const { json } = await start(phone)
  const proved = await verify(json.challengeId, await latestCode(phone))
  clock.advance(901)
  const late = await call('POST /v1/logins/accept-terms', { body: { signupToken: proved.json.signupToken } })
  expect(late.json.code).toBe('login_failed')
})

test('a number that codes cannot be sent to is refused at once, and nothing is spent on it', async () => {
  const before = (await identity.sentToProvider()).length
  const refusals = {
    fixedLine: '+82212345678',
    voip: '+827012345678',
    tollFree: '+82801234567',
    personal: '+8250512345678',
    elsewhere: '+14155550100',
    notANumber: '+8210123',
    national: '010-1234-5678',
    extension: '+821012345678;ext=12',
    words: 'my phone +821012345678',
  }
  const codes = await Promise.all(
    Object.values(refusals).map(async (phone) => (await start(phone)).json.code),
  )
  expect(Object.fromEntries(Object.keys(refusals).map((what, index) => [what, codes[index]]))).toEqual({
    fixedLine: 'unsupported_number',
    voip: 'unsupported_number',
    tollFree: 'unsupported_number',
    personal: 'unsupported_number',
    elsewhere: 'unsupported_number',
    notANumber: 'invalid_request',
    national: 'invalid_request',
    extension: 'invalid_request',
    words: 'invalid_request',
  })
  expect(await identity.sentToProvider()).toHaveLength(before)
})

test('wrong, expired, used, unknown and locked codes are refused in the same words, to the byte', async () => {
  const refusals = new Map<string, string>()
  const note = (what: string, reply: { status: number; text: string }) =>
    refusals.set(what, `${reply.status} ${refusal(reply.text)}`)

  const used = newPhone()
  const first = await start(used)
  const code = await latestCode(used)
  note('wrong', await verify(first.json.challengeId, wrong(code)))
  expect((await verify(first.json.challengeId, code, { more: { acceptTerms: true } })).status).toBe(200)
  note('used', await verify(first.json.challengeId, code))
  note('unknown', await verify('chl_00000000000000000000', code))
  note('no challenge at all', await verify('hello', code))

  const late = newPhone()
  const expired = await start(late)
  clock.advance(300)
  note('expired', await verify(expired.json.challengeId, await latestCode(late)))

  const guessed = newPhone()
  const guess = await start(guessed)
  const right = await latestCode(guessed)
  for (let tries = 0; tries < 5; tries++) note('guess', await verify(guess.json.challengeId, wrong(right)))
  note('after five tries', await verify(guess.json.challengeId, right))

  const { token } = await identity.newAccount()
  const linking = newPhone()
  const link = await call('POST /v1/account/phone', { token, body: { phone: linking }, from: newAddress() })
  note('meant for linking', await verify(link.json.challengeId, await latestCode(linking)))

  expect(new Set(refusals.values()).size, JSON.stringify([...refusals], null, 1)).toBe(1)
  expect([...refusals.values()][0]).toContain('"code":"login_failed"')
})

test('a code is good for one login, also when it is shown many times at once', async () => {
  const phone = newPhone()
  const { json } = await start(phone)
  const code = await latestCode(phone)
  const replies = await Promise.all(
    Array.from({ length: 4 }, () => verify(json.challengeId, code, { more: { acceptTerms: true } })),
  )
  expect(replies.map((reply) => reply.status).sort()).toEqual([200, 401, 401, 401])
})

test('five tries at once are five tries, however many were sent', async () => {
  const phone = newPhone()
  const { json } = await start(phone)
  const code = await latestCode(phone)
  const before = (await identity.sentToProvider()).length
  await Promise.all(Array.from({ length: 20 }, () => verify(json.challengeId, wrong(code))))
  const checks = (await identity.sentToProvider()).slice(before)
  expect(checks.filter(({ path }) => path.endsWith('/VerificationCheck'))).toHaveLength(5)
})

test('a code can be asked for again after 30, 60, 120 and 240 seconds, and five times a day', async () => {
  const phone = newPhone()
  for (const pause of [30, 60, 120, 240]) {
    const sent = (await identity.codes(phone)).length
    const { json } = await start(phone)
    expect(await identity.codes(phone)).toHaveLength(sent + 1)
    expect(json.resendAt).toBe(new Date(clock.now().getTime() + pause * 1000).toISOString())
    clock.advance(pause - 1)
    const early = await start(phone)
    expect(early.status).toBe(202)
    expect(early.json.resendAt).toBe(new Date(clock.now().getTime() + 1000).toISOString())
    expect(await identity.codes(phone)).toHaveLength(sent + 1)
    clock.advance(1)
  }
  await start(phone)
  clock.advance(7200)
  const sixth = await start(phone)
  expect(sixth.status).toBe(202)
  expect(await identity.codes(phone)).toHaveLength(5)
  clock.advance(86_400)
  await start(phone)
  expect(await identity.codes(phone)).toHaveLength(6)
})

test('asking again too early takes the code under way along, with the tries that it has had', async () => {
  const phone = newPhone()
  const first = await start(phone)
  const code = await latestCode(phone)
  for (let tries = 0; tries < 3; tries++) await verify(first.json.challengeId, wrong(code))
  const second = await start(phone)
  expect((await verify(first.json.challengeId, code)).json.code).toBe('login_failed')
  expect((await verify(second.json.challengeId, wrong(code))).json.code).toBe('login_failed')
  const login = await verify(second.json.challengeId, code, { more: { acceptTerms: true } })
  expect(login.json.status).toBe('logged_in')
})

test('ten failures in a day lock the codes of a phone for an hour, and no re-send resets them', async () => {
  const phone = newPhone()
  const login = await logIn(phone)
  const token = String(login.json.token)
  for (let round = 0; round < 2; round++) {
    clock.advance(700)
    const { json } = await start(phone)
    const code = await latestCode(phone)
    for (let tries = 0; tries < 5; tries++) await verify(json.challengeId, wrong(code))
  }
  clock.advance(700)
  const sent = (await identity.codes(phone)).length
  const locked = await start(phone)
  expect(locked.status).toBe(202)
  expect(await identity.codes(phone)).toHaveLength(sent)
  // Live sessions go on: the lock is no weapon.
  expect((await call('GET /v1/whoami', { token })).status).toBe(200)

  clock.advance(3600)
  expect((await logIn(phone)).json.status).toBe('logged_in')
})

test('a locked phone is refused the right code, too', async () => {
  const phone = newPhone()
  await start(phone)
  for (let round = 0; round < 2; round++) {
    clock.advance(700)
    const { json } = await start(phone)
    const code = await latestCode(phone)
    for (let tries = 0; tries < 5 - round; tries++) await verify(json.challengeId, wrong(code))
  }
  clock.advance(700)
  const { json } = await start(phone)
  const code = await latestCode(phone)
  // The tenth failure, by another request than the one that has the right code.
  await verify(json.challengeId, wrong(code))
  expect((await verify(json.challengeId, code)).json.code).toBe('login_failed')
})

test('one network has five codes sent in ten minutes and twenty a day', async () => {
  const from = newAddress()
  const outcomes: number[] = []
  for (let round = 0; round < 5; round++) {
    for (let sends = 0; sends < 6; sends++) outcomes.push((await start(newPhone(), from)).status)
    clock.advance(600)
  }
  const five = [202, 202, 202, 202, 202, 429]
  expect(outcomes).toEqual([...five, ...five, ...five, ...five, 429, 429, 429, 429, 429, 429])
  const refused = await start(newPhone(), from)
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(80_000)
  expect((await start(newPhone())).status).toBe(202)
})

test('addresses of one IPv6 network count as one', async () => {
  const sends = ['2001:db8:1:2::1', '2001:db8:1:2:ffff::9', '2001:0db8:0001:0002::2', '2001:db8:1:2::3']
  for (const from of sends) expect((await start(newPhone(), from)).status).toBe(202)
  expect((await start(newPhone(), '2001:db8:1:2:1::')).status).toBe(202)
  expect((await start(newPhone(), '2001:db8:1:2:2::')).status).toBe(429)
  expect((await start(newPhone(), '2001:db8:1:3::1')).status).toBe(202)
})

test('one network tries thirty codes in ten minutes', async () => {
  const from = newAddress()
  const tryOne = () => verify('chl_00000000000000000000', '123456', { from })
  for (let tries = 0; tries < 30; tries++) expect((await tryOne()).status).toBe(401)
  expect((await tryOne()).status).toBe(429)
  clock.advance(600)
  expect((await tryOne()).status).toBe(401)
})

test('numbers in a row have ten codes sent in an hour, and the eleventh answer looks like the ten', async () => {
  numbers += 1
  const range = `+8210${2000 + numbers}`
  const replies: { status: number; text: string }[] = []
  for (let last = 0; last < 11; last++) replies.push(await start(`${range}${1000 + last}`))
  const shapes = replies.map(({ status, text }) => `${status} ${text.replace(/chl_\w+/, 'chl')}`)
  expect(new Set(shapes).size).toBe(1)
  expect(await identity.codes(`${range}1009`)).toHaveLength(1)
  expect(await identity.codes(`${range}1010`)).toHaveLength(0)
})

test('whatever the provider says, the answer is the same for a known and an unknown phone', async () => {
  const known = newPhone()
  await logIn(known)
  clock.advance(600)
  const shapes = new Set<string>()
  const note = async (phone: string) => {
    const { status, text } = await start(phone)
    shapes.add(`${status} ${text.replace(/chl_\w+/, 'chl').replace(/"resendAt":"[^"]+"/, 'resendAt')}`)
  }
  await note(known)
  await note(newPhone())
  const path = '/v2/Services/'
  await identity.fault({
    kind: 'status',
    path,
    times: 1,
    status: 403,
    body: { code: 60410, message: 'blocked' },
  })
  await note(newPhone())
  await identity.fault({ kind: 'html-503', path, times: 1 })
  await note(newPhone())
  await identity.fault({ kind: 'drop-before', path, times: 1 })
  await note(newPhone())
  await identity.fault({ kind: 'status', path, times: 1, status: 401, body: { code: 20003 } })
  await note(newPhone())
  expect([...shapes]).toHaveLength(1)
})

test('a provider in trouble while a code is checked is named, and costs no try of the day', async () => {
  const phone = newPhone()
  const { json } = await start(phone)
  const code = await latestCode(phone)
  await identity.fault({ kind: 'html-503', path: '/v2/Services/', times: 1 })
  expect((await verify(json.challengeId, code)).json.code).toBe('provider_unavailable')
  expect((await verify(json.challengeId, code)).json.status).toBe('terms_required')
})

test('forty sign-ups of one phone at once end with one account', async () => {
  const phone = newPhone()
  const tokens: unknown[] = []
  for (let round = 0; round < 4; round++) {
    const { json } = await start(phone)
    const proved = await verify(json.challengeId, await latestCode(phone))
    tokens.push(proved.json.signupToken)
    clock.advance(120)
  }
  const replies = await Promise.all(
    Array.from({ length: 40 }, (_, index) =>
      call('POST /v1/logins/accept-terms', { body: { signupToken: tokens[index % 4] } }),
    ),
  )
  const made = replies.filter((reply) => reply.status === 200)
  expect(made).toHaveLength(4)
  expect(new Set(made.map((reply) => (reply.json.account as { id: string }).id)).size).toBe(1)
  expect(made.filter((reply) => reply.json.created)).toHaveLength(1)
})

test('a linked phone logs in, replaces the one before, and ends the other sessions', async () => {
  const { token, accountId, wallet } = await identity.newAccount()
  const link = async (phone: string) => {
    const started = await call('POST /v1/account/phone', { token, body: { phone }, from: newAddress() })
    return call('POST /v1/account/phone/verify', {
      token,
      body: { challengeId: started.json.challengeId, code: await latestCode(phone) },
      from: newAddress(),
    })
  }
  const [old, next] = [newPhone(), newPhone()]
  expect((await link(old)).json).toMatchObject({ phone: { linkedAt: expect.any(String) } })
  clock.advance(60)
  const other = await logIn(old)
  expect(other.json.account).toEqual({ id: accountId })
  expect((await link(next)).status).toBe(200)
  expect((await call('GET /v1/whoami', { token: String(other.json.token) })).status).toBe(401)
  expect((await call('GET /v1/whoami', { token })).status).toBe(200)
  clock.advance(60)
  expect((await logIn(old)).json).toMatchObject({ created: true })
  clock.advance(60)
  expect((await logIn(next)).json.account).toEqual({ id: accountId })
  clock.advance(60)
  expect((await link(old)).json.code).toBe('login_method_taken')
  expect(wallet.address).toMatch(/^0x/)
})

test('a new pepper keeps every phone, and moves it at its next login', async () => {
  const [moved, unmoved] = [newPhone(), newPhone()]
  const before = [await logIn(moved), await logIn(unmoved)]
  clock.advance(600)
  identity.usePeppers(PEPPER_1, PEPPER_2)
  const after = await logIn(moved)
  expect(after.json).toMatchObject({ created: false, account: before[0]?.json.account })

  clock.advance(600)
  identity.usePeppers(PEPPER_2)
  expect((await logIn(moved)).json).toMatchObject({ created: false, account: before[0]?.json.account })
  // Nobody can tell any more whose it was: this is the price of dropping a pepper too early.
  expect((await logIn(unmoved)).json.created).toBe(true)
  identity.usePeppers(PEPPER_1)
})

test('a sign-up that began before a new pepper makes no second account of a phone that has moved to it', async () => {
  const phone = newPhone()
  const { json } = await start(phone)
  const proved = await verify(json.challengeId, await latestCode(phone))
  clock.advance(60)
  const first = await logIn(phone)
  identity.usePeppers(PEPPER_1, PEPPER_2)
  clock.advance(120)
  const late = await start(phone)
  const again = await verify(late.json.challengeId, await latestCode(phone))
  expect(again.json).toMatchObject({ status: 'logged_in', account: first.json.account })
  const raced = await call('POST /v1/logins/accept-terms', { body: { signupToken: proved.json.signupToken } })
  expect(raced.json.code).toBe('login_failed')
  identity.usePeppers(PEPPER_1)
})

test('a phone number is told to the provider, with nothing else about anybody, and kept nowhere', async () => {
  const phone = newPhone()
  const number = phone.slice(3)
  await logIn(phone)
  clock.advance(60)
  const path = '/v2/Services/'
  const text = `The number ${phone} is blocked`
  await identity.fault({ kind: 'status', path, times: 1, status: 403, body: { code: 60410, message: text } })
  await start(phone)
  clock.advance(120)
  await identity.fault({ kind: 'status', path, times: 1, status: 500, body: { code: 20500, message: text } })
  await start(phone)

  const sent = (await identity.sentToProvider())
    .map(({ body }) => body)
    .filter((body) => body.includes(number))
  expect(new Set(sent)).toEqual(new Set([`To=${encodeURIComponent(phone)}&Channel=sms`]))
  expect(identity.logged()).toContain('60410')
  expect(identity.logged()).toContain('20500')
  expect(identity.logged()).not.toContain(number)

  const sql = openPool(identity.databaseUrl, { connectionsMax: 1 })
  const tables = await sql<{ name: string }[]>`
    select relname as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace`
  for (const { name } of tables) {
    const rows = await sql`select row_to_json(t)::text as row from ${sql(name)} t`
    for (const { row } of rows) {
      expect(row).not.toContain(number)
      expect(row).not.toContain(number.slice(-8))
    }
  }
  await sql.end()
})

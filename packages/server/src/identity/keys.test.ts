import { scopes as allScopes } from '@agentctl/contract/endpoint.ts'
import { expect, test } from 'vitest'
import { openPool } from '../platform/db.ts'
import { tokenKind } from '../platform/tokens.ts'
import { testIdentity } from './test-identity.ts'

const identity = await testIdentity()
const { call, clock } = identity
const DAY = 86_400
const inDays = (days: number) => new Date(clock.now().getTime() + days * DAY * 1000).toISOString()

interface Made {
  id: string
  key: string
  expiresAt: string | null
}

async function makeKey(token: string, wanted: object = {}): Promise<Made> {
  const body = { name: 'ci', scopes: ['agents:read', 'keys:manage'], ...wanted }
  const reply = await call('POST /v1/keys', { token, body })
  expect(reply.status, reply.text).toBe(201)
  return reply.json as unknown as Made
}

const whoami = (token: string) => call('GET /v1/whoami', { token })
const refusal = (reply: { status: number; text: string }) =>
  `${reply.status} ${reply.text.replace(/req_\w+/, 'req')}`

test('a key is shown once, works at once, and is stored as a hash', async () => {
  const { token } = await identity.newAccount()
  const made = await makeKey(token)
  expect(tokenKind(made.key)).toBe('k')
  expect(made.expiresAt).toBe(inDays(90))
  expect((await whoami(made.key)).json).toMatchObject({ via: 'key' })

  const listed = await call('GET /v1/keys', { token })
  expect(listed.json.keys).toMatchObject([{ id: made.id, prefix: made.key.slice(0, 15), revokedAt: null }])
  expect(listed.text).not.toContain(made.key)
  const sql = openPool(identity.databaseUrl, { connectionsMax: 1 })
  const rows = await sql`select row_to_json(k)::text as row from api_keys k where id = ${made.id}`
  await sql.end()
  expect(String(rows[0]?.row)).not.toContain(made.key.slice(7, 37))
})

test('a key lives for 90 days unless told otherwise, or for ever where that is asked for', async () => {
  const { token } = await identity.newAccount()
  const [usual, week, forever] = [
    await makeKey(token),
    await makeKey(token, { expiresInDays: 7 }),
    await makeKey(token, { expiresInDays: null }),
  ]
  expect([week.expiresAt, forever.expiresAt]).toEqual([inDays(7), null])
  clock.advance(7 * DAY)
  expect((await whoami(week.key)).status).toBe(401)
  clock.advance(83 * DAY)
  expect((await whoami(usual.key)).status).toBe(401)
  expect((await whoami(forever.key)).status).toBe(200)
})

test('making a key needs a login not older than ten minutes', async () => {
  const { token } = await identity.newAccount()
  const made = await makeKey(token)
  clock.advance(600)
  await makeKey(token, { name: 'in time' })
  clock.advance(1)
  const body = { name: 'late', scopes: ['agents:read'] }
  expect((await call('POST /v1/keys', { token, body })).json.code).toBe('reauthentication_required')
  const rotated = await call(`POST /v1/keys/${made.id}/rotate`, { token, body: {} })
  expect(rotated.json.code).toBe('reauthentication_required')
  expect((await call(`DELETE /v1/keys/${made.id}`, { token })).status).toBe(204)
})

test('a key makes no key, whatever it may do; one that is bound to a namespace sees no other', async () => {
  const { token } = await identity.newAccount()
  const name = 'narrow-house'
  await call('POST /v1/namespaces', { token, body: { name } })
  const { key } = await makeKey(token, { scopes: [...allScopes], expiresInDays: null })
  const body = { name: 'child', scopes: ['agents:read'] }
  expect((await call('POST /v1/keys', { token: key, body })).json.code).toBe('forbidden')

  const bound = await makeKey(token, { namespace: name })
  expect((await whoami(bound.key)).json.namespaces).toEqual([{ name, role: 'owner' }])
  const elsewhere = await call('POST /v1/keys', { token, body: { ...body, namespace: 'no-such-place' } })
  expect(elsewhere.json.code).toBe('not_found')
})

test('a key without keys:manage touches no key, whatever else it may do', async () => {
  const { token } = await identity.newAccount()
  const target = await makeKey(token)
  const scopes = allScopes.filter((scope) => scope !== 'keys:manage')
  const { key } = await makeKey(token, { scopes })
  for (const [route, body] of [
    ['GET /v1/keys', undefined],
    [`POST /v1/keys/${target.id}/rotate`, {}],
    [`DELETE /v1/keys/${target.id}`, undefined],
  ] as const) {
    const reply = await call(route, { token: key, ...(body ? { body } : {}) })
    expect(reply.json, route).toMatchObject({
      code: 'forbidden',
      detail: expect.stringContaining('keys:manage'),
    })
  }
  expect((await whoami(target.key)).status).toBe(200)
})

test('a key neither rotates nor revokes a wider one, and does not see those of other namespaces', async () => {
  const { token } = await identity.newAccount()
  await call('POST /v1/namespaces', { token, body: { name: 'one-room' } })
  const wide = await makeKey(token, { scopes: [...allScopes] })
  const narrow = await makeKey(token)
  const bound = await makeKey(token, { namespace: 'one-room' })
  const rotate = (key: string, id: string) => call(`POST /v1/keys/${id}/rotate`, { token: key, body: {} })
  const revoke = (key: string, id: string) => call(`DELETE /v1/keys/${id}`, { token: key })
  expect((await rotate(narrow.key, wide.id)).json.code).toBe('forbidden')
  expect((await revoke(narrow.key, wide.id)).json.code).toBe('forbidden')
  expect(refusal(await rotate(bound.key, narrow.id))).toBe(refusal(await rotate(bound.key, 'key_0')))
  const seen = (await call('GET /v1/keys', { token: bound.key })).json.keys as { id: string }[]
  expect(seen.map(({ id }) => id)).toEqual([bound.id])
  expect((await rotate(narrow.key, narrow.id)).status).toBe(201)
})

test('a key does nothing that needs a login: no new login method, session, namespace or member', async () => {
  const { token, wallet, accountId } = await identity.newAccount()
  const { key } = await makeKey(token, { scopes: [...allScopes], expiresInDays: null })
  for (const [route, body] of [
    ['GET /v1/account', undefined],
    ['POST /v1/logout', undefined],
    ['GET /v1/account/sessions', undefined],
    ['DELETE /v1/account/sessions/ses_0', undefined],
    ['POST /v1/account/phone', { phone: '+821012345678' }],
    ['POST /v1/account/phone/verify', { challengeId: 'chl_0', code: '123456' }],
    ['POST /v1/account/wallets', { address: wallet.address }],
    ['POST /v1/account/wallets/verify', { message: 'hello', signature: '0x00' }],
    ['POST /v1/account/proofs/phone', { phone: '+821012345678' }],
    ['POST /v1/account/proofs/wallet', { address: wallet.address }],
    ['POST /v1/namespaces', { name: 'mine' }],
    ['PATCH /v1/namespaces/mine', { name: 'yours' }],
    ['DELETE /v1/namespaces/mine', undefined],
    ['POST /v1/namespaces/mine/invitations', { role: 'owner' }],
    ['POST /v1/invitations/accept', { code: 'hello' }],
    [`PATCH /v1/namespaces/mine/members/${accountId}`, { role: 'owner' }],
    [`DELETE /v1/namespaces/mine/members/${accountId}`, undefined],
  ] as const) {
    const reply = await call(route, { token: key, ...(body ? { body } : {}) })
    expect(reply.json.code, route).toBe('forbidden')
  }
})

test('after a rotation both keys work for the overlap, then only the successor does, with a life as long', async () => {
  const { token } = await identity.newAccount()
  const old = await makeKey(token, { expiresInDays: 30 })
  clock.advance(300)
  const rotated = await call(`POST /v1/keys/${old.id}/rotate`, { token, body: { overlapSeconds: 3600 } })
  const next = rotated.json as unknown as Made
  expect(next).toMatchObject({ name: 'ci', scopes: ['agents:read', 'keys:manage'], expiresAt: inDays(30) })
  const again = await call(`POST /v1/keys/${old.id}/rotate`, { token, body: {} })
  expect(again.json.code).toBe('conflict')
  clock.advance(3599)
  expect((await whoami(old.key)).status).toBe(200)
  clock.advance(1)
  expect((await whoami(old.key)).status).toBe(401)
  expect((await whoami(next.key)).status).toBe(200)
})

test('an overlap does not make the old key live longer, and an overlap of nothing ends it', async () => {
  const { token } = await identity.newAccount()
  const short = await makeKey(token, { expiresInDays: 1 })
  const ended = await makeKey(token)
  await call(`POST /v1/keys/${short.id}/rotate`, { token, body: { overlapSeconds: 30 * DAY } })
  await call(`POST /v1/keys/${ended.id}/rotate`, { token, body: { overlapSeconds: 0 } })
  expect((await whoami(ended.key)).status).toBe(401)
  clock.advance(DAY)
  expect((await whoami(short.key)).status).toBe(401)
})

test('a revoked key is refused at once, and to a stranger no key exists', async () => {
  const { token } = await identity.newAccount()
  const made = await makeKey(token)
  const stranger = await identity.newAccount()
  const foreign = await call(`DELETE /v1/keys/${made.id}`, { token: stranger.token })
  expect(refusal(foreign)).toBe(refusal(await call('DELETE /v1/keys/key_0', { token: stranger.token })))
  expect((await whoami(made.key)).status).toBe(200)
  expect((await call(`DELETE /v1/keys/${made.id}`, { token })).status).toBe(204)
  expect((await whoami(made.key)).status).toBe(401)
  expect((await call(`DELETE /v1/keys/${made.id}`, { token })).status).toBe(204)
})

test('the use of a key is noted by the hour', async () => {
  const { token } = await identity.newAccount()
  const made = await makeKey(token)
  const lastUsed = async () => {
    const { keys } = (await call('GET /v1/keys', { token })).json as { keys: { lastUsedAt: string | null }[] }
    return keys[0]?.lastUsedAt
  }
  expect(await lastUsed()).toBeNull()
  await whoami(made.key)
  expect(await lastUsed()).toMatch(/:00:00\.000Z$/)
})

test('an account has at most a hundred live keys', async () => {
  const { token } = await identity.newAccount()
  for (let keys = 0; keys < 100; keys++) await makeKey(token)
  const body = { name: 'one too many', scopes: ['agents:read'] }
  expect((await call('POST /v1/keys', { token, body })).json.code).toBe('conflict')
})

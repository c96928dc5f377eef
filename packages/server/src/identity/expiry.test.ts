import { expect, test } from 'vitest'
import { openPool } from '../platform/db.ts'
import { expireIdentityRows } from './expiry.ts'
import { identityService } from './test-service.ts'

const service = await identityService()
const { call, clock } = service
const DAY = 86_400

test('what may not be kept any longer is deleted, and nothing before its time', async () => {
  const { token } = await service.newAccount()
  const [{ name } = { name: '' }] = (await call('GET /v1/namespaces', { token })).json.namespaces as {
    name: string
  }[]
  await call(`POST /v1/namespaces/${name}/invitations`, { token, body: { role: 'viewer' } })
  const phone = '+821044440001'
  const { json } = await call('POST /v1/logins/phone', { body: { phone } })
  const [code = ''] = await service.codes(phone)
  const body = { challengeId: json.challengeId, code }
  expect((await call('POST /v1/logins/phone/verify', { body })).json.status).toBe('terms_required')
  const address = '0x0000000000000000000000000000000000000001'
  await call('POST /v1/logins/wallet', { body: { address } })

  const sql = openPool(service.databaseUrl, { connectionsMax: 1 })
  const left = async () => {
    const [row] = await sql`
      select (select count(*) from phone_challenges)::int as codes, (select count(*) from signups)::int as signups,
        (select count(*) from wallet_challenges)::int as messages, (select count(*) from sessions)::int as sessions,
        (select count(*) from invitations)::int as invitations, (select count(*) from login_limits)::int > 0 as limits,
        (select count(*) from sms_counts)::int as counts`
    return row
  }
  const all = {
    codes: 1,
    signups: 1,
    messages: 1,
    sessions: 1,
    invitations: 1,
    limits: true,
    counts: 1,
  }
  expect(await expireIdentityRows(service)).toBe(0)
  expect(await left()).toEqual(all)
  clock.advance(DAY)
  await expireIdentityRows(service)
  expect(await left()).toEqual({ ...all, codes: 0, signups: 0, messages: 0, limits: false })
  clock.advance(DAY + 300)
  await expireIdentityRows(service)
  expect(await left()).toMatchObject({ counts: 0, sessions: 1, invitations: 1 })
  clock.advance(28 * DAY)
  await expireIdentityRows(service)
  expect(await left()).toMatchObject({ sessions: 0, invitations: 0 })
  await sql.end()
})

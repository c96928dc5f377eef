import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import twilio from 'twilio'
import { afterEach, expect, onTestFinished, test } from 'vitest'
import { collectViolations } from '../spec-check.ts'
import { temporaryDataDir } from '../temporary-data-dir.ts'
import { startTwilio, type Twilio } from './twilio.ts'
import { twilioSpecCheck } from './twilio-spec.ts'

const PHONE = '+821012345678'
const checked = collectViolations(twilioSpecCheck())

// Every request of every test, and every answer, is held against Twilio's document.
afterEach(() => {
  expect(checked.violations.splice(0)).toEqual([])
})

async function start(dataDir = temporaryDataDir()) {
  const standIn = await startTwilio({ dataDir, log: () => undefined, onExchange: checked.onExchange })
  onTestFinished(() => standIn.stop())
  const call = callerOf(standIn)
  return {
    standIn,
    call,
    send: (to = PHONE) => call('POST', '/Verifications', { To: to, Channel: 'sms' }),
    check: (sid: unknown, code: string) =>
      call('POST', '/VerificationCheck', { VerificationSid: String(sid), Code: code }),
    inbox: async (to = PHONE): Promise<{ at: string; body: string; code: string }[]> => {
      const response = await fetch(`${standIn.url}/_local/inbox?to=${encodeURIComponent(to)}`)
      return (await response.json()) as { at: string; body: string; code: string }[]
    },
    later: (minutes: number) => writeFileSync(join(dataDir, 'clock'), String(minutes * 60_000)),
  }
}

function callerOf({ url, accountSid, authToken, serviceSid }: Twilio) {
  return async (method: string, path: string, form?: Record<string, string>, token = authToken) => {
    const response = await fetch(`${url}/v2/Services/${serviceSid}${path}`, {
      method,
      headers: { authorization: `Basic ${btoa(`${accountSid}:${token}`)}` },
      ...(form ? { body: new URLSearchParams(form) } : {}),
    })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
}

function otherThan(code: string | undefined): string {
  return code === '000000' ? '111111' : '000000'
}

test('the documents are there, or their absence is said', ({ skip }) => {
  skip(checked.missing !== undefined, checked.missing)
})

test('a code is sent to the phone, and the right code approves once', async () => {
  const { send, check, inbox, call } = await start()
  const sent = await send()
  expect(sent).toMatchObject({
    status: 201,
    body: { status: 'pending', valid: false, to: PHONE, channel: 'sms' },
  })
  const [message] = await inbox()
  expect(message?.body).toContain(message?.code)

  const approved = await check(sent.body.sid, message?.code ?? '')
  expect(approved).toMatchObject({ status: 200, body: { status: 'approved', valid: true } })
  expect(await call('GET', `/Verifications/${sent.body.sid}`)).toMatchObject({ body: { status: 'approved' } })
  expect(await check(sent.body.sid, message?.code ?? '')).toMatchObject({
    status: 404,
    body: { code: 20404 },
  })
})

test('a wrong code leaves it pending, and the sixth check is refused even with the right code', async () => {
  const { send, check, inbox, call } = await start()
  const { body } = await send()
  const code = (await inbox())[0]?.code
  for (let i = 0; i < 5; i++) {
    expect(await check(body.sid, otherThan(code))).toMatchObject({
      status: 200,
      body: { status: 'pending', valid: false },
    })
  }
  expect(await call('GET', `/Verifications/${body.sid}`)).toMatchObject({
    body: { status: 'max_attempts_reached' },
  })
  expect(await check(body.sid, code ?? '')).toMatchObject({ status: 429, body: { code: 60202 } })
})

test('sent again, it is the same verification and the same code; the sixth sending is refused', async () => {
  const { send, inbox } = await start()
  const first = await send()
  for (let i = 0; i < 4; i++) expect((await send()).body.sid).toBe(first.body.sid)
  expect(await send()).toMatchObject({ status: 429, body: { code: 60203 } })
  const messages = await inbox()
  expect(messages).toHaveLength(5)
  expect(new Set(messages.map((message) => message.code)).size).toBe(1)
  expect(await send('+821087654321')).toMatchObject({ status: 201 })
})

test('a code lives ten minutes by the clock of the local cloud', async () => {
  const { send, check, inbox, call, later } = await start()
  const { body } = await send()
  const code = (await inbox())[0]?.code ?? ''
  later(9)
  expect(await check(body.sid, otherThan(code))).toMatchObject({ status: 200 })
  later(11)
  expect(await check(body.sid, code)).toMatchObject({ status: 404, body: { code: 20404 } })
  expect(await call('GET', `/Verifications/${body.sid}`)).toMatchObject({ body: { status: 'expired' } })
  expect((await send()).body.sid).not.toBe(body.sid)
})

test('a canceled verification accepts no code, and a new one can begin', async () => {
  const { send, check, inbox, call } = await start()
  const { body } = await send()
  expect(await call('POST', `/Verifications/${body.sid}`, { Status: 'canceled' })).toMatchObject({
    status: 200,
    body: { status: 'canceled' },
  })
  expect(await check(body.sid, (await inbox())[0]?.code ?? '')).toMatchObject({ status: 404 })
  expect((await send()).body.sid).not.toBe(body.sid)
})

test('what Twilio would not accept is refused with its codes', async () => {
  const { send, call, standIn } = await start()
  expect(await send('01012345678')).toMatchObject({ status: 400, body: { code: 60200 } })
  expect(await send('+8221234567')).toMatchObject({ status: 403, body: { code: 60205 } })
  expect(await call('POST', '/Verifications', { To: PHONE })).toMatchObject({
    status: 400,
    body: { code: 60200 },
  })
  expect(await call('POST', '/Verifications', { To: PHONE, Channel: 'pigeon' })).toMatchObject({
    status: 400,
  })
  expect(await call('POST', '/VerificationCheck', { Code: '123456' })).toMatchObject({ status: 400 })
  expect(await call('GET', `/Verifications/VE${'0'.repeat(32)}`)).toMatchObject({
    status: 404,
    body: { code: 20404 },
  })
  expect(await call('POST', '/Verifications', { To: PHONE, Channel: 'sms' }, 'wrong')).toMatchObject({
    status: 401,
    body: { code: 20003 },
  })
  const elsewhere = callerOf({ ...standIn, serviceSid: `VA${'0'.repeat(32)}` })
  expect(await elsewhere('POST', '/Verifications', { To: PHONE, Channel: 'sms' })).toMatchObject({
    status: 404,
  })
})

test('verifications and messages survive a restart', async () => {
  const dataDir = temporaryDataDir()
  const first = await start(dataDir)
  const { body } = await first.send()
  await first.standIn.stop()
  const second = await start(dataDir)
  const code = (await second.inbox())[0]?.code ?? ''
  expect(await second.check(body.sid, code)).toMatchObject({ body: { status: 'approved' } })
})

test("Twilio's own client understands it, its errors included", async () => {
  const { standIn, inbox } = await start()
  class LocalRequestClient extends twilio.RequestClient {
    override request<Body>(options: Parameters<typeof twilio.RequestClient.prototype.request<Body>>[0]) {
      return super.request<Body>({
        ...options,
        uri: options.uri.replace('https://verify.twilio.com', standIn.url),
      })
    }
  }
  const client = twilio(standIn.accountSid, standIn.authToken, { httpClient: new LocalRequestClient() })
  const verify = client.verify.v2.services(standIn.serviceSid)
  const verification = await verify.verifications.create({
    to: PHONE,
    channel: 'sms',
    locale: 'ko',
    riskCheck: 'enable',
  })
  expect(verification.status).toBe('pending')
  expect(verification.sendCodeAttempts).toHaveLength(1)
  expect((await verify.verifications(verification.sid).fetch()).status).toBe('pending')

  const code = (await inbox())[0]?.code ?? ''
  const wrong = await verify.verificationChecks.create({
    verificationSid: verification.sid,
    code: otherThan(code),
  })
  expect([wrong.status, wrong.valid]).toEqual(['pending', false])
  const right = await verify.verificationChecks.create({ verificationSid: verification.sid, code })
  expect([right.status, right.valid]).toEqual(['approved', true])
  await expect(
    verify.verificationChecks.create({ verificationSid: verification.sid, code }),
  ).rejects.toMatchObject({
    status: 404,
    code: 20404,
  })
  const canceled = await verify.verifications.create({ to: PHONE, channel: 'sms' })
  expect((await verify.verifications(canceled.sid).update({ status: 'canceled' })).status).toBe('canceled')
})

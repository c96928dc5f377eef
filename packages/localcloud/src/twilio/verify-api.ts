import { createHash, randomBytes, randomInt, timingSafeEqual } from 'node:crypto'
import { type Context, Hono } from 'hono'
import type { Clock } from '../clock.ts'
import type { KeptState } from '../kept-state.ts'
import { twilioError } from './twilio-error.ts'
import {
  CODE_LIFE_MS,
  MAX_CHECKS,
  MAX_SENDS,
  showCheck,
  showVerification,
  statusAt,
  type Verification,
  type VerifyState,
} from './verification.ts'

const CHANNELS = ['sms', 'call', 'whatsapp', 'email', 'sna', 'auto']
const KEPT_VERIFICATIONS = 1_000
const KEPT_MESSAGES = 1_000

export interface TwilioCredentials {
  accountSid: string
  authToken: string
  serviceSid: string
}

/** The part of Verify v2 that sends codes and checks them. */
export function verifyApi(credentials: TwilioCredentials, state: KeptState<VerifyState>, clock: Clock): Hono {
  const app = new Hono()
  const { verifications, messages } = state.value

  app.use('/v2/*', async (c, next) => {
    const expected = `Basic ${btoa(`${credentials.accountSid}:${credentials.authToken}`)}`
    if (!sameSecret(c.req.header('authorization') ?? '', expected)) {
      return twilioError('authenticate', 'Authenticate')
    }
    return next()
  })

  app.use('/v2/Services/:service/*', async (c, next) => {
    if (c.req.param('service') !== credentials.serviceSid) return notFound(c)
    return next()
  })

  app.post('/v2/Services/:service/Verifications', async (c) => {
    const form = await formOf(c)
    const to = form.get('To') ?? ''
    const channel = form.get('Channel') ?? ''
    if (!isE164(to)) return twilioError('invalid_parameter', `Invalid parameter \`To\`: ${to}`)
    if (!CHANNELS.includes(channel)) return twilioError('invalid_parameter', 'Invalid parameter: Channel')
    if (channel === 'sms' && isKoreanLandline(to)) {
      return twilioError('landline', 'SMS is not supported by landline phone number')
    }
    const now = clock.now()
    const pending = verifications.find((one) => one.to === to && statusAt(one, now) === 'pending')
    if (pending && pending.sends.length >= MAX_SENDS)
      return twilioError('max_sends', 'Max send attempts reached')
    const verification = pending ?? {
      sid: sid('VE'),
      to,
      channel,
      code: String(randomInt(0, 1_000_000)).padStart(6, '0'),
      status: 'pending',
      checks: 0,
      sends: [],
      createdAt: now,
      updatedAt: now,
    }
    if (!pending) verifications.push(verification)
    verification.sends.push({ attemptSid: sid('VL'), channel, at: now })
    verification.channel = channel
    verification.updatedAt = now
    messages.push({
      to,
      at: new Date(now).toISOString(),
      body: `Your agentctl verification code is: ${verification.code}`,
      code: verification.code,
    })
    verifications.splice(0, verifications.length - KEPT_VERIFICATIONS)
    messages.splice(0, messages.length - KEPT_MESSAGES)
    state.save()
    return c.json(show(c, verification), 201)
  })

  app.get('/v2/Services/:service/Verifications/:sid', (c) => {
    const verification = find(c.req.param('sid'))
    return verification ? c.json(show(c, verification)) : notFound(c)
  })

  app.post('/v2/Services/:service/Verifications/:sid', async (c) => {
    const status = (await formOf(c)).get('Status')
    if (status !== 'canceled' && status !== 'approved') {
      return twilioError('invalid_parameter', 'Invalid parameter: Status')
    }
    const verification = find(c.req.param('sid'))
    if (!verification || statusAt(verification, clock.now()) !== 'pending') return notFound(c)
    verification.status = status
    verification.updatedAt = clock.now()
    state.save()
    return c.json(show(c, verification))
  })

  app.post('/v2/Services/:service/VerificationCheck', async (c) => {
    const form = await formOf(c)
    const code = form.get('Code') ?? ''
    const verificationSid = form.get('VerificationSid')
    const to = form.get('To')
    if (!/^\d{4,10}$/.test(code)) return twilioError('invalid_parameter', 'Invalid parameter: Code')
    if (verificationSid === null && to === null) {
      return twilioError('invalid_parameter', 'Missing required parameter To or VerificationSid')
    }
    const now = clock.now()
    const verification =
      verificationSid === null
        ? verifications.findLast((one) => one.to === to && one.createdAt + CODE_LIFE_MS > now)
        : find(verificationSid)
    if (!verification) return notFound(c)
    const status = statusAt(verification, now)
    if (status === 'max_attempts_reached' && now < verification.createdAt + CODE_LIFE_MS) {
      return twilioError('max_checks', 'Max check attempts reached')
    }
    // Used, canceled and expired ones are gone as far as a check is concerned.
    if (status !== 'pending') return notFound(c)
    verification.checks += 1
    verification.updatedAt = now
    if (sameSecret(code, verification.code)) verification.status = 'approved'
    const answer = showCheck(verification, credentials)
    if (verification.status === 'pending' && verification.checks >= MAX_CHECKS) {
      verification.status = 'max_attempts_reached'
    }
    state.save()
    return c.json(answer)
  })

  app.all('*', notFound)

  function find(wanted: string): Verification | undefined {
    return verifications.find((one) => one.sid === wanted)
  }

  function show(c: Context, verification: Verification): Record<string, unknown> {
    const { origin } = new URL(c.req.url)
    const url = `${origin}/v2/Services/${credentials.serviceSid}/Verifications/${verification.sid}`
    return showVerification(verification, { ...credentials, url }, clock.now())
  }

  return app
}

export function sid(prefix: string): string {
  return prefix + randomBytes(16).toString('hex')
}

function notFound(c: Context): Response {
  return twilioError('not_found', `The requested resource ${c.req.path.replace(/^\/v2/, '')} was not found`)
}

async function formOf(c: Context): Promise<URLSearchParams> {
  const isForm = c.req.header('content-type')?.startsWith('application/x-www-form-urlencoded') ?? false
  return new URLSearchParams(isForm ? await c.req.text() : '')
}

function isE164(text: string): boolean {
  return /^\+[1-9]\d{6,14}$/.test(text)
}

/** Mobile numbers of Korea begin with 01 (+821…); everything else there cannot receive a message. */
function isKoreanLandline(to: string): boolean {
  return to.startsWith('+82') && !to.startsWith('+821')
}

function sameSecret(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}

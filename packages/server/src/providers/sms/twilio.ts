import twilio from 'twilio'
import type { Config } from '../../platform/config.ts'
import type { Log } from '../../platform/log.ts'
import { type Transport, TransportError } from '../transport.ts'
import type { Phone } from './phone.ts'

/**
 * - `sent`: the provider has made a code and sends it.
 * - `refused`: it will not send to this number; nothing was spent.
 * - `unavailable`: nobody knows; the code may arrive.
 */
export type SendOutcome = { status: 'sent'; providerId: string } | { status: 'refused' | 'unavailable' }
/** `over`: the verification has ended, by time, by use or by too many tries. */
export type CheckOutcome = 'approved' | 'wrong' | 'over' | 'unavailable'

/** Codes by text message. The provider makes and checks them; it is told the number and nothing else about the user. */
export interface Sms {
  sendCode(phone: Phone): Promise<SendOutcome>
  checkCode(providerId: string, code: string): Promise<CheckOutcome>
  /** Ends a verification, so that the next one has a new code. Never throws: the provider ends it by itself too. */
  cancel(providerId: string): Promise<void>
}

const TIMEOUT_MS = 8_000

export function openSms(deps: {
  config: Pick<Config, 'twilio'>
  transport: Transport
  log: Log
  timeoutMs?: number
}): Sms {
  const { accountSid, authToken, verifyServiceSid, baseUrl } = deps.config.twilio
  const client = twilio(accountSid, authToken.reveal(), {
    accountSid,
    autoRetry: false,
    httpClient: new RequestClient(deps.transport, baseUrl, deps.timeoutMs ?? TIMEOUT_MS),
  })
  const service = client.verify.v2.services(verifyServiceSid)
  /** The provider's text may quote the number, so only the kind of fault is logged. */
  const trouble = (step: string, error: unknown): 'unavailable' => {
    const { status, code } = faultOf(error)
    deps.log.error('The SMS provider is in trouble', {
      provider: 'twilio',
      step,
      fault: String(code ?? 'unknown'),
      ...(status === undefined ? {} : { status }),
    })
    return 'unavailable'
  }

  return {
    async sendCode(phone) {
      try {
        const { sid } = await service.verifications.create({ to: phone.reveal(), channel: 'sms' })
        if (typeof sid !== 'string') return { status: trouble('send', new TransportError('odd_answer')) }
        return { status: 'sent', providerId: sid }
      } catch (error) {
        const { status = 0, code } = faultOf(error)
        // 400, 403 and 429 are about this number: not a mobile, blocked, or too many tries. The rest is about us.
        if (status === 400 || status === 403 || status === 429) {
          deps.log.warn('The SMS provider refused to send', {
            provider: 'twilio',
            status,
            fault: String(code),
          })
          return { status: 'refused' }
        }
        return { status: trouble('send', error) }
      }
    },
    async checkCode(providerId, code) {
      try {
        const check = await service.verificationChecks.create({ verificationSid: providerId, code })
        if (check.status === 'approved' && check.valid) return 'approved'
        if (typeof check.status !== 'string') return trouble('check', new TransportError('odd_answer'))
        return check.status === 'pending' ? 'wrong' : 'over'
      } catch (error) {
        const { status, code: fault } = faultOf(error)
        if (status === 404 || fault === 60202) return 'over'
        if (status === 400) return 'wrong'
        return trouble('check', error)
      }
    },
    async cancel(providerId) {
      try {
        await service.verifications(providerId).update({ status: 'canceled' })
      } catch (error) {
        if (faultOf(error).status !== 404) trouble('cancel', error)
      }
    },
  }
}

function faultOf(error: unknown): { status?: number; code?: number | string } {
  if (error instanceof TransportError) return { code: error.code }
  if (!(error instanceof Error)) return {}
  const status = 'status' in error && typeof error.status === 'number' ? error.status : undefined
  const code = 'code' in error && typeof error.code === 'number' ? error.code : undefined
  return { ...(status === undefined ? {} : { status }), ...(code === undefined ? {} : { code }) }
}

/** Puts our transport, and the configured address, under the vendor's SDK. */
class RequestClient extends twilio.RequestClient {
  readonly #transport: Transport
  readonly #baseUrl: string
  readonly #timeoutMs: number

  constructor(transport: Transport, baseUrl: string, timeoutMs: number) {
    super()
    this.#transport = transport
    this.#baseUrl = baseUrl
    this.#timeoutMs = timeoutMs
  }

  override async request<T>(
    options: Parameters<twilio.RequestClient['request']>[0],
  ): ReturnType<typeof twilio.RequestClient.prototype.request<T>> {
    const wanted = new URL(options.uri)
    const url = new URL(`${wanted.pathname}${wanted.search}`, this.#baseUrl)
    for (const [name, value] of Object.entries(options.params ?? {}))
      url.searchParams.append(name, String(value))
    const credentials = Buffer.from(`${options.username}:${options.password}`).toString('base64')
    const method = options.method.toUpperCase()
    if (method !== 'GET' && method !== 'POST' && method !== 'DELETE') throw new TypeError('Unknown method')
    const answer = await this.#transport.send({
      method,
      url: url.href,
      headers: {
        ...Object.fromEntries(
          Object.entries(options.headers ?? {}).map(([name, value]) => [name, String(value)]),
        ),
        authorization: `Basic ${credentials}`,
      },
      timeoutMs: this.#timeoutMs,
      ...(options.data ? { body: formOf(options.data) } : {}),
    })
    return { statusCode: answer.status, headers: answer.headers, body: jsonOf(answer.body) } as never
  }
}

function formOf(fields: object): string {
  const form = new URLSearchParams()
  for (const [name, value] of Object.entries(fields)) {
    for (const each of [value].flat()) if (each !== undefined) form.append(name, String(each))
  }
  return form.toString()
}

/** A gateway in front of the provider may answer in HTML; the SDK expects at least an object. */
function jsonOf(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

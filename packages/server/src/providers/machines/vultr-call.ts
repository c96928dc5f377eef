import { setTimeout as sleep } from 'node:timers/promises'
import type { z } from 'zod'
import { backOffSeconds } from '../../platform/back-off.ts'
import type { Log } from '../../platform/log.ts'
import { Problem } from '../../platform/problem.ts'
import type { Secret } from '../../platform/secret.ts'
import { type Transport, TransportError } from '../transport.ts'

export type VultrAnswer =
  | { kind: 'answer'; status: number; body: unknown; retryAfterSeconds: number }
  /** It certainly never reached the provider. */
  | { kind: 'not_sent' }
  /** It was sent, and what became of it is not known. */
  | { kind: 'no_answer' }

export type VultrMethod = 'GET' | 'POST' | 'PATCH' | 'DELETE'

export interface VultrConnection {
  transport: Pick<Transport, 'send'>
  baseUrl: string
  apiKey: Secret
  bucket: { take(): Promise<void> }
  log: Pick<Log, 'error'>
  timeoutMs?: number
  /** Waits before a call is repeated. */
  pause?: (ms: number) => Promise<unknown>
}

const TIMEOUT_MS = 30_000
const TRIES = 5
/** A longer wait is left to the caller. */
const PAUSE_SECONDS_MAX = 30
const RETRY_AFTER_SECONDS_MAX = 600

/** One call. It is repeated while the provider is in trouble, but a POST never is: it may make a second one. */
export async function callVultr(
  connection: VultrConnection,
  method: VultrMethod,
  path: string,
  body?: unknown,
): Promise<VultrAnswer> {
  const { pause = sleep } = connection
  for (let attempt = 1; ; attempt++) {
    await connection.bucket.take()
    const answer = await callOnce(connection, method, path, body)
    const told = answer.kind === 'answer' ? answer.retryAfterSeconds : 0
    const troubled = answer.kind !== 'answer' || answer.status === 429 || answer.status >= 500
    if (!troubled || method === 'POST' || attempt === TRIES || told > PAUSE_SECONDS_MAX) return answer
    await pause((told || backOffSeconds(attempt)) * 1000)
  }
}

async function callOnce(
  { transport, baseUrl, apiKey, log, timeoutMs = TIMEOUT_MS }: VultrConnection,
  method: VultrMethod,
  path: string,
  body: unknown,
): Promise<VultrAnswer> {
  try {
    const {
      status,
      headers,
      body: text,
    } = await transport.send({
      method,
      url: `${baseUrl.replace(/\/+$/, '')}/v2${path}`,
      headers: {
        authorization: `Bearer ${apiKey.reveal()}`,
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      timeoutMs,
    })
    if (status === 401 || status === 403) {
      log.error('Vultr refuses the key, or what it may do', { provider: 'vultr', status })
    }
    return { kind: 'answer', status, body: parsed(text), retryAfterSeconds: waitOf(headers['retry-after']) }
  } catch (error) {
    if (!(error instanceof TransportError)) throw error
    return { kind: error.mayHaveBeenSent ? 'no_answer' : 'not_sent' }
  }
}

/** What was answered, in this shape. Anything else is no answer: nothing is concluded from half a list. */
export function expectAnswer<Body>(answer: VultrAnswer, shape: z.ZodType<Body>): Body {
  const read = shape.safeParse(expectSuccess(answer))
  if (read.success) return read.data
  throw new Problem('provider_unavailable', `${TROUBLE} It answered something that is not understood.`)
}

export function expectSuccess(answer: VultrAnswer): unknown {
  if (answer.kind === 'answer' && answer.status >= 200 && answer.status < 300) return answer.body
  const said = answer.kind === 'answer' ? `It answered ${answer.status}.` : 'It did not answer.'
  const wait = answer.kind === 'answer' ? answer.retryAfterSeconds : 0
  throw new Problem('provider_unavailable', `${TROUBLE} ${said}`, {
    ...(wait > 0 ? { retryAfterSeconds: wait } : {}),
  })
}

export function isMissing(answer: VultrAnswer): boolean {
  return answer.kind === 'answer' && answer.status === 404
}

const TROUBLE = 'The provider of machines is in trouble.'

function waitOf(header: string | undefined): number {
  const told = Number(header)
  return told > 0 ? Math.min(told, RETRY_AFTER_SECONDS_MAX) : 0
}

/** A proxy in front of the provider may answer with a page instead of JSON; only the status counts then. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

import { setTimeout as pause } from 'node:timers/promises'
import type { Secret } from '../../platform/secret.ts'
import { type Transport, TransportError } from '../transport.ts'

export type VultrAnswer =
  | { kind: 'answer'; status: number; body: unknown }
  /** It certainly never reached the provider. */
  | { kind: 'not_sent' }
  /** It was sent, and what became of it is not known. */
  | { kind: 'no_answer' }

export type VultrMethod = 'GET' | 'POST' | 'PATCH' | 'DELETE'

interface VultrConnection {
  transport: Pick<Transport, 'send'>
  baseUrl: string
  apiKey: Secret
  bucket: { take(): Promise<void> }
}

const TIMEOUT_MS = 30_000
const TRIES = 4
const PAUSE_SECONDS_MAX = 30

/** One call. It is repeated while the provider is in trouble, but a POST never is: it may make a second one. */
export async function callVultr(
  connection: VultrConnection,
  method: VultrMethod,
  path: string,
  body?: unknown,
): Promise<VultrAnswer> {
  for (let attempt = 1; ; attempt++) {
    await connection.bucket.take()
    const { answer, retryAfterSeconds } = await callOnce(connection, method, path, body)
    const troubled = answer.kind !== 'answer' || answer.status === 429 || answer.status >= 500
    if (!troubled || method === 'POST' || attempt === TRIES) return answer
    const backOffSeconds = 2 ** (attempt - 1) * (0.5 + Math.random() / 2)
    await pause(Math.min(retryAfterSeconds ?? backOffSeconds, PAUSE_SECONDS_MAX) * 1000)
  }
}

async function callOnce(
  { transport, baseUrl, apiKey }: VultrConnection,
  method: VultrMethod,
  path: string,
  body: unknown,
): Promise<{ answer: VultrAnswer; retryAfterSeconds?: number }> {
  try {
    const answer = await transport.send({
      method,
      url: `${baseUrl.replace(/\/+$/, '')}/v2${path}`,
      headers: {
        authorization: `Bearer ${apiKey.reveal()}`,
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      timeoutMs: TIMEOUT_MS,
    })
    const told = Number(answer.headers['retry-after'])
    return {
      answer: { kind: 'answer', status: answer.status, body: parsed(answer.body) },
      ...(told > 0 ? { retryAfterSeconds: told } : {}),
    }
  } catch (error) {
    if (!(error instanceof TransportError)) throw error
    return { answer: { kind: error.mayHaveBeenSent ? 'no_answer' : 'not_sent' } }
  }
}

/** A proxy in front of the provider may answer with a page instead of JSON; only the status counts then. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

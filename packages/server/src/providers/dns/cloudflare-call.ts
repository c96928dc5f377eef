import { setTimeout as sleep } from 'node:timers/promises'
import type Cloudflare from 'cloudflare'
import type { z } from 'zod'
import type { Config } from '../../platform/config.ts'
import type { Log } from '../../platform/log.ts'
import { Problem } from '../../platform/problem.ts'
import { tokenBucket } from '../token-bucket.ts'
import { fetchOver, type Transport, TransportError } from '../transport.ts'

/** What became of one call. */
export type CloudflareAnswer<Result> =
  | { kind: 'result'; result: Result }
  /** Cloudflare's own numbers for what it minds, such as 1406 for a hostname that is there already. */
  | { kind: 'refused'; status: number; codes: number[]; message: string; retryAfterSeconds: number }
  /** It certainly never reached the provider. */
  | { kind: 'not_sent'; retryAfterSeconds: number }
  /** It was sent, and what became of it is not known; also an answer that nobody can make sense of. */
  | { kind: 'no_answer' }

type Call = (client: Cloudflare) => PromiseLike<unknown>

export interface CloudflareConnection {
  /** One call, never repeated: for what must not happen twice. */
  once<Result>(call: Call, shape: z.ZodType<Result>): Promise<CloudflareAnswer<Result>>
  /** A call that may be repeated, and is while the provider is in trouble. */
  ask<Result>(call: Call, shape: z.ZodType<Result>): Promise<CloudflareAnswer<Result>>
}

const TIMEOUT_MS = 10_000
const TRIES = 3
/** A longer wait is left to the caller: after too many requests Cloudflare answers nobody for five minutes. */
const PAUSE_SECONDS_MAX = 5
const RETRY_AFTER_SECONDS_MAX = 600
/** A timer may end this much early: who has waited a block out is not turned away for the rest of a millisecond. */
const TIMER_EARLY_MS = 2
/** How much of what a process may ask in five minutes it may ask at once; the rest is spread over them. */
const BURST_SHARE = 0.2
const FIVE_MINUTES_SECONDS = 300

/** The SDK is loaded at the first use: it takes half a second, and many processes never need it. */
export function connectCloudflare(deps: {
  cloudflare: NonNullable<Config['cloudflare']>
  transport: Pick<Transport, 'send'>
  log: Log
  timeoutMs?: number
  /** Waits before a call is repeated. */
  pause?: (ms: number) => Promise<unknown>
}): CloudflareConnection {
  const { log, pause = sleep } = deps
  const { requestsInFiveMinutes: requests } = deps.cloudflare
  const bucket = tokenBucket((requests * (1 - BURST_SHARE)) / FIVE_MINUTES_SECONDS, requests * BURST_SHARE)
  let loading: Promise<Cloudflare> | undefined
  let blockedUntil = 0

  const once = async <Result>(call: Call, shape: z.ZodType<Result>): Promise<CloudflareAnswer<Result>> => {
    loading ??= openClient(deps)
    const client = await loading
    await bucket.take()
    const blockedMs = blockedUntil - performance.now()
    if (blockedMs > TIMER_EARLY_MS)
      return { kind: 'not_sent', retryAfterSeconds: Math.ceil(blockedMs / 1000) }
    const answer = await settle(call(client), shape)
    if (answer.kind !== 'refused') return answer
    // The block is on the token and not on one call: whoever goes on asking makes it last longer.
    if (answer.status === 429) blockedUntil = performance.now() + answer.retryAfterSeconds * 1000
    if (answer.status === 401 || answer.status === 403) {
      const fault = `cloudflare ${answer.codes.join(' ')}`
      log.error('Cloudflare refuses the token, or what it may do', { status: answer.status, fault })
    }
    return answer
  }

  return {
    once,
    async ask(call, shape) {
      for (let attempt = 1; ; attempt++) {
        const answer = await once(call, shape)
        const isTroubled =
          answer.kind === 'refused' ? answer.status === 429 || answer.status >= 500 : answer.kind !== 'result'
        const backOffSeconds = 2 ** (attempt - 1) * (0.5 + Math.random() / 2)
        const waitSeconds = ('retryAfterSeconds' in answer && answer.retryAfterSeconds) || backOffSeconds
        if (!isTroubled || attempt === TRIES || waitSeconds > PAUSE_SECONDS_MAX) return answer
        await pause(waitSeconds * 1000)
      }
    },
  }
}

/** The result, or the refusal for the caller that the provider cannot be asked now. */
export function expectResult<Result>(answer: CloudflareAnswer<Result>): Result {
  if (answer.kind === 'result') return answer.result
  const said = answer.kind === 'refused' ? `It answered ${answer.status}.` : 'It did not answer.'
  const wait = 'retryAfterSeconds' in answer ? answer.retryAfterSeconds : 0
  throw new Problem('provider_unavailable', `The provider of domains is in trouble. ${said}`, {
    ...(wait > 0 ? { retryAfterSeconds: wait } : {}),
  })
}

export function isMissing(answer: CloudflareAnswer<unknown>): boolean {
  return answer.kind === 'refused' && answer.status === 404
}

async function openClient(deps: Parameters<typeof connectCloudflare>[0]): Promise<Cloudflare> {
  const { default: CloudflareClient } = await import('cloudflare')
  const timeout = deps.timeoutMs ?? TIMEOUT_MS
  return new CloudflareClient({
    apiToken: deps.cloudflare.apiToken.reveal(),
    // Unless told not to, the SDK looks for older kinds of credentials in the environment, and sends those too.
    apiKey: null,
    apiEmail: null,
    userServiceKey: null,
    baseURL: `${deps.cloudflare.baseUrl.replace(/\/+$/, '')}/client/v4`,
    fetch: outspokenFetch(fetchOver(deps.transport, timeout)),
    // It would repeat a POST, which makes a second one.
    maxRetries: 0,
    timeout,
    logLevel: 'off',
  })
}

/** A failure that comes with status 200 reaches the SDK as a failure: it would take it for an empty result. */
function outspokenFetch(fetch: typeof globalThis.fetch): typeof globalThis.fetch {
  return async (input, init) => {
    const response = await fetch(input, init)
    if (!response.ok) return response
    const body = await response.text()
    const { status, headers } = response
    return new Response(body, { status: isSuccess(body) ? status : 502, headers })
  }
}

function isSuccess(body: string): boolean {
  try {
    const answer: unknown = JSON.parse(body)
    return typeof answer === 'object' && answer !== null && !('success' in answer && answer.success !== true)
  } catch {
    return false
  }
}

async function settle<Result>(
  call: PromiseLike<unknown>,
  shape: z.ZodType<Result>,
): Promise<CloudflareAnswer<Result>> {
  let answered: unknown
  try {
    answered = await call
  } catch (error) {
    return whyNot(error)
  }
  const read = shape.safeParse(answered)
  return read.success ? { kind: 'result', result: read.data } : { kind: 'no_answer' }
}

function whyNot(error: unknown): Exclude<CloudflareAnswer<never>, { kind: 'result' }> {
  if (!(error instanceof Error && 'status' in error)) throw error
  if (typeof error.status !== 'number') {
    const { cause } = error
    const isSent = !(cause instanceof TransportError) || cause.mayHaveBeenSent
    return isSent ? { kind: 'no_answer' } : { kind: 'not_sent', retryAfterSeconds: 0 }
  }
  const minded = 'errors' in error && Array.isArray(error.errors) ? (error.errors as unknown[]) : []
  const errors = minded.filter(isMinded)
  return {
    kind: 'refused',
    status: error.status,
    codes: errors.map(({ code }) => code),
    message: errors.map(({ message }) => message).join(' '),
    retryAfterSeconds: 'headers' in error && error.headers instanceof Headers ? waitOf(error.headers) : 0,
  }
}

function isMinded(error: unknown): error is { code: number; message: string } {
  return (
    typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    typeof error.code === 'number' &&
    'message' in error &&
    typeof error.message === 'string'
  )
}

function waitOf(headers: Headers): number {
  const told = Number(headers.get('retry-after'))
  return told > 0 ? Math.min(told, RETRY_AFTER_SECONDS_MAX) : 0
}

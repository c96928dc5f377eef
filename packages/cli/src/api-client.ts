import type { BodyOf, ParamsOf, QueryOf, ResponseOf, RouteOf } from '@agentctl/contract/api.ts'
import { type ProblemBody, problems } from '@agentctl/contract/problems.ts'
import { Failure } from './failure.ts'
import { connectTo } from './loopback-names.ts'

type Need<K extends string, V> = [V] extends [undefined] ? unknown : { [P in K]: V }
type NeedParams<R extends RouteOf> = keyof ParamsOf<R> extends never ? unknown : { params: ParamsOf<R> }
/** Undefined values of a query are left out, so callers need not. */
type Query<R extends RouteOf> = { [K in keyof QueryOf<R>]?: QueryOf<R>[K] | undefined }

export interface CallSettings {
  /** Makes a POST safe to repeat. */
  idempotencyKey?: string
  /** A POST whose repetition changes nothing, such as a plan, or blobs named by their own hash. */
  repeatable?: true
  /** Sent instead of the stored token; null sends none. */
  token?: string | null
  /** Not worth a second try, nor the time that one takes. */
  once?: true
  timeoutSeconds?: number
  /** A body that is not JSON; made anew for every try. */
  stream?: () => { mediaType: string; body: ReadableStream<Uint8Array> }
}

export type CallOptions<R extends RouteOf> = Need<'body', BodyOf<R>> &
  NeedParams<R> & { query?: Query<R> } & CallSettings
type Rest<O> = Record<string, never> extends O ? [options?: O] : [options: O]

export interface Api {
  <R extends RouteOf>(route: R, ...rest: Rest<CallOptions<R>>): Promise<ResponseOf<R>>
  /** The answer itself, for those that are not one JSON document. */
  open<R extends RouteOf>(route: R, ...rest: Rest<CallOptions<R>>): Promise<Response>
}

interface AnyCall extends CallSettings {
  params?: Record<string, string>
  query?: Record<string, unknown>
  body?: unknown
}

export interface ApiDeps {
  baseUrl(): string
  token(): string | undefined
  userAgent: string
  signal: AbortSignal
  debug(text: string): void
  /** Asks whoever sits here to prove that it is still them; false where nobody does. */
  proveAgain?(): Promise<boolean>
  /** A request has been sent with the stored token. */
  sent?(route: string): void
  fetch?: typeof fetch
  /** Waits between tries, in milliseconds; also the longest that a Retry-After is obeyed. */
  retryDelays?: readonly number[]
  retryAfterMax?: number
}

const RETRY_DELAYS = [250, 1000, 3000]
const RETRY_AFTER_MAX = 20_000

export function createApi(deps: ApiDeps): Api {
  const call = async (route: string, options: AnyCall = {}) => {
    const response = await sendProven(deps, route, options)
    return response.status === 204 ? undefined : await readJson(response)
  }
  const open = (route: string, options: AnyCall = {}) => sendProven(deps, route, options)
  // The types of Api say what each route takes and answers; at run time a route is only a string.
  return Object.assign(call, { open }) as Api
}

function urlOf(baseUrl: string, route: string, { params = {}, query = {} }: AnyCall) {
  const [method = 'GET', template = '/'] = route.split(' ')
  const path = template.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? ''))
  const url = new URL(baseUrl.replace(/\/+$/, '') + path)
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(name, String(value))
  }
  return { method, url }
}

/** Some things need a proof of who is there that is fresh: it is asked for in place, and then they go on. */
async function sendProven(deps: ApiDeps, route: string, options: AnyCall): Promise<Response> {
  try {
    return await send(deps, route, options)
  } catch (error) {
    const lacksProof = error instanceof Failure && error.code === 'reauthentication_required'
    if (!lacksProof || options.token !== undefined || !(await deps.proveAgain?.())) throw error
    return send(deps, route, options)
  }
}

async function send(deps: ApiDeps, route: string, options: AnyCall): Promise<Response> {
  const { method, url } = urlOf(deps.baseUrl(), route, options)
  const token = options.token === undefined ? deps.token() : options.token
  if (token === undefined) {
    throw new Failure('unauthenticated', `You are not logged in to ${url.origin}`, {
      next: ['agentctl login'],
    })
  }
  const repeatable =
    method === 'GET' ||
    method === 'DELETE' ||
    options.idempotencyKey !== undefined ||
    options.repeatable === true
  const delays = repeatable && !options.once ? (deps.retryDelays ?? RETRY_DELAYS) : []
  for (let attempt = 0; ; attempt++) {
    const delay = delays[attempt]
    const startedAt = performance.now()
    let wait: number
    try {
      const answer = once(deps, method, url, options, token)
      if (options.token === undefined) deps.sent?.(route)
      const response = await answer
      const ms = Math.round(performance.now() - startedAt)
      const requestId = response.headers.get('x-request-id') ?? '-'
      deps.debug(`${method} ${url.pathname} → ${response.status} in ${ms} ms, request ${requestId}`)
      if (response.ok) return response
      const asked = retryAfter(response)
      const worthwhile = response.status === 429 || response.status === 503
      wait = asked ?? delay ?? 0
      if (!worthwhile || delay === undefined || wait > (deps.retryAfterMax ?? RETRY_AFTER_MAX)) {
        throw await failureOf(response)
      }
      await response.body?.cancel()
    } catch (error) {
      if (error instanceof Failure) throw error
      if (deps.signal.aborted) throw new Failure('interrupted', 'Interrupted')
      deps.debug(`${method} ${url.pathname} failed: ${causeOf(error)}`)
      // Where nothing listens, or no such name exists, waiting longer does not help.
      const hopeless = /ECONNREFUSED|ENOTFOUND/.test(causeOf(error))
      if (delay === undefined || (hopeless && attempt > 0)) throw unreachable(url, error)
      wait = delay
    }
    await pause(wait, deps.signal)
  }
}

function once(
  deps: ApiDeps,
  method: string,
  url: URL,
  options: AnyCall,
  token: string | null,
): Promise<Response> {
  // fetch names the address that it connects to in the Host header; the API answers by any name.
  const { url: target } = connectTo(url)
  const headers = new Headers({ accept: 'application/json', 'user-agent': deps.userAgent })
  if (token) headers.set('authorization', `Bearer ${token}`)
  if (options.idempotencyKey) headers.set('idempotency-key', options.idempotencyKey)
  const stream = options.stream?.()
  if (stream) headers.set('content-type', stream.mediaType)
  else if (options.body !== undefined) headers.set('content-type', 'application/json')
  const timeout = AbortSignal.timeout((options.timeoutSeconds ?? 30) * 1000)
  const init: RequestInit & { duplex?: 'half' } = {
    method,
    headers,
    // A redirect would carry the body, and here the token, to an address that nobody chose.
    redirect: 'error',
    signal: AbortSignal.any([deps.signal, timeout]),
  }
  if (stream) Object.assign(init, { body: stream.body, duplex: 'half' })
  else if (options.body !== undefined) init.body = JSON.stringify(options.body)
  return (deps.fetch ?? fetch)(target, init)
}

async function readJson(response: Response): Promise<unknown> {
  try {
    return await response.json()
  } catch (error) {
    throw new Failure('unavailable', `The answer of ${new URL(response.url).host} is not JSON`, {
      requestId: response.headers.get('x-request-id') ?? undefined,
      fix: 'Check that --api-url is the address of an agentctl API: agentctl doctor',
      cause: error,
    })
  }
}

const isProblem = (body: unknown): body is ProblemBody =>
  typeof body === 'object' &&
  body !== null &&
  'code' in body &&
  typeof body.code === 'string' &&
  body.code in problems

/** A refusal of the service; one that is not in our words (a proxy's page, a newer code) is told by its status. */
async function failureOf(response: Response): Promise<Failure> {
  const requestId = response.headers.get('x-request-id') ?? undefined
  const text = await response.text().catch(() => '')
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    body = undefined
  }
  if (isProblem(body)) {
    const wait = retryAfter(response)
    const fix = body.fix || problems[body.code].fix
    // What has been waited for already, and is said below.
    const isSaid = wait === undefined || fix.startsWith('Try again')
    const what = body.detail || body.title
    const again = isSaid ? '' : `${/[.!?]$/.test(what) ? '' : '.'} Try again in ${Math.ceil(wait / 1000)} s.`
    return new Failure(body.code, `${what}${again}`, {
      fix,
      requestId: body.requestId || requestId,
      next: typeable(`${body.fix}`),
    })
  }
  const code =
    response.status === 401
      ? 'unauthenticated'
      : response.status === 403
        ? 'forbidden'
        : response.status === 404
          ? 'not_found'
          : response.status === 429
            ? 'rate_limited'
            : response.status >= 500
              ? 'unavailable'
              : 'invalid_request'
  const { host } = new URL(response.url || 'http://unknown')
  return new Failure(code, `${host} answered ${response.status} without saying why`, {
    requestId,
    ...(code === 'not_found'
      ? { fix: 'Check that --api-url is the address of an agentctl API: agentctl doctor' }
      : {}),
  })
}

/** The command at the end of a sentence, unless a word in capitals has to be replaced in it first. */
const typeable = (fix: string): string[] =>
  [...fix.matchAll(/agentctl [a-z][^,.;]*$/g)]
    .map(([command]) => command.trim())
    .filter((command) => !/(?:^|\s)[A-Z]{2,}(?:$|\s)/.test(command))

function retryAfter(response: Response): number | undefined {
  const said = response.headers.get('retry-after')
  if (said === null) return undefined
  if (/^\d+$/.test(said)) return Number(said) * 1000
  const at = Date.parse(said)
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now())
}

/** The innermost reason: fetch itself only ever says "fetch failed". */
function causeOf(error: unknown): string {
  let inner = error
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause
  if (!(inner instanceof Error)) return String(inner)
  const code = 'code' in inner ? String(inner.code) : ''
  return inner.message || code
}

function unreachable(url: URL, error: unknown): Failure {
  const reason = causeOf(error)
  const words =
    error instanceof Error && error.name === 'TimeoutError'
      ? 'it did not answer in time'
      : /ECONNREFUSED/.test(reason)
        ? 'nothing listens there'
        : /ENOTFOUND|EAI_AGAIN/.test(reason)
          ? 'its name cannot be resolved'
          : /ECONNRESET|other side closed|socket hang up|terminated/.test(reason)
            ? 'the connection broke off'
            : reason
  return new Failure('network', `Cannot reach ${url.origin}: ${words}`, {
    cause: error,
    next: ['agentctl doctor'],
  })
}

/** Waits, but not beyond an interruption. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const interrupted = () => {
      clearTimeout(timer)
      reject(new Failure('interrupted', 'Interrupted'))
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', interrupted)
      resolve()
    }, ms)
    if (signal.aborted) interrupted()
    else signal.addEventListener('abort', interrupted, { once: true })
  })
}

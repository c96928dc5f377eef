import {
  endpoints,
  type ParamsOf,
  type ParsedBody,
  type ParsedQuery,
  type ResponseOf,
  type RouteOf,
} from '@agentctl/contract/api.ts'
import type { Access, Endpoint, Role, Scope } from '@agentctl/contract/endpoint.ts'
import { type Context, Hono } from 'hono'
import { answerHeaders, problemBody, problemHeaders } from './answers.ts'
import { clientNetwork } from './client-network.ts'
import type { Clock } from './clock.ts'
import { isDatabaseTrouble } from './database-trouble.ts'
import { faultOf } from './fault.ts'
import { newId } from './ids.ts'
import type { Log } from './log.ts'
import { Problem } from './problem.ts'
import { readBody, readParams, readQuery } from './request-input.ts'
import type { RequestLimits, Turn } from './request-limits.ts'

/** A database that starts again is back by then. */
const TROUBLE_SECONDS = 2

/** Whoever a session or key stands for. */
export interface Caller {
  accountId: string
  via: 'session' | 'key'
  /** Id of the session or key. */
  credentialId: string
  /** For a key: what it may do; a session may do all. */
  scopes: readonly Scope[] | 'all'
  /** For a key that is bound to one namespace: its id. */
  namespaceId: string | null
  /** When the person last proved who they are; null for a key. */
  authenticatedAt: Date | null
}

export interface MachineCaller {
  machineId: string
  agentId: string
}

/** Somebody who runs the service, by name. */
export interface OperatorCaller {
  operator: string
}

type CallerFor<A extends Access> = A extends 'public'
  ? null
  : A extends 'machine'
    ? MachineCaller
    : A extends 'operator'
      ? OperatorCaller
      : Caller
type AccessOf<R extends RouteOf> = (typeof endpoints)[R]['access']

export interface Request<R extends RouteOf> {
  caller: CallerFor<AccessOf<R>>
  params: ParamsOf<R>
  query: ParsedQuery<R>
  body: ParsedBody<R>
  /** Lowest role in the namespace that the endpoint asks for; undefined where no namespace is concerned. */
  role: Role | undefined
  requestId: string
  /** Address of the client as far as it can be trusted; limits only, never stored as it is. */
  clientAddress: string
  idempotencyKey: string | undefined
  raw: globalThis.Request
  /** Aborts when the client goes away. */
  signal: AbortSignal
}

type Answer<R extends RouteOf> =
  ResponseOf<R> extends undefined ? undefined | Response : ResponseOf<R> | Response
type HandlerOf<R extends RouteOf> = (request: Request<R>) => Promise<Answer<R>>

/** Ways to find out who is asking; the rooms above hand them in. */
export interface Gates {
  caller(bearer: string): Promise<Caller | undefined>
  machine(bearer: string): Promise<MachineCaller | undefined>
  /** Absent where nobody is an operator. */
  operator?(bearer: string): OperatorCaller | undefined
}

/** What is known about a request when it has been answered. */
export interface AnsweredRequest {
  at: Date
  requestId: string
  /** As the contract declares it; empty for what is no endpoint. */
  route: RouteOf | ''
  status: number
  durationMs: number
  accountId: string | null
  credentialId: string | null
  /** Never kept as it is. */
  clientAddress: string
}

export interface Api {
  app: Hono
  /** Names of the cookies that answers have set since the start. */
  cookiesSet: ReadonlySet<string>
  /** Mounts the handler of an endpoint that the contract declares. */
  on<R extends RouteOf>(route: R, handler: HandlerOf<R>): void
}

export function createApi(deps: {
  gates: Gates
  log: Log
  clientAddressHeader: string | undefined
  /** Whether clients reach this API over TLS. */
  https?: boolean
  /** How often somebody may ask; undefined for no limits. */
  limits?: RequestLimits | undefined
  /** Told of each request that was answered, in this order. */
  record?: { clock: Clock; answered: readonly ((request: AnsweredRequest) => void)[] } | undefined
}): Api {
  // One handler for each route and none around them: whatever stands around is paid for by every request.
  const app = new Hono()
  const { limits, record } = deps
  const standing = answerHeaders({ https: deps.https ?? false })
  const mounted: { method: string; path: RegExp }[] = []
  const cookiesSet = new Set<string>()
  /** Answers that are known to set none: to look into one costs as much as to write it. */
  const cookieless = new WeakSet<Response>()

  const respond = (body: string | null, status: number, headers: Record<string, string>): Response => {
    const response = new Response(body, { status, headers })
    if (!('set-cookie' in headers)) cookieless.add(response)
    return response
  }
  const serve = app.fetch
  app.fetch = async (...asked) => {
    const response = await serve(...asked)
    if (!cookieless.has(response)) {
      for (const cookie of response.headers.getSetCookie()) cookiesSet.add(cookie.split('=')[0] ?? '')
    }
    return response
  }
  const headersFor = ({ requestId, turns }: Asked): Record<string, string> => ({
    ...standing,
    ...(limits && turns.length > 0 ? limits.headers(...turns) : undefined),
    'x-request-id': requestId,
  })
  const refuse = (asked: Asked, problem: Problem): Response => {
    const body = problemBody(problem, asked.requestId)
    const headers = { ...headersFor(asked), ...problemHeaders(problem, asked.requestId) }
    return respond(JSON.stringify(body), body.status, headers)
  }
  const take = (asked: Asked, ...turns: Turn[]): void => {
    if (!limits) return
    // Noted first: a refusal tells how much there is as well.
    asked.turns.push(...turns)
    limits.take(...turns)
  }
  const problemOf = (error: unknown, { requestId, route }: Asked): Problem => {
    if (error instanceof Problem) return error
    deps.log.error('A request failed', { requestId, route, fault: faultOf(error) })
    return isDatabaseTrouble(error)
      ? new Problem('unavailable', undefined, { retryAfterSeconds: TROUBLE_SECONDS, cause: error })
      : new Problem('internal', undefined, { cause: error })
  }
  const noSuchRoute = (c: Context): Problem => {
    const methods = mounted.filter(({ path }) => path.test(c.req.path)).map(({ method }) => method)
    if (methods.length === 0) return noSuchEndpoint()
    if (methods.includes('GET')) methods.push('HEAD')
    return new Problem('method_not_allowed', `This address does not take ${c.req.method}.`, {
      headers: { allow: methods.sort().join(', ') },
    })
  }
  /** Counts the request for its address, has it answered whatever happens, and tells of it. */
  const attend = async (
    c: Context,
    route: RouteOf | '',
    answer: (asked: Asked) => Promise<Response>,
  ): Promise<Response> => {
    const asked: Asked = {
      requestId: newId('req'),
      route,
      caller: null,
      clientAddress: clientAddress(c, deps.clientAddressHeader),
      turns: [],
    }
    const at = record?.clock.now()
    const begun = performance.now()
    let response: Response
    try {
      take(asked, { quota: 'address', subject: clientNetwork(asked.clientAddress) })
      response = await answer(asked)
    } catch (error) {
      response = refuse(asked, problemOf(error, asked))
    }
    if (record && at) tell(record.answered, asked, { at, begun, status: response.status })
    return response
  }

  app.notFound((c) => attend(c, '', async (asked) => refuse(asked, noSuchRoute(c))))
  app.onError((error, c) =>
    attend(c, '', async () => {
      throw error
    }),
  )

  return {
    app,
    cookiesSet,
    on(route, handler) {
      const endpoint: Endpoint = endpoints[route]
      const [method = '', path = ''] = route.split(' ')
      // Another method at an address of operators must not tell that there is something.
      if (endpoint.access !== 'operator') {
        const pattern = path.replaceAll('.', '\\.').replaceAll(/:\w+/g, '[^/]+')
        mounted.push({ method, path: new RegExp(`^${pattern}$`) })
      }
      const role = typeof endpoint.access === 'object' ? endpoint.access.role : undefined
      const answerOf = async (c: Context, asked: Asked): Promise<Response> => {
        // Before anything of the request is judged: to whoever may not ask, every other refusal would tell something.
        const caller = await admit(deps.gates, endpoint.access, c)
        asked.caller = caller
        if (caller) take(asked, ...turnsFor(caller))
        const raw = c.req.raw
        const answer = await handler({
          // The types of the contract are what the schemas have just checked.
          caller: caller as never,
          params: readParams(c.req.param()) as never,
          query: readQuery(endpoint, searchOf(c)) as never,
          idempotencyKey: idempotencyKeyOf(endpoint, c),
          body: (await readBody(endpoint, raw)) as never,
          role,
          requestId: asked.requestId,
          clientAddress: asked.clientAddress,
          raw,
          // Asked for by few, and dear: for it the request is made anew as the platform's own.
          get signal() {
            return raw.signal
          },
        })
        const headers = headersFor(asked)
        if (answer instanceof Response) {
          for (const [name, value] of Object.entries(headers)) {
            if (!answer.headers.has(name)) answer.headers.set(name, value)
          }
          return answer
        }
        if (answer === undefined) return respond(null, 204, headers)
        headers['content-type'] = 'application/json'
        return respond(JSON.stringify(answer), endpoint.status ?? 200, headers)
      }
      app.on(method, path, (c) => attend(c, route, (asked) => answerOf(c, asked)))
    },
  }
}

function tell(
  listeners: readonly ((request: AnsweredRequest) => void)[],
  { requestId, route, caller, clientAddress }: Asked,
  { at, begun, status }: { at: Date; begun: number; status: number },
): void {
  const account = caller && 'accountId' in caller ? caller : undefined
  const answered: AnsweredRequest = {
    at,
    requestId,
    route,
    status,
    durationMs: Math.round(performance.now() - begun),
    accountId: account?.accountId ?? null,
    credentialId: account?.credentialId ?? null,
    clientAddress,
  }
  for (const listener of listeners) listener(answered)
}

const noSuchEndpoint = (): Problem =>
  new Problem('not_found', 'There is no such endpoint.', { fix: 'See the documentation: /docs' })

async function admit(
  gates: Gates,
  access: Access,
  c: Context,
): Promise<Caller | MachineCaller | OperatorCaller | null> {
  if (access === 'public') return null
  const bearer = /^Bearer (\S+)$/.exec(c.req.header('authorization') ?? '')?.[1]
  if (access === 'operator') {
    const operator = bearer === undefined ? undefined : gates.operator?.(bearer)
    if (!operator) throw noSuchEndpoint()
    return operator
  }
  if (!bearer) throw new Problem('unauthenticated')
  if (access === 'machine') {
    const machine = await gates.machine(bearer)
    if (!machine)
      throw new Problem('unauthenticated', 'This machine credential is not valid any more.', { fix: '' })
    return machine
  }
  const caller = await gates.caller(bearer)
  if (!caller) throw new Problem('unauthenticated', 'This token or key is unknown, expired or revoked.')
  if (access === 'session' && caller.via !== 'session') {
    throw new Problem('forbidden', 'An API key cannot do this; it needs a login.', {
      fix: 'Run: agentctl login',
    })
  }
  if (typeof access === 'object' && caller.scopes !== 'all' && !caller.scopes.includes(access.scope)) {
    throw new Problem('forbidden', `This API key lacks the scope ${access.scope}.`)
  }
  return caller
}

const NO_SEARCH = new URLSearchParams()

function searchOf(c: Context): URLSearchParams {
  return c.req.url.includes('?') ? new URL(c.req.url).searchParams : NO_SEARCH
}

function idempotencyKeyOf(endpoint: Endpoint, c: Context): string | undefined {
  const key = c.req.header('idempotency-key')
  if (endpoint.idempotencyKey && !key) throw new Problem('idempotency_key_missing')
  if (key !== undefined && !/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw new Problem('invalid_request', 'Idempotency-Key must be 1 to 255 visible ASCII characters.')
  }
  return key
}

function turnsFor(caller: Caller | MachineCaller | OperatorCaller): Turn[] {
  if ('operator' in caller) return [{ quota: 'credential', subject: `operator:${caller.operator}` }]
  if ('machineId' in caller) return [{ quota: 'machine', subject: caller.machineId }]
  return [
    { quota: 'account', subject: caller.accountId },
    { quota: 'credential', subject: caller.credentialId },
  ]
}

function clientAddress(c: Context, header: string | undefined): string {
  const told = header ? c.req.header(header) : undefined
  const env = c.env as { incoming?: { socket?: { remoteAddress?: string } } } | undefined
  return told ?? env?.incoming?.socket?.remoteAddress ?? '127.0.0.1'
}

/** A request under way, and who asks, as far as that is known yet. */
interface Asked {
  /** Always of our own making: an id that a caller chose could be that of somebody else's request. */
  requestId: string
  route: RouteOf | ''
  caller: Caller | MachineCaller | OperatorCaller | null
  clientAddress: string
  turns: Turn[]
}

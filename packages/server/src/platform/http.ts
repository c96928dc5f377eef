import {
  endpoints,
  type ParamsOf,
  type ParsedBody,
  type ParsedQuery,
  type ResponseOf,
  type RouteOf,
} from '@agentctl/contract/api.ts'
import type { Access, Endpoint, Role, Scope } from '@agentctl/contract/endpoint.ts'
import { type ProblemBody, type ProblemCode, problems } from '@agentctl/contract/problems.ts'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { newId } from './ids.ts'
import { faultOf, type Log } from './log.ts'
import { Problem } from './problem.ts'

/** A deploy's manifest of 20,000 files fits; everything else is far smaller. */
const JSON_BYTES_MAX = 8 * 1024 * 1024

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

export interface Api {
  app: Hono
  /** Mounts the handler of an endpoint that the contract declares. */
  on<R extends RouteOf>(route: R, handler: HandlerOf<R>): void
}

export function createApi(deps: { gates: Gates; log: Log; clientAddressHeader: string | undefined }): Api {
  const app = new Hono()
  // Only where a JSON document is expected: streams of blobs have limits of their own.
  const jsonLimit = bodyLimit({
    maxSize: JSON_BYTES_MAX,
    onError: (c) => respond(c, new Problem('payload_too_large')),
  })
  app.notFound((c) => respond(c, noSuchEndpoint()))
  app.onError((error, c) => {
    if (!(error instanceof Problem)) {
      deps.log.error('A request failed', {
        requestId: requestIdOf(c),
        route: c.req.routePath,
        fault: faultOf(error),
      })
    }
    return respond(c, error instanceof Problem ? error : new Problem('internal', undefined, { cause: error }))
  })

  return {
    app,
    on(route, handler) {
      const endpoint: Endpoint = endpoints[route]
      const [method = '', path = ''] = route.split(' ')
      if (endpoint.access === 'operator') {
        // Before anything of the request is judged: any other refusal would tell that there is something.
        app.on(method, path, async (c, next) => {
          await admit(deps.gates, endpoint.access, c)
          await next()
        })
      }
      if (!endpoint.rawBody) app.on(method, path, jsonLimit)
      app.on(method, path, async (c) => {
        const caller = await admit(deps.gates, endpoint.access, c)
        const idempotencyKey = c.req.header('idempotency-key')
        if (endpoint.idempotencyKey && !idempotencyKey) throw new Problem('idempotency_key_missing')
        if (idempotencyKey !== undefined && !/^[\x21-\x7e]{1,255}$/.test(idempotencyKey)) {
          throw new Problem('invalid_request', 'Idempotency-Key must be 1 to 255 visible ASCII characters.')
        }
        const answer = await handler({
          // The types of the contract are what the schemas have just checked.
          caller: caller as never,
          params: c.req.param() as never,
          query: parse(endpoint.query, queryOf(c), 'query') as never,
          body: (endpoint.body ? parse(endpoint.body, await jsonBody(c), 'body') : undefined) as never,
          role: typeof endpoint.access === 'object' ? endpoint.access.role : undefined,
          requestId: requestIdOf(c),
          clientAddress: clientAddress(c, deps.clientAddressHeader),
          idempotencyKey,
          raw: c.req.raw,
          signal: c.req.raw.signal,
        })
        c.header('x-request-id', requestIdOf(c))
        c.header('cache-control', 'no-store')
        if (answer instanceof Response) {
          answer.headers.set('x-request-id', requestIdOf(c))
          return answer
        }
        if (answer === undefined) return c.body(null, 204)
        return c.json(answer as object, endpoint.status === 204 ? 200 : (endpoint.status ?? 200))
      })
    },
  }
}

const noSuchEndpoint = (): Problem =>
  new Problem('not_found', 'There is no such endpoint.', { fix: 'See the documentation of the API.' })

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

function parse(schema: Endpoint['body'], value: unknown, place: 'body' | 'query'): unknown {
  if (!schema) return undefined
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const at = issue?.path.length ? `${place}.${issue.path.join('.')}` : `the ${place}`
  throw new Problem('invalid_request', `${at}: ${issue?.message ?? 'is not valid'}`)
}

function queryOf(c: Context): Record<string, string> {
  return Object.fromEntries(new URL(c.req.url).searchParams)
}

async function jsonBody(c: Context): Promise<unknown> {
  const type = c.req.header('content-type') ?? ''
  if (!/^application\/json\b/i.test(type))
    throw new Problem('invalid_request', 'The body must be application/json.')
  try {
    return await c.req.json()
  } catch {
    throw new Problem('invalid_request', 'The body is not valid JSON.')
  }
}

function clientAddress(c: Context, header: string | undefined): string {
  const told = header ? c.req.header(header) : undefined
  const env = c.env as { incoming?: { socket?: { remoteAddress?: string } } } | undefined
  return told ?? env?.incoming?.socket?.remoteAddress ?? '127.0.0.1'
}

const requestIds = new WeakMap<globalThis.Request, string>()

function requestIdOf(c: Context): string {
  const known = requestIds.get(c.req.raw)
  if (known) return known
  const id = newId('req')
  requestIds.set(c.req.raw, id)
  return id
}

/** The answer to a refusal: RFC 9457 with code, fix and request id. */
export function problemBody(problem: Problem, requestId: string): ProblemBody {
  const kind = problems[problem.code]
  return {
    type: `https://agentctl.dev/problems/${problem.code}` as string,
    title: kind.title,
    status: kind.status,
    detail: problem.message,
    code: problem.code satisfies ProblemCode,
    fix: problem.fix,
    requestId,
  }
}

function respond(c: Context, problem: Problem): Response {
  const body = problemBody(problem, requestIdOf(c))
  const headers: Record<string, string> = {
    'content-type': 'application/problem+json',
    'x-request-id': body.requestId,
    'cache-control': 'no-store',
  }
  if (problem.retryAfterSeconds !== undefined)
    headers['retry-after'] = String(Math.ceil(problem.retryAfterSeconds))
  return new Response(JSON.stringify(body), { status: body.status, headers })
}

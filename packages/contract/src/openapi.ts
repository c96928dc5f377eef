import { z } from 'zod'
import { Agent, DeployPlan, DeployRequest, LogRecord, Release } from './agents.ts'
import { endpoints } from './api.ts'
import { Balance, Checkout, Deposit, HistoryEntry, Limits } from './billing.ts'
import { BODY_BYTES_MAX, type Endpoint, pathParams, type Route } from './endpoint.ts'
import { exampleOf } from './examples.ts'
import { Account, Key, Member, Namespace, NewKey, Notice, Session, Whoami } from './identity.ts'
import { type ProblemCode, problems } from './problems.ts'
import { problemsOf } from './problems-of.ts'
import { Desired, Report } from './runner.ts'

/** JSON Schema 2020-12, as OpenAPI 3.1 has it. */
export type JsonSchema = { [keyword: string]: unknown }

export interface Media {
  schema: JsonSchema
  example?: unknown
}

export interface Parameter {
  name: string
  in: 'path' | 'query' | 'header'
  required: boolean
  description?: string
  schema: JsonSchema
}

export interface Operation {
  operationId: string
  summary: string
  tags: string[]
  security: Record<string, string[]>[]
  /** Who may call it: public, account, session, machine, operator, or key for one with the scope below. */
  'x-access': string
  'x-required-scope'?: string
  'x-min-role'?: string
  parameters: Parameter[]
  requestBody?: { required: true; description: string; content: Record<string, Media> }
  responses: Record<string, Answer | { $ref: string }>
}

export interface Answer {
  description: string
  headers: Record<string, { $ref: string }>
  content?: Record<string, Media>
}

export interface OpenApiDocument {
  openapi: '3.1.0'
  info: Record<string, unknown>
  servers: { url: string }[]
  tags: { name: string; description: string }[]
  paths: Record<string, Record<string, Operation>>
  components: {
    schemas: Record<string, JsonSchema>
    /** Refusals, by their codes. */
    responses: Record<string, Answer>
    headers: Record<string, { description: string; schema: JsonSchema; example: unknown }>
    securitySchemes: Record<string, JsonSchema>
  }
}

const Problem = z
  .strictObject({
    type: z.url().describe('Names the kind of problem.'),
    title: z.string().describe('The kind, in words.'),
    status: z.int(),
    detail: z.string().describe('What happened this time.'),
    code: z.string().describe('The kind, for programs.'),
    fix: z.string().describe('What to do about it; empty where nothing helps.'),
    requestId: z.string().describe('Names this request in our log.'),
  })
  .describe('RFC 9457, with code, fix and requestId')

/** Shapes that are worth a name of their own; all others are written where they are used. */
const named = {
  Account,
  Agent,
  Balance,
  Checkout,
  Deposit,
  DeployPlan,
  DeployRequest,
  Desired,
  HistoryEntry,
  Key,
  Limits,
  LogRecord,
  Member,
  Namespace,
  NewKey,
  Notice,
  Problem,
  Release,
  Report,
  Session,
  Whoami,
}
for (const [id, schema] of Object.entries(named)) {
  z.globalRegistry.add(schema, { ...z.globalRegistry.get(schema), id })
}

/** By the first part of the path after the version. */
const tags: Readonly<Record<string, { name: string; description: string }>> = {
  logins: { name: 'Login', description: 'By a code to a phone or a signature of a wallet.' },
  account: { name: 'Account', description: 'What the account is made of, and its sessions.' },
  keys: { name: 'API keys', description: 'For scripts and agents; a key is shown once.' },
  namespaces: { name: 'Namespaces', description: 'Groups of agents with members in roles.' },
  agents: { name: 'Agents', description: 'Deploy, run, stop and watch agents.' },
  domains: { name: 'Domains', description: 'Hostnames of your own.' },
  billing: {
    name: 'Billing',
    description: 'Credits, deposits, usage and limits. Amounts are micro-USD, as strings.',
  },
  notices: { name: 'Notices', description: 'Service messages to you.' },
  policy: { name: 'Privacy', description: 'The policy and its evidence.' },
  runner: {
    name: 'Machines',
    description: 'Spoken by the program on the machine of an agent, not by users.',
  },
  operator: {
    name: 'Operators',
    description: 'For the people who run the service; to others, none of it exists.',
  },
  service: { name: 'Service', description: 'About the service itself.' },
}
const sameTag: Readonly<Record<string, string>> = {
  logout: 'account',
  whoami: 'account',
  invitations: 'namespaces',
  deploys: 'agents',
  blobs: 'agents',
  releases: 'agents',
  webhooks: 'billing',
  checkout: 'billing',
}

const securitySchemes = {
  session: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'actl_s_…',
    description: 'The token of a login. May do what its person may do.',
  },
  key: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'actl_k_…',
    description: 'An API key. May do what its scopes name, where its owner may.',
  },
  machine: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'actl_m_…',
    description: 'The credential of an agent’s machine.',
  },
  operator: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'actl_o_…',
    description: 'The credential of somebody who runs the service.',
  },
}

const headers = {
  'X-Request-Id': {
    description: 'Names this request in our log.',
    schema: { type: 'string' },
    example: 'req_8m6n4b2v0c1x3z5l7k9j',
  },
  'RateLimit-Policy': {
    description: 'The limits that this request counts under: q requests in w seconds.',
    schema: { type: 'string' },
    example: '"address";q=3000;w=60',
  },
  RateLimit: {
    description: 'What is left of each: r requests, until t seconds from now.',
    schema: { type: 'string' },
    example: '"address";r=2999;t=30',
  },
  'Retry-After': {
    description: 'Seconds until another try is worth it.',
    schema: { type: 'integer', minimum: 0 },
    example: 30,
  },
}

/** The document of every endpoint of the contract, as clients, tests and the documentation read it. */
export function openApiDocument({ url, version }: { url: string; version: string }): OpenApiDocument {
  const schemas: Record<string, JsonSchema> = {}
  const paths: OpenApiDocument['paths'] = {}
  const responses: Record<string, Answer> = {}
  const used = new Set<string>()
  const write = writer(schemas)
  write(Problem, 'output')
  for (const [route, endpoint] of Object.entries(endpoints) as [Route, Endpoint][]) {
    const [method = '', path = ''] = route.split(' ')
    const tag = tagOf(path)
    used.add(tag.name)
    const template = path.replaceAll(/:(\w+)/g, '{$1}')
    paths[template] = {
      ...paths[template],
      [method.toLowerCase()]: operationOf(route, endpoint, tag.name, write, responses),
    }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'agentctl API',
      version,
      summary: 'A cloud for AI agents.',
      description:
        'JSON over HTTPS with a bearer token. Every refusal is a problem document (RFC 9457) with a code for programs, a fix for people and the id of the request. Unknown fields are refused.',
      license: { name: 'Apache 2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url }],
    tags: Object.values(tags).filter(({ name }) => used.has(name)),
    paths,
    components: { schemas, responses, headers, securitySchemes },
  }
}

type Write = ReturnType<typeof writer>

/** Writes a shape as JSON Schema; those with a name go into `schemas`, once. */
function writer(schemas: Record<string, JsonSchema>) {
  const resolve = (ref: string): JsonSchema => schemas[ref.split('/').at(-1) ?? ''] ?? {}
  const renamed = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(renamed)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [
        key,
        key === '$ref' ? String(inner).replace('#/$defs/', '#/components/schemas/') : renamed(inner),
      ]),
    )
  }
  return (shape: z.ZodType, io: 'input' | 'output'): { schema: JsonSchema; example: unknown } => {
    const { $schema: _, $defs = {}, ...rest } = z.toJSONSchema(shape, { io }) as JsonSchema
    for (const [name, inner] of Object.entries($defs as Record<string, JsonSchema>)) {
      schemas[name] ??= renamed(inner) as JsonSchema
    }
    const id = z.globalRegistry.get(shape)?.id
    let schema = renamed(rest) as JsonSchema
    if (id !== undefined) {
      const { id: _id, ...own } = schema
      schemas[id] ??= own
      schema = { $ref: `#/components/schemas/${id}` }
    }
    return { schema, example: exampleOf(schema, resolve) }
  }
}

function operationOf(
  route: Route,
  endpoint: Endpoint,
  tag: string,
  write: Write,
  refusals: OpenApiDocument['components']['responses'],
): Operation {
  const { access } = endpoint
  return {
    operationId: endpoint.id,
    summary: endpoint.summary,
    tags: [tag],
    security: securityOf(access),
    'x-access': typeof access === 'object' ? 'key' : access,
    ...(typeof access === 'object' && { 'x-required-scope': access.scope }),
    ...(typeof access === 'object' && access.role && { 'x-min-role': access.role }),
    parameters: parametersOf(route, endpoint, write),
    ...bodyOf(endpoint, write),
    responses: { ...successOf(endpoint, write), ...refusalsOf(route, endpoint, refusals) },
  }
}

function securityOf(access: Endpoint['access']): Record<string, string[]>[] {
  if (access === 'public') return []
  if (access === 'machine') return [{ machine: [] }]
  if (access === 'operator') return [{ operator: [] }]
  if (access === 'session') return [{ session: [] }]
  return [{ session: [] }, { key: typeof access === 'object' ? [access.scope] : [] }]
}

function parametersOf(route: Route, endpoint: Endpoint, write: Write): Parameter[] {
  const query = endpoint.query ? write(endpoint.query, 'input').schema : {}
  const required = (query.required ?? []) as string[]
  return [
    ...pathParams(route).map(
      (name): Parameter => ({ name, in: 'path', required: true, schema: { type: 'string', maxLength: 255 } }),
    ),
    ...Object.entries((query.properties ?? {}) as Record<string, JsonSchema>).map(
      ([name, schema]): Parameter => ({ name, in: 'query', required: required.includes(name), schema }),
    ),
    ...(endpoint.idempotencyKey
      ? [
          {
            name: 'Idempotency-Key',
            in: 'header',
            required: true,
            description:
              'A random key, the same one on each retry of one request. Its answer is kept for 24 hours.',
            schema: { type: 'string', pattern: '^[!-~]{1,255}$' },
          } satisfies Parameter,
        ]
      : []),
  ]
}

function bodyOf(endpoint: Endpoint, write: Write): Pick<Operation, 'requestBody'> {
  if (endpoint.rawBody) {
    const content = { [endpoint.rawBody]: { schema: {} } }
    return { requestBody: { required: true, description: 'A stream.', content } }
  }
  if (!endpoint.body) return {}
  const description = `At most ${(endpoint.bodyBytesMax ?? BODY_BYTES_MAX).toLocaleString('en-US')} bytes.`
  return {
    requestBody: {
      required: true,
      description,
      content: { 'application/json': write(endpoint.body, 'input') },
    },
  }
}

const always = {
  'X-Request-Id': { $ref: '#/components/headers/X-Request-Id' },
  'RateLimit-Policy': { $ref: '#/components/headers/RateLimit-Policy' },
  RateLimit: { $ref: '#/components/headers/RateLimit' },
}

function successOf(endpoint: Endpoint, write: Write): Operation['responses'] {
  const { status = 200, response, rawResponse, responseLine } = endpoint
  const content = response
    ? { 'application/json': write(response, 'output') }
    : rawResponse
      ? { [rawResponse]: { schema: responseLine ? { 'x-line': write(responseLine, 'output').schema } : {} } }
      : undefined
  return { [status]: { description: 'Done.', headers: always, ...(content && { content }) } }
}

function refusalsOf(
  route: Route,
  endpoint: Endpoint,
  responses: OpenApiDocument['components']['responses'],
): Operation['responses'] {
  const byStatus = Map.groupBy(problemsOf(route, endpoint), (code) => problems[code].status)
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => {
      const name = codes.toSorted().join('.')
      responses[name] ??= refusalOf(status, codes)
      return [status, { $ref: `#/components/responses/${name}` }]
    }),
  )
}

function refusalOf(status: number, codes: readonly ProblemCode[]): Answer {
  return {
    description: codes.map((code) => `${code}: ${problems[code].title}.`).join(' '),
    headers:
      status === 429 || status === 503
        ? { ...always, 'Retry-After': { $ref: '#/components/headers/Retry-After' } }
        : always,
    content: {
      'application/problem+json': { schema: problemSchema(status, codes), example: problemExample(codes) },
    },
  }
}

function problemSchema(status: number, codes: readonly ProblemCode[]): JsonSchema {
  return {
    allOf: [
      { $ref: '#/components/schemas/Problem' },
      { type: 'object', properties: { status: { const: status }, code: { enum: codes } } },
    ],
  }
}

function problemExample(codes: readonly ProblemCode[]): unknown {
  const code = codes[0] ?? 'internal'
  const { title, status, fix } = problems[code]
  return {
    type: `https://agentctl.dev/problems/${code}`,
    title,
    status,
    detail: `${title}.`,
    code,
    fix,
    requestId: headers['X-Request-Id'].example,
  }
}

function tagOf(path: string): { name: string; description: string } {
  const first = path.replace(/^\/v\d+/, '').split('/')[1] ?? ''
  return tags[sameTag[first] ?? first] ?? (tags.service as { name: string; description: string })
}

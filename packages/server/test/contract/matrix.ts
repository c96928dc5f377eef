import { type Role, roles, type Scope, scopes } from '@agentctl/contract/endpoint.ts'
import type { JsonSchema, OpenApiDocument } from '@agentctl/contract/openapi.ts'
import type { Hono } from 'hono'
import { type Expectation, expectations } from './expectations.ts'
import { bodyOf, type ServedApi, type ServedOperation } from './served-api.ts'
import { openTraces, plantTenant, type Tenant } from './tenant.ts'

export type Target = 'own' | 'other' | 'missing'
type Outcome = 'allowed' | 401 | 403 | 404

/** Whoever asks, as far as the answer may depend on it. */
interface Asker {
  name: string
  bearer(own: Tenant): string | undefined
  /** Undefined: not known to the service, or not any more. */
  is?: 'session' | 'key' | 'machine' | 'operator'
  role?: Role
  scopes?: readonly Scope[]
  bound?: true
}

export interface Matrix {
  cells: number
  /** Cells whose outcome is not what the table says, one sentence each. */
  wrong: string[]
}

/** Fields that a request needs to be about something that is there, or to be worth refusing for its asker alone. */
const bodies: Readonly<Record<string, Record<string, unknown>>> = {
  // Less than any asker of the table may give away.
  createKey: { scopes: ['keys:manage'], expiresInDays: undefined },
  setRole: { role: 'viewer' },
  inviteMember: { role: 'viewer' },
  renameNamespace: { name: 'renamed' },
  runnerBlobs: { sha256s: [] },
  // Names kept for documentation are refused before anything else.
  addDomain: { hostname: 'bot.matrix-of-tests.com' },
}

/** Asks every operation as everybody about everything, and compares with the table of expectations. */
export async function runMatrix(
  api: ServedApi,
  app: Hono,
  { only }: { only?: readonly string[] } = {},
): Promise<Matrix> {
  const matrix: Matrix = { cells: 0, wrong: [] }
  const traces = await openTraces(api)
  const other = await plantTenant(api, `other${Math.random().toString(36).slice(2, 7)}`)
  const before = await traces.digest(other)
  let own = await plantTenant(api)
  const operations = api.operations.filter(({ operationId }) => only?.includes(operationId) ?? true)
  for (const operation of operations) {
    const expectation = expectations[operation.operationId]
    if (!expectation) {
      matrix.wrong.push(`${operation.operationId} is not in the table of expectations.`)
      continue
    }
    const targets: Target[] = expectation.role || expectation.own ? ['own', 'other', 'missing'] : ['own']
    for (const asker of askers(api)) {
      const answers = new Map<Target, string>()
      for (const target of targets) {
        const cell = `${operation.operationId} as ${asker.name} on ${target}`
        const about = { own, other, target }
        const asked = await ask(app, api.document, operation, asker.bearer(own), about)
        const outcome = outcomeOf(asked, expectation)
        const expected = expectedOf(expectation, asker, target)
        matrix.cells += 1
        if (outcome !== expected) {
          matrix.wrong.push(
            `${cell}: ${outcome === 'allowed' ? `let in (${asked.status} ${asked.code})` : outcome}, not ${expected}.`,
          )
        }
        if (outcome === 404) answers.set(target, asked.text)
        // What was let in may have deleted what the next one asks about.
        if (outcome === 'allowed' && operation.method !== 'GET' && asker.is !== undefined) {
          await traces.clear(own)
          own = await plantTenant(api)
        }
      }
      if ((await traces.digest(other)) !== before) {
        matrix.wrong.push(`${operation.operationId} as ${asker.name}: rows of the other tenant have changed.`)
        return matrix
      }
      if (answers.has('other') && answers.get('other') !== answers.get('missing')) {
        matrix.wrong.push(
          `${operation.operationId} as ${asker.name}: what is somebody else's does not look like what is missing:\n${answers.get('other')}\n${answers.get('missing')}`,
        )
      }
    }
  }
  await Promise.all([traces.clear(own), traces.clear(other)])
  return matrix
}

function askers({ operatorToken }: ServedApi): Asker[] {
  return [
    { name: 'nobody', bearer: () => undefined },
    { name: 'a bad key', bearer: () => `actl_k_${'0'.repeat(36)}` },
    { name: 'no token at all', bearer: () => 'hello' },
    { name: 'an expired key', bearer: (own) => own.keys.expired },
    { name: 'a revoked key', bearer: (own) => own.keys.revoked },
    { name: 'an expired session', bearer: (own) => own.expiredSession },
    ...roles.map(
      (role): Asker => ({
        name: `a session of the ${role}`,
        is: 'session',
        role,
        bearer: (own) => own.people[role].session,
      }),
    ),
    { name: 'a key of the owner', is: 'key', role: 'owner', scopes, bearer: (own) => own.keys.full },
    ...scopes.map(
      (lacking): Asker => ({
        name: `a key without ${lacking}`,
        is: 'key',
        role: 'owner',
        scopes: scopes.filter((scope) => scope !== lacking),
        bearer: (own) => own.keys.lacking[lacking],
      }),
    ),
    {
      name: 'a key bound elsewhere',
      is: 'key',
      role: 'owner',
      scopes,
      bound: true,
      bearer: (own) => own.keys.elsewhere,
    },
    { name: 'a machine', is: 'machine', bearer: (own) => own.machine },
    { name: 'an operator', is: 'operator', bearer: () => operatorToken },
  ]
}

function expectedOf({ by, scope, role, own }: Expectation, asker: Asker, target: Target): Outcome {
  if (by === 'anybody') return 'allowed'
  if (by === 'proof') return 401
  if (by === 'machine') return asker.is === 'machine' ? 'allowed' : 401
  if (by === 'operator') return asker.is === 'operator' ? 'allowed' : 404
  if (asker.is !== 'session' && asker.is !== 'key') return 401
  if (asker.is === 'key' && by === 'login') return 403
  if (scope && asker.scopes && !asker.scopes.includes(scope)) return 403
  if (target !== 'own') return 404
  // What is the owner's own is nobody else's, whatever their role; and it is not in the namespace of a bound key.
  if (own && asker.role !== 'owner') return 404
  if (asker.bound && (role || (own && scope === 'keys:manage'))) return 404
  if (role && roles.indexOf(asker.role ?? 'viewer') < roles.indexOf(role)) return 403
  return 'allowed'
}

/** What an answer says about who asked: other refusals are about what was asked for. */
function outcomeOf({ status, code, text }: Asked, { by }: Expectation): Outcome {
  // What a provider or a setting keeps from working is no fault.
  if (code === 'internal') return status as Outcome
  if (code === 'unauthenticated') return 401
  if (code === 'forbidden') return 403
  if (code !== 'not_found' || by === 'anybody') return 'allowed'
  // To an operator the endpoint is there, even if the payment of the test is not.
  return by === 'operator' && !text.includes('There is no such endpoint.') ? 'allowed' : 404
}

interface Asked {
  status: number
  code: string
  text: string
}

async function ask(
  app: Hono,
  document: OpenApiDocument,
  operation: ServedOperation,
  bearer: string | undefined,
  about: { own: Tenant; other: Tenant; target: Target },
): Promise<Asked> {
  const tenant = about.target === 'other' ? about.other : about.own
  const missing = about.target === 'missing'
  const namespace = missing ? 'nowhere' : tenant.namespace
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => paramOf(name, tenant, missing))
  const query = operation.parameters.some((one) => one.in === 'query' && one.name === 'namespace')
    ? `?namespace=${namespace}`
    : ''
  const body = bodyOf(document, operation)
  const [media] = Object.keys(operation.requestBody?.content ?? {})
  const sent = body && {
    ...(body.example as object),
    ...bodies[operation.operationId],
    ...(hasField(body.schema, 'namespace') ? { namespace } : {}),
  }
  const response = await app.request(`${path}${query}`, {
    method: operation.method,
    headers: {
      'x-client': nextAddress(),
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
      ...(media === undefined ? {} : { 'content-type': media }),
      ...(operation.parameters.some(({ name }) => name === 'Idempotency-Key')
        ? { 'idempotency-key': nextAddress() }
        : {}),
    },
    ...(media === undefined ? {} : { body: sent ? JSON.stringify(sent) : 'bytes' }),
  })
  const text = await response.text()
  const isProblem = response.headers.get('content-type') === 'application/problem+json'
  const { code = '', requestId = '' } = isProblem
    ? (JSON.parse(text) as { code?: string; requestId?: string })
    : {}
  const headers = [...response.headers]
    .filter(([name]) => name !== 'x-request-id')
    .map(([name, value]) => `${name}: ${value}`)
  // Alike to the byte, but for the id that every request has of its own.
  return {
    status: response.status,
    code,
    text: `${response.status}\n${headers.join('\n')}\n\n${text.replaceAll(requestId, 'req_')}`,
  }
}

export function paramOf(name: string, tenant: Tenant, missing: boolean): string {
  const there: Readonly<Record<string, string>> = {
    agent: tenant.agent,
    namespace: tenant.namespace,
    release: tenant.release,
    deposit: tenant.deposit,
    domain: tenant.domain,
    checkout: tenant.checkout,
    session: tenant.spareSession,
    key: tenant.spareKey,
    account: tenant.guest,
    sha256: 'ab'.repeat(32),
    payment: 'base:0x1:0',
    erasure: `era_${'0'.repeat(20)}`,
    request: `rrq_${'0'.repeat(20)}`,
    operation: `op_${'0'.repeat(20)}`,
  }
  const value = there[name]
  if (value === undefined) throw new Error(`Say in matrix.ts what {${name}} of a tenant is.`)
  // As long and of the same form, and nobody's.
  return missing ? value.replaceAll(tenant.mark, 'z'.repeat(tenant.mark.length)) : value
}

const hasField = (schema: JsonSchema, name: string): boolean =>
  Object.hasOwn((schema.properties ?? {}) as object, name)

let addresses = 0
/** An address that has used up no limit of logins. */
function nextAddress(): string {
  addresses += 1
  return `10.${(addresses >> 16) & 255}.${(addresses >> 8) & 255}.${addresses & 255}`
}

import type { JsonSchema } from '@agentctl/contract/openapi.ts'
import { problems } from '@agentctl/contract/problems.ts'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { arbitraryOf, pieceOf, queryOf } from './arbitrary.ts'
import { paramOf } from './matrix.ts'
import { answerOf, bodyOf, type ServedOperation, servedApi } from './served-api.ts'
import { plantTenant, type Tenant } from './tenant.ts'

/** FUZZ_SEED=… repeats a run, FUZZ_RUNS=… makes it longer. */
const SEED = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31))
const RUNS = Number(process.env.FUZZ_RUNS ?? 40)

const api = await servedApi()
const ajv = new Ajv2020({ strict: false, allErrors: false })
addFormats.default(ajv)
ajv.addSchema(api.document, 'document')

interface Call {
  path: string
  query: Record<string, string>
  /** Text of the body; undefined for none. */
  body: string | undefined
  headers: Record<string, string>
  as: 'owner' | 'viewer' | 'key' | 'machine' | 'operator' | 'nobody'
}

process.stdout.write(`fuzzing ${api.operations.length} operations, ${RUNS} calls each, FUZZ_SEED=${SEED}\n`)

test.each(api.operations.map((operation) => [operation.operationId, operation] as const))(
  '%s answers whatever it is sent as the document says',
  async (_, operation) => {
    let tenant = await plantTenant(api)
    await fc.assert(
      fc.asyncProperty(
        callOf(operation, () => tenant),
        async (call) => {
          const { status, headers, text } = await send(operation, call, tenant)
          const shown = `${operation.method} ${call.path} → ${status} ${text.slice(0, 500)}\n${api.logged().slice(-600)}`
          const answer = answerOf(api.document, operation, status)
          if (!answer) throw new Error(`Status ${status} is not in the document. ${shown}`)
          // The database is well: what it could not do was asked for in a way that it should not have been.
          if (status === 500 || text.includes(`"detail":"${problems.unavailable.title}"`))
            throw new Error(`A fault of ours. ${shown}`)
          if (
            /\n\s+at |node_modules|postgres|\.ts:\d/i.test(text) &&
            /problem\+json/.test(headers.get('content-type') ?? '')
          )
            throw new Error(`It tells of our insides. ${shown}`)
          if (!headers.get('x-request-id')) throw new Error(`It has no request id. ${shown}`)
          const media = headers.get('content-type')?.split(';')[0] ?? ''
          const content = answer.content?.[media]
          if (answer.content && !content) throw new Error(`${media} is not in the document. ${shown}`)
          if (!content || !/^application\/(problem\+)?json$/.test(media)) return
          const isValid = validatorOf(operation, status, media, content.schema)
          if (!isValid(JSON.parse(text))) throw new Error(`${JSON.stringify(isValid.errors)} ${shown}`)
          // What was deleted is not worth asking about any more.
          if (operation.method !== 'GET' && status < 300) tenant = await plantTenant(api)
        },
      ),
      { seed: SEED, numRuns: RUNS },
    )
  },
  60_000,
)

test('what is not as the document says is found', () => {
  const operation = api.operations.find(({ operationId }) => operationId === 'whoami') as ServedOperation
  const schema = answerOf(api.document, operation, 200)?.content?.['application/json']?.schema ?? {}
  const isValid = validatorOf(operation, 200, 'application/json', schema)
  const whoami = { account: { id: 'acc_1' }, namespaces: [], loginMethods: ['wallet'], via: 'key' }
  expect(isValid(whoami)).toBe(true)
  expect(isValid({ ...whoami, phone: '+821012345678' })).toBe(false)
  const problem = answerOf(api.document, operation, 401)?.content?.['application/problem+json']?.schema ?? {}
  expect(validatorOf(operation, 401, 'application/problem+json', problem)({ code: 'internal' })).toBe(false)
})

type Validator = ReturnType<typeof ajv.compile>
const validators = new Map<string, Validator>()
function validatorOf(
  operation: ServedOperation,
  status: number,
  media: string,
  schema: JsonSchema,
): Validator {
  const key = `${operation.operationId} ${status} ${media}`
  const known = validators.get(key)
  if (known) return known
  // References lead into the document.
  const absolute = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"document#/'))
  const made = ajv.compile(absolute)
  validators.set(key, made)
  return made
}

function callOf(operation: ServedOperation, tenant: () => Tenant): fc.Arbitrary<Call> {
  const { document } = api
  const body = bodyOf(document, operation)
  const pieces = operation.parameters.filter((one) => one.in === 'path')
  const asked = operation.parameters.filter((one) => one.in === 'query')
  return fc.record({
    path: fc
      .record(Object.fromEntries(pieces.map(({ name }) => [name, pieceOf(paramOf(name, tenant(), false))])))
      .map((values: Record<string, string>) =>
        operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
          encodeURIComponent((values[name] ?? '').toWellFormed()),
        ),
      ),
    query: fc
      .record(Object.fromEntries(asked.map(({ name, schema }) => [name, queryOf(document, schema)])), {
        requiredKeys: [],
      })
      .chain((query) =>
        fc
          .option(fc.string({ maxLength: 8 }), { freq: 12, nil: undefined })
          .map((more) => (more ? { ...query, [more]: '1' } : query)),
      ) as fc.Arbitrary<Record<string, string>>,
    body: body
      ? fc.oneof(
          { weight: 10, arbitrary: arbitraryOf(document, body.schema).map((value) => JSON.stringify(value)) },
          { weight: 2, arbitrary: fc.constant(JSON.stringify(body.example)) },
          { weight: 1, arbitrary: fc.string({ maxLength: 30 }) },
        )
      : fc.option(fc.string({ maxLength: 30 }), { freq: 8, nil: undefined }),
    headers: fc.record(
      {
        'content-type': fc.constantFrom(
          ...Array.from(
            { length: 8 },
            () => Object.keys(operation.requestBody?.content ?? {})[0] ?? 'application/json',
          ),
          'text/plain',
        ),
        'idempotency-key': fc.oneof(
          { weight: 8, arbitrary: fc.uuid() },
          { weight: 1, arbitrary: fc.constantFrom('', 'a b', 'é') },
        ),
        accept: fc.constantFrom('*/*', 'text/html', 'application/xml'),
      },
      { requiredKeys: ['content-type', 'idempotency-key'] },
    ),
    as: fc.constantFrom<Call['as'][]>(...likely(operation)),
  })
}

/** Mostly somebody who is let in: the others get no further than the door. */
function likely(operation: ServedOperation): Call['as'][] {
  const access = operation['x-access']
  if (access === 'machine') return ['machine', 'machine', 'machine', 'machine', 'nobody']
  if (access === 'operator') return ['operator', 'operator', 'operator', 'operator', 'owner']
  return ['owner', 'owner', 'owner', 'key', 'viewer', 'nobody']
}

let calls = 0
async function send(operation: ServedOperation, call: Call, tenant: Tenant) {
  const tokens: Record<Call['as'], string | undefined> = {
    owner: tenant.people.owner.session,
    viewer: tenant.people.viewer.session,
    key: tenant.keys.full,
    machine: tenant.machine,
    operator: api.operatorToken,
    nobody: undefined,
  }
  const token = tokens[call.as]
  calls += 1
  const search = new URLSearchParams(call.query).toString()
  const hasBody = call.body !== undefined && operation.method !== 'GET'
  const response = await api.app.request(`${call.path}${search === '' ? '' : `?${search}`}`, {
    method: operation.method,
    headers: {
      ...call.headers,
      'x-client': `10.${calls >> 16}.${(calls >> 8) & 255}.${calls & 255}`,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(hasBody ? { 'content-length': String(Buffer.byteLength(call.body ?? '')) } : {}),
    },
    ...(hasBody ? { body: call.body ?? '' } : {}),
  })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

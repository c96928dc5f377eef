import { expect, test } from 'vitest'
import { page } from './answers.ts'
import { createApi } from './http.ts'
import { silentLog } from './log.ts'
import { Problem } from './problem.ts'

const api = createApi({
  gates: {
    caller: async (bearer) =>
      bearer === 'known'
        ? {
            accountId: 'acc_1',
            via: 'session',
            credentialId: 'ses_1',
            scopes: 'all',
            namespaceId: null,
            authenticatedAt: null,
          }
        : undefined,
    machine: async () => undefined,
  },
  log: silentLog,
  clientAddressHeader: undefined,
  https: true,
})
api.on('GET /v1/notices', async () => ({ notices: [] }))
api.on('POST /v1/notices/read', async () => ({ read: 1 }))
api.on('POST /v1/logout', async () => undefined)
api.on('GET /policy', async () => page('<style>p { margin: 0 }</style><p>Short.</p>'))
api.on('DELETE /v1/keys/:key', async () => {
  throw new Error('select secret_of_somebody from table')
})
api.on('GET /v1/whoami', async () => {
  throw new Problem('rate_limited', 'Later.', { retryAfterSeconds: 1.2 })
})

async function ask(route: string, init: RequestInit & { duplex?: 'half' } = {}) {
  const [method = '', path = ''] = route.split(' ')
  const headers = { authorization: 'Bearer known', ...init.headers }
  const response = await api.app.request(path, { method, ...init, headers })
  const text = await response.text()
  const isProblem = response.headers.get('content-type') === 'application/problem+json'
  return {
    status: response.status,
    headers: response.headers,
    text,
    problem: isProblem ? JSON.parse(text) : null,
  }
}
const json = { 'content-type': 'application/json' }

test.each<[string, string, RequestInit, number, string, string]>([
  ['an unknown address', 'GET /v1/nothing', {}, 404, 'not_found', 'no such endpoint'],
  ['a method that is not taken', 'PUT /v1/notices', {}, 405, 'method_not_allowed', 'does not take PUT'],
  [
    'no credential',
    'GET /v1/notices',
    { headers: { authorization: '' } },
    401,
    'unauthenticated',
    'not logged in',
  ],
  [
    'a query that is not known',
    'GET /v1/notices?unred=true',
    {},
    400,
    'invalid_request',
    'query.unred: is not known',
  ],
  [
    'a query where there is none',
    'POST /v1/logout?all=1',
    {},
    400,
    'invalid_request',
    'query.all: is not known',
  ],
  [
    'a query given twice',
    'GET /v1/notices?unread=true&unread=false',
    {},
    400,
    'invalid_request',
    'query.unread: is given more than once',
  ],
  [
    'another kind of body',
    'POST /v1/notices/read',
    { body: 'ids=1' },
    415,
    'unsupported_media_type',
    'application/json',
  ],
  [
    'a packed body',
    'POST /v1/notices/read',
    { body: '{}', headers: { ...json, 'content-encoding': 'gzip' } },
    415,
    'unsupported_media_type',
    'compressed',
  ],
  [
    'half a document',
    'POST /v1/notices/read',
    { body: '{"ids":', headers: json },
    400,
    'invalid_request',
    'not valid JSON',
  ],
  [
    'a field that is not known',
    'POST /v1/notices/read',
    { body: '{"ids":["a"],"\\u001b[2Jphone":1}', headers: json },
    400,
    'invalid_request',
    'body.[2Jphone: is not known here',
  ],
  [
    'a character that cannot be kept',
    'POST /v1/notices/read',
    { body: '{"ids":["a\\u0000"]}', headers: json },
    400,
    'invalid_request',
    'body.ids.0: has a character',
  ],
  [
    'a body beyond its limit',
    'POST /v1/notices/read',
    { body: JSON.stringify({ ids: ['a'.repeat(70_000)] }), headers: json },
    413,
    'payload_too_large',
    '65536 bytes',
  ],
  [
    'a length beyond the limit, before anything is read',
    'POST /v1/notices/read',
    { body: '{}', headers: { ...json, 'content-length': '65537' } },
    413,
    'payload_too_large',
    '65536 bytes',
  ],
  [
    'a body where there is none',
    'POST /v1/logout',
    { body: '{}', headers: { 'content-length': '2' } },
    400,
    'invalid_request',
    'takes no body',
  ],
  ['an id with a zero character', 'DELETE /v1/keys/key_%00', {}, 400, 'invalid_request', 'path.key'],
  ['a fault of ours', 'DELETE /v1/keys/key_1', {}, 500, 'internal', 'Something broke on our side'],
])('%s is refused in the one form', async (_, route, init, status, code, words) => {
  const { problem, headers, text } = await ask(route, init)
  expect(problem).toMatchObject({ status, code, type: `https://agentctl.dev/problems/${code}` })
  expect(problem.detail).toContain(words)
  expect(problem.requestId).toBe(headers.get('x-request-id'))
  expect(text).not.toMatch(/secret_of_somebody|\.ts:\d|\\u001b/)
})

test('a method that is not taken comes with those that are', async () => {
  expect((await ask('PUT /v1/notices')).headers.get('allow')).toBe('GET, HEAD')
  expect((await ask('POST /v1/keys/key_1')).headers.get('allow')).toBe('DELETE')
})

test('every answer has an id of our own, and headers that keep it from being stored, guessed at or framed', async () => {
  const own = 'req_chosenbythecaller000'
  for (const route of ['GET /v1/notices', 'POST /v1/logout', 'GET /v1/nothing', 'DELETE /v1/keys/key_1']) {
    const { headers } = await ask(route, {
      headers: { 'x-request-id': own, origin: 'https://elsewhere.example' },
    })
    expect(headers.get('x-request-id')).toMatch(/^req_[0-9a-z]{20}$/)
    expect(headers.get('x-request-id')).not.toBe(own)
    expect(Object.fromEntries(headers)).toMatchObject({
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'strict-transport-security': 'max-age=31536000',
    })
    expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
  }
})

test('a page runs nothing but its own style', async () => {
  const { headers, status } = await ask('GET /policy?utm_source=mail')
  expect(status).toBe(200)
  expect(headers.get('content-security-policy')).toBe(
    "default-src 'self'; style-src 'self' 'sha256-7IWhgxoOGTB5NQzjGk9OPt0FwhVeBvZGoWgF9xLLh8c='; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  )
  expect(headers.get('cache-control')).toBe('no-store')
})

test('a refusal for now says in whole seconds when to come again', async () => {
  expect((await ask('GET /v1/whoami')).headers.get('retry-after')).toBe('2')
})

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findApiAddress, findLocalCloud } from './api-address.ts'
import { type ApiDeps, createApi } from './api-client.ts'
import { reach } from './reach.ts'

interface Sent {
  url: string
  init: RequestInit
}

/** Answers in turn; an Error is a connection that broke. */
function withAnswers(answers: (Response | Error)[], more: Partial<ApiDeps> = {}) {
  const sent: Sent[] = []
  const api = createApi({
    baseUrl: () => 'http://api.example',
    token: () => 'actl_s_1',
    userAgent: 'agentctl/test',
    signal: new AbortController().signal,
    debug() {},
    retryDelays: [1, 1, 1],
    fetch: async (input, init = {}) => {
      sent.push({ url: String(input), init })
      const answer = answers[sent.length - 1] ?? new Response('{}')
      if (answer instanceof Error) throw answer
      return answer
    },
    ...more,
  })
  return { api, sent }
}

const broken = new TypeError('fetch failed', {
  cause: Object.assign(new Error('other side closed'), { code: 'UND_ERR_SOCKET' }),
})
const busy = () => new Response('', { status: 503 })
const slow = (seconds: string) => new Response('', { status: 429, headers: { 'retry-after': seconds } })

describe('is tried again', () => {
  test('a GET, on a broken connection, 503 and 429', async () => {
    const { api, sent } = withAnswers([broken, busy(), slow('0'), new Response('{"ok":1}')])
    expect(await api('GET /v1/whoami')).toEqual({ ok: 1 })
    expect(sent).toHaveLength(4)
  })

  test('a DELETE, and a POST with an idempotency key, which stays the same', async () => {
    const gone = withAnswers([broken, new Response(null, { status: 204 })])
    await gone.api('DELETE /v1/keys/:key', { params: { key: 'key_1' } })
    expect(gone.sent).toHaveLength(2)
    const posted = withAnswers([busy()])
    const options = { body: {} as never, idempotencyKey: 'one' }
    await posted.api('POST /v1/deploys', options)
    expect(posted.sent.map(({ init }) => new Headers(init.headers).get('idempotency-key'))).toEqual([
      'one',
      'one',
    ])
  })

  test('only so often', async () => {
    const { api, sent } = withAnswers([busy(), busy(), busy(), busy(), busy()])
    await expect(api('GET /v1/whoami')).rejects.toMatchObject({ code: 'unavailable' })
    expect(sent).toHaveLength(4)
  })
})

test.each([
  ['Try again in a minute.', 'The service is in trouble'],
  ['Ask somebody.', 'The service is in trouble. Try again in 1 s.'],
])('a refusal that says when, with "%s", says it once', async (fix, message) => {
  const body = JSON.stringify({ code: 'unavailable', detail: 'The service is in trouble', fix })
  const { api } = withAnswers(
    Array.from({ length: 4 }, () => new Response(body, { status: 503, headers: { 'retry-after': '1' } })),
  )
  await expect(api('POST /v1/namespaces', { body: { name: 'demo' } })).rejects.toMatchObject({ message, fix })
})

describe('is not tried again', () => {
  test('a POST without an idempotency key', async () => {
    const { api, sent } = withAnswers([broken])
    await expect(api('POST /v1/namespaces', { body: { name: 'demo' } })).rejects.toMatchObject({
      code: 'network',
    })
    expect(sent).toHaveLength(1)
  })

  test('anything that is asked to wait longer than a person does', async () => {
    const { api, sent } = withAnswers([slow('3600')])
    await expect(api('GET /v1/whoami')).rejects.toMatchObject({ code: 'rate_limited' })
    expect(sent).toHaveLength(1)
  })

  test('a refusal', async () => {
    const { api, sent } = withAnswers([new Response('', { status: 404 })])
    await expect(api('GET /v1/whoami')).rejects.toMatchObject({ code: 'not_found' })
    expect(sent).toHaveLength(1)
  })
})

test('a request carries the token, its parameters encoded, and leaves out what is undefined', async () => {
  const { api, sent } = withAnswers([])
  await api('GET /v1/agents/:agent', { params: { agent: 'a/../b?c' }, query: { namespace: undefined } })
  expect(sent[0]?.url).toBe('http://api.example/v1/agents/a%2F..%2Fb%3Fc')
  expect(new Headers(sent[0]?.init.headers).get('authorization')).toBe('Bearer actl_s_1')
  expect(sent[0]?.init.redirect).toBe('error')
})

test.each([
  ['See: agentctl agents releases hello', ['agentctl agents releases hello']],
  ['Delete one first: agentctl agents delete NAME', []],
  ['Raise it: agentctl deploy --max-total AMOUNT', []],
  ['Top up: agentctl billing deposit 25', ['agentctl billing deposit 25']],
  ['Ask for less.', []],
])('"%s" is followed by what can be typed as it is: %j', async (fix, next) => {
  const body = JSON.stringify({ code: 'conflict', detail: 'No.', fix })
  const { api } = withAnswers([new Response(body, { status: 409 })])
  await expect(api('GET /v1/whoami')).rejects.toMatchObject({ fix, next })
})

test('without a login nothing is sent', async () => {
  const { api, sent } = withAnswers([], { token: () => undefined })
  await expect(api('GET /v1/whoami')).rejects.toMatchObject({ code: 'unauthenticated' })
  expect(sent).toEqual([])
})

test('a name under .localhost is connected to the loopback address', async () => {
  const { api, sent } = withAnswers([], { baseUrl: () => 'http://api.localhost:8787' })
  await api('GET /v1/whoami')
  expect(sent[0]?.url).toBe('http://127.0.0.1:8787/v1/whoami')
})

test('an agent under .localhost is reached at the loopback address, by its name in the Host header', async () => {
  const server = createServer((request, response) => {
    response.writeHead(request.headers.host?.startsWith('hello-demo.agents.localhost:') ? 204 : 404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const { signal } = new AbortController()
  expect(await reach(`http://hello-demo.agents.localhost:${port}/`, signal)).toEqual({ httpStatus: 204 })
  await new Promise((resolve) => server.close(resolve))
  expect(await reach(`http://hello-demo.agents.localhost:${port}/`, signal)).toEqual({
    reason: expect.stringContaining('ECONNREFUSED'),
  })
})

describe('the address of the API', () => {
  const local = { url: 'http://127.0.0.1:2', source: 'local.json', configDirectory: '/nowhere' }
  const sources = { option: undefined, env: {}, local: undefined, saved: () => undefined }
  const saved = () => 'http://c:1'
  test.each([
    [
      'the option',
      { option: 'http://a:1', env: { AGENTCTL_API_URL: 'http://b:1' }, local, saved },
      'http://a:1',
    ],
    ['then the environment', { env: { AGENTCTL_API_URL: 'http://b:1/' }, local, saved }, 'http://b:1'],
    ['then a local cloud beside the folder', { local, saved }, 'http://127.0.0.1:2'],
    ['then the last login', { saved }, 'http://c:1'],
    ['then the hosted service', {}, 'https://api.agentctl.dev'],
  ])('is %s', (_, told, url) => {
    expect(findApiAddress({ ...sources, ...told }).url).toBe(url)
  })

  test('a local cloud is found above the current folder, unless the address is said outright', () => {
    const folder = mkdtempSync(join(tmpdir(), 'agentctl-address-'))
    const inner = join(folder, 'a/b')
    mkdirSync(inner, { recursive: true })
    mkdirSync(join(folder, '.agentctl'))
    writeFileSync(join(folder, '.agentctl/local.json'), '{"apiUrl":"http://127.0.0.1:8787"}')
    const from = { option: undefined, env: {}, cwd: inner, programDirectory: '/nowhere/a/b' }
    expect(findLocalCloud(from)).toMatchObject({
      url: 'http://127.0.0.1:8787',
      configDirectory: join(folder, '.agentctl/cli'),
    })
    expect(findLocalCloud({ ...from, option: 'http://a:1' })).toBeUndefined()
    expect(findLocalCloud({ ...from, env: { AGENTCTL_API_URL: 'http://b:1' } })).toBeUndefined()
    // A folder that was downloaded must not get to say where keys are sent.
    writeFileSync(join(folder, '.agentctl/local.json'), '{"apiUrl":"https://api.example.com"}')
    expect(findLocalCloud(from)).toBeUndefined()
    rmSync(folder, { recursive: true })
  })
})

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, describe, expect, test } from 'vitest'
import { fetchOver, openTransport } from './transport.ts'

let requests = 0
let answer: (request: IncomingMessage, response: ServerResponse) => void = (_, response) => response.end('hi')
const server = createServer((request, response) => {
  requests += 1
  answer(request, response)
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
const transport = openTransport({ processors: [`${url}/some/path`], infrastructure: [] })
afterAll(async () => {
  await transport.close()
  server.closeAllConnections()
  server.close()
})

const get = (to: string, timeoutMs = 5_000) => transport.send({ method: 'GET', url: to, timeoutMs })

test('only the configured hosts are called', async () => {
  expect(await get(`${url}/v2`)).toMatchObject({ status: 200, body: 'hi' })
  const before = requests
  for (const elsewhere of [
    url.replace('127.0.0.1', 'localhost'),
    'https://example.com',
    'http://127.0.0.1:1',
  ]) {
    await expect(get(elsewhere)).rejects.toMatchObject({ code: 'host_not_allowed' })
  }
  expect(requests).toBe(before)
})

describe('a processor is told nothing but what it may be:', () => {
  const guarded = openTransport({
    processors: [url],
    infrastructure: [],
    fields: { [url]: ['To', 'items.name', 'items.price.cents', 'page'] },
  })
  afterAll(() => guarded.close())
  const post = (body: string | Uint8Array, query = '') =>
    guarded.send({ method: 'POST', url: `${url}/x${query}`, body, timeoutMs: 5_000 })

  test.each<[string, string | Uint8Array, string?]>([
    ['a form', 'To=%2B82&items[0][name]=a&items[1][price][cents]=5'],
    ['JSON', '{"To":"+82","items":[{"name":"a","price":{"cents":5}},{"name":"b"}]}'],
    ['bytes', Buffer.from('{"To":"+82"}')],
    ['a query', '', '?page=2'],
  ])('%s of these fields is sent', async (_, body, query) => {
    const before = requests
    await post(body, query)
    expect(requests).toBe(before + 1)
  })

  test.each<[string, string | Uint8Array, string?]>([
    ['another field of a form', 'To=1&email=alice%40example.com'],
    ['another one inside', 'items[0][email]=alice'],
    ['another one of JSON', '{"To":"1","email":"alice"}'],
    ['another one deep inside', '{"items":[{"name":"a"},{"price":{"cents":5,"for":"alice"}}]}'],
    ['another one in a list', '[{"email":"alice"}]'],
    ['another one that is empty', '{"metadata":{}}'],
    ['a value where fields should be', '{"items":"alice"}'],
    ['another one in bytes', Buffer.from('{"email":"alice"}')],
    ['another one in the query', '', '?email=alice'],
    ['bytes that are no text', Buffer.from([0xff, 0xfe])],
    ['JSON that cannot be read', '{"email'],
    ['text', 'alice'],
  ])('%s is refused before it leaves', async (_, body, query) => {
    const before = [requests, guarded.egress.refused(), guarded.egress.told(url)]
    await expect(post(body, query)).rejects.toMatchObject({
      code: 'field_not_allowed',
      mayHaveBeenSent: false,
    })
    expect([requests, guarded.egress.refused() - 1, guarded.egress.told(url)]).toEqual(before)
  })

  test('what it was told is known by name', () => {
    expect(guarded.egress.told(url)).toEqual(['To', 'items.name', 'items.price.cents', 'page'])
    expect(guarded.egress.tellable(url)).toEqual(['To', 'items.name', 'items.price.cents', 'page'])
  })
})

test('a redirect is an answer, not a way to another host', async () => {
  answer = (_, response) => response.writeHead(302, { location: 'https://example.com' }).end()
  expect(await get(url)).toMatchObject({ status: 302, headers: { location: 'https://example.com' } })
})

test('a call is made once, whatever becomes of it', async () => {
  for (const failing of [
    (_: IncomingMessage, response: ServerResponse) => response.writeHead(503).end(),
    (request: IncomingMessage) => request.socket.destroy(),
  ]) {
    answer = failing
    const before = requests
    await get(url).catch(() => {})
    expect(requests).toBe(before + 1)
  }
})

test('an answer that never comes, or never ends, is given up in time', async () => {
  answer = () => {}
  await expect(get(url, 100)).rejects.toMatchObject({ code: 'timeout' })
  answer = (_, response) => response.write('a beginning')
  await expect(get(url, 100)).rejects.toMatchObject({ code: 'timeout' })
})

test('clients that want a fetch get the same transport', async () => {
  answer = (request, response) => {
    response.writeHead(201, { 'content-type': 'text/plain' })
    request.pipe(response)
  }
  const fetch = fetchOver(transport, 5_000)
  const response = await fetch(`${url}/echo`, { method: 'POST', body: 'text', headers: { a: 'b' } })
  expect([response.status, response.headers.get('content-type'), await response.text()]).toEqual([
    201,
    'text/plain',
    'text',
  ])
  await expect(fetch('https://example.com')).rejects.toMatchObject({ code: 'host_not_allowed' })
})

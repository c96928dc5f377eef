import { createHash, randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { manySided } from './test-agents.ts'
import { bundleRunner, removeBundles, TestMachine, until } from './test-machine.ts'

afterAll(removeBundles)

let machine: TestMachine

beforeAll(async () => {
  machine = new TestMachine(await bundleRunner())
  await machine.boot()
  const { server } = machine
  server.desire(
    server.release(
      'rel_1',
      { 'index.js': manySided },
      {
        start: 'node --max-http-header-size=65536 index.js',
        health: { path: '/health', timeoutSeconds: 20 },
      },
    ),
  )
  await machine.reported('rel_1', 'healthy')
})

afterAll(async () => {
  await machine.shutDown()
  expect(machine.server.violations).toEqual([])
})

const answerTo = (path: string, options: { method?: string; headers?: Record<string, string> } = {}) => {
  const request = machine.request(path, options)
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    request.on('response', resolve)
    request.on('error', reject)
  })
  return { request, answer }
}

const textOf = async (message: IncomingMessage): Promise<string> => {
  let text = ''
  for await (const chunk of message) text += chunk
  return text
}

test('without the credential of the router nothing reaches the agent', async () => {
  const url = `http://127.0.0.1:${machine.port}/headers`
  const wrong = [
    {},
    { 'x-agentctl-router': 'wrong' },
    { 'x-agentctl-router': `${machine.server.routerCredential}x` },
  ]
  for (const headers of wrong) {
    const response = await fetch(url, { headers })
    expect(response.status).toBe(403)
    expect(await response.json()).toMatchObject({ code: 'forbidden' })
  }
})

test('the agent gets the headers as they were sent, without the credential', async () => {
  const { request, answer } = answerTo('/headers', {
    headers: {
      Host: 'hello-demo.example',
      'X-Mixed-Case': 'kept',
      connection: 'keep-alive, x-hop',
      'x-hop': 'no',
    },
  })
  request.end()
  const raw: string[] = JSON.parse(await textOf(await answer))
  const names = raw.filter((_, at) => at % 2 === 0)
  expect(names).toEqual(['Host', 'X-Mixed-Case', 'Connection'])
  expect(raw[1]).toBe('hello-demo.example')
  expect(raw.at(-1)).toBe('keep-alive')
})

test('requests share a connection to an agent that promises to keep it', async () => {
  const connections = async (method: string) => {
    const body = method === 'POST' ? 'x' : null
    return Number(await (await machine.fetch('/connections', { method, body })).text())
  }
  const before = await connections('GET')
  expect([await connections('GET'), await connections('POST'), await connections('POST')]).toEqual(
    Array(3).fill(before),
  )
})

test('an agent that hangs up after each answer without saying so gets every request, and once what changes something', async () => {
  let asked = 0
  for (const method of ['GET', 'POST', 'GET', 'GET', 'POST', 'POST', 'GET', 'GET']) {
    const body = method === 'POST' ? 'x' : null
    const answer = await (await machine.fetch('/hang-up', { method, body })).text()
    const [by, count] = answer.split(' ')
    expect(by).toBe(method)
    if (method === 'POST') expect(Number(count)).toBe(asked + 1)
    asked = Number(count)
  }
})

test('status, status text and repeated headers come back unchanged', async () => {
  const { request, answer } = answerTo('/cookies')
  request.end()
  const message = await answer
  expect(message.statusCode).toBe(201)
  expect(message.statusMessage).toBe('Made Up')
  expect(message.headers['set-cookie']).toEqual(['a=1', 'b=2'])
  expect(message.headers['x-own']).toBe('yes')
})

test('50 MB go up and down intact', async () => {
  const bytes = randomBytes(50 * 1024 * 1024)
  const up = await machine.fetch('/upload', { method: 'POST', body: bytes })
  expect(await up.json()).toEqual({
    bytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
  })
  const down = await (await machine.fetch('/download?megabytes=50')).arrayBuffer()
  expect(down.byteLength).toBe(50 * 1024 * 1024)
})

test('both directions of one request stream at the same time', async () => {
  const { request, answer } = answerTo('/echo', { method: 'POST' })
  request.write('one')
  const message = await answer
  const chunks = message[Symbol.asyncIterator]()
  // Each piece is sent only when the one before has come back: buffering anywhere would be a deadlock.
  expect(String((await chunks.next()).value)).toBe('one')
  request.write('two')
  expect(String((await chunks.next()).value)).toBe('two')
  request.end('three')
  expect(String((await chunks.next()).value)).toBe('three')
  expect((await chunks.next()).done).toBe(true)
})

test('server-sent events arrive one by one, and an abort reaches the agent', async () => {
  const before = Number(await (await machine.fetch('/aborted')).text())
  const { request, answer } = answerTo('/events')
  request.end()
  const message = await answer
  expect(message.headers['content-type']).toBe('text/event-stream')
  const chunks = message[Symbol.asyncIterator]()
  for (const text of ['first', 'second']) {
    await machine.fetch(`/send?text=${text}`)
    expect(String((await chunks.next()).value)).toBe(`data: ${text}\n\n`)
  }
  request.destroy()
  await until(
    'the abort at the agent',
    async () => Number(await (await machine.fetch('/aborted')).text()) === before + 1,
  )
})

test('an answer that the agent cuts off looks cut off', async () => {
  const { request, answer } = answerTo('/cut')
  request.end()
  await expect(answer.then(textOf)).rejects.toThrow(/aborted/)
})

test('an agent that hangs up without an answer gives a 502 that says so', async () => {
  const response = await machine.fetch('/silent')
  expect(response.status).toBe(502)
  expect(response.headers.get('x-agentctl-reason')).toBe('agent_failed')
  expect(await response.json()).toMatchObject({ code: 'agent_failed' })
})

test('an answer before the end of the upload comes through', async () => {
  const { request, answer } = answerTo('/early', { method: 'POST' })
  request.on('error', () => {})
  request.write(Buffer.alloc(64 * 1024))
  const message = await answer
  expect(message.statusCode).toBe(413)
  expect(await textOf(message)).toBe('too much')
  request.destroy()
})

test.each([
  ['and hangs up', '/early'],
  ['and keeps the connection', '/keep-and-refuse'],
])('a large upload that the agent refuses at its beginning %s gets the refusal', async (_, path) => {
  const body = Buffer.alloc(16 * 1024 * 1024)
  for (let times = 0; times < 10; times++) {
    // As the router does, which keeps its connections.
    const { request, answer } = answerTo(path, { method: 'POST', headers: { connection: 'keep-alive' } })
    request.on('error', () => {})
    request.end(body)
    const message = await answer
    expect(message.statusCode).toBe(413)
    expect(await textOf(message)).toBe('too much')
    request.destroy()
  }
})

test('trailers pass in both directions', async () => {
  const headers = { trailer: 'x-own-sum', te: 'trailers' }
  const { request, answer } = answerTo('/trailers', { method: 'POST', headers })
  request.write('body')
  request.addTrailers({ 'x-own-sum': '42' })
  request.end()
  const message = await answer
  expect(await textOf(message)).toBe('body')
  expect(message.trailers).toEqual({ 'x-sum': 'got 42 for one who takes trailers' })
})

test('an agent cannot speak for the platform', async () => {
  const { request, answer } = answerTo('/trailers', { method: 'POST' })
  request.end()
  const message = await answer
  expect(message.statusCode).toBe(200)
  expect(message.headers['x-agentctl-reason']).toBe(undefined)
  message.resume()
})

test('headers as long as the router lets through reach the agent', async () => {
  const response = await machine.fetch('/headers', { headers: { 'x-long': 'x'.repeat(31 * 1024) } })
  expect(response.status).toBe(200)
  expect(await response.text()).toContain('x'.repeat(31 * 1024))
})

test('a client that waits for 100 Continue gets it', async () => {
  const { request, answer } = answerTo('/echo', { method: 'POST', headers: { expect: '100-continue' } })
  request.flushHeaders()
  await new Promise((resolve) => request.once('continue', resolve))
  request.end('went on')
  expect(await textOf(await answer)).toBe('went on')
})

test('a WebSocket carries messages both ways and closes', async () => {
  const { request } = answerTo('/socket', {
    headers: {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-key': randomBytes(16).toString('base64'),
      'sec-websocket-version': '13',
    },
  })
  request.end()
  const socket = await new Promise<import('node:net').Socket>((resolve, reject) => {
    request.on('upgrade', (message, upgraded) => {
      expect(message.statusCode).toBe(101)
      expect(message.headers.upgrade).toBe('websocket')
      expect(message.headers['sec-websocket-accept']).toBeTruthy()
      resolve(upgraded)
    })
    request.on('error', reject)
    request.on('response', (message) => reject(new Error(`no upgrade: ${message.statusCode}`)))
  })
  const received: Buffer[] = []
  socket.on('data', (chunk: Buffer) => received.push(chunk))
  for (const text of ['hello', 'again']) {
    socket.write(masked(1, text))
    await until(`the echo of ${text}`, () => Buffer.concat(received).toString().endsWith(text))
  }
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.write(masked(8, ''))
  await closed
})

test('a WebSocket whose client has left ends, also when the agent never says anything again', async () => {
  const { request } = answerTo('/socket', {
    headers: {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-key': randomBytes(16).toString('base64'),
      'sec-websocket-version': '13',
    },
  })
  request.end()
  const socket = await new Promise<import('node:net').Socket>((resolve, reject) => {
    request.on('upgrade', (_message, upgraded) => resolve(upgraded))
    request.on('error', reject)
  })
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.resume()
  // No closing frame, only the end of the connection; the agent leaves its own side open.
  socket.end()
  await closed
})

test('an upgrade that the agent declines comes back as its answer', async () => {
  const { request, answer } = answerTo('/no', { headers: { connection: 'Upgrade', upgrade: 'websocket' } })
  request.end()
  const message = await answer
  expect(message.statusCode).toBe(426)
  expect(message.headers['x-why']).toBe('no')
  expect(await textOf(message)).toBe('no')
})

test('an upgrade without the credential is refused', async () => {
  const { request, answer } = answerTo('/socket', {
    headers: { connection: 'Upgrade', upgrade: 'websocket', 'x-agentctl-router': 'wrong' },
  })
  request.end()
  expect((await answer).statusCode).toBe(403)
})

test('a body cannot smuggle a second request past the proxy', async () => {
  const socket = connect(machine.port, '127.0.0.1')
  const smuggled = 'GET /headers HTTP/1.1\r\nHost: a\r\n\r\n'
  socket.end(
    `GET /health HTTP/1.1\r\nHost: a\r\nx-agentctl-router: ${machine.server.routerCredential}\r\n` +
      `Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n${smuggled}`,
  )
  let text = ''
  for await (const chunk of socket) text += chunk
  expect(text).not.toContain('200 OK')
})

/** A frame as a client sends it, with a mask. */
function masked(opcode: number, text: string): Buffer {
  const mask = randomBytes(4)
  const body = Buffer.from(text).map((byte, at) => byte ^ (mask[at % 4] ?? 0))
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | body.length]), mask, body])
}

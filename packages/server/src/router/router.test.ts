import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  type ClientRequest,
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestOptions,
  request,
  type ServerResponse,
} from 'node:http'
import { connect, createServer as createTcpServer, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import {
  fakeRunner,
  type RoutedAgent,
  type RoutedAgents,
  routedAgents,
} from '../../../../test/routed-agents.ts'
import { systemClock } from '../platform/clock.ts'
import { readConfig } from '../platform/config.ts'
import { silentLog } from '../platform/log.ts'
import { type Router, startRouter } from './router.ts'

// The collector is asked for by hand: what nobody holds any more must not count as held.
setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

const CREDENTIAL = 'the-credential-between-router-and-runner'
const database = await testDatabase()
let agents: RoutedAgents
let router: Router

const settings = {
  DATABASE_URL: 'postgres://127.0.0.1/unused',
  ROUTER_PORT: '0',
  TWILIO_ACCOUNT_SID: 'unused',
  TWILIO_AUTH_TOKEN: 'unused',
  TWILIO_VERIFY_SERVICE_SID: 'unused',
  PRIVACY_CONTACT: 'privacy@example.com',
  VULTR_API_KEY: 'unused',
  CHAIN_RPC_URL: 'unused',
  MACHINE_NODE_FILE: 'unused',
  MACHINE_RUNNER_FILE: 'unused',
}

const startTestRouter = (
  environment: Record<string, string> = {},
  patience = { connectMs: 1000, refusedMs: 300, answerMs: 1500 },
): Promise<Router> =>
  startRouter(
    {
      db: database.db,
      config: readConfig({ ...settings, ...environment }),
      clock: systemClock,
      log: silentLog,
      keyring: agents.keyring,
    },
    patience,
  )

beforeAll(async () => {
  agents = await routedAgents(database)
  router = await startTestRouter()
})

afterAll(() => router.close(0))

type Answering = (incoming: IncomingMessage, response: ServerResponse) => void

/** An agent whose runner answers like this. */
async function agentThat(answering: Answering): Promise<RoutedAgent> {
  const { port } = await fakeRunner(createServer(answering))
  return agents.add({ port, credential: CREDENTIAL })
}

const hostOf = (agent: RoutedAgent): string => `${agent.label}.agents.localhost`

function open(host: string, options: RequestOptions = {}, port = router.port): ClientRequest {
  return request({
    host: '127.0.0.1',
    port,
    agent: false,
    ...options,
    headers: { host, ...(options.headers as Record<string, string>) },
  })
}

interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: string
  trailers: NodeJS.Dict<string>
}

async function ask(
  host: string,
  options: RequestOptions & { body?: string } = {},
  port?: number,
): Promise<Answer> {
  const outgoing = open(host, options, port)
  outgoing.end(options.body)
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  const body = await text(response)
  return { status: response.statusCode ?? 0, headers: response.headers, body, trailers: response.trailers }
}

/** Bytes over a socket, exactly as written; resolves to all that came back when the connection ended. */
async function rawAsk(bytes: string): Promise<string> {
  const socket = connect(router.port, '127.0.0.1')
  socket.write(bytes)
  return text(socket)
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 5000
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

describe('an agent at its address', () => {
  test('gets the request as it was sent, and the visitor its answer', async () => {
    let seen: IncomingMessage | undefined
    let sent = ''
    const agent = await agentThat(async (incoming, response) => {
      seen = incoming
      sent = await text(incoming)
      response.writeHead(201, 'Made', [
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
        ['x-own', 'kept'],
      ])
      response.end('hello')
    })
    const answer = await ask(hostOf(agent), {
      method: 'POST',
      path: '/a//b?c=%20d',
      body: 'the body',
      headers: { 'x-mine': 'kept', cookie: 'c=3' },
    })
    expect(seen?.method).toBe('POST')
    expect(seen?.url).toBe('/a//b?c=%20d')
    expect(seen?.headers).toMatchObject({ host: hostOf(agent), 'x-mine': 'kept', cookie: 'c=3' })
    expect(sent).toBe('the body')
    expect(answer).toMatchObject({ status: 201, body: 'hello' })
    expect(answer.headers).toMatchObject({ 'set-cookie': ['a=1', 'b=2'], 'x-own': 'kept' })
  })

  test('is told who asks by the router alone', async () => {
    let seen: IncomingHttpHeaders = {}
    const agent = await agentThat((incoming, response) => {
      seen = incoming.headers
      response.end()
    })
    await ask(hostOf(agent), {
      headers: {
        'x-forwarded-for': '203.0.113.9',
        X_Forwarded_For: '203.0.113.8',
        'x-forwarded-host': 'evil.example',
        'x-forwarded-proto': 'https',
        forwarded: 'for=203.0.113.7',
        'x-real-ip': '203.0.113.6',
        'x-agentctl-router': 'guessed',
        'X-Agentctl_Router': 'guessed',
        connection: 'close, x-dropped, content-length',
        'x-dropped': 'for the next hop only',
        'proxy-authorization': 'Basic eDp5',
      },
    })
    expect(JSON.stringify(seen)).not.toMatch(/203\.0\.113|evil|guessed|x-dropped|proxy-authorization/)
    expect(seen).toMatchObject({
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-host': hostOf(agent),
      'x-forwarded-proto': 'http',
      'x-agentctl-router': CREDENTIAL,
      'x-request-id': expect.stringMatching(/^req_/),
    })
  })

  test('is told the address that a trusted proxy in front vouches for', async () => {
    let seen: IncomingHttpHeaders = {}
    const agent = await agentThat((incoming, response) => {
      seen = incoming.headers
      response.end()
    })
    const behind = await startTestRouter({ CLIENT_ADDRESS_HEADER: 'x-forwarded-for' })
    const headers = { 'x-forwarded-for': '198.51.100.1, 203.0.113.9', 'x-forwarded-proto': 'https' }
    await ask(hostOf(agent), { headers }, behind.port)
    expect(seen).toMatchObject({ 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'https' })
    await behind.close(0)
  })

  test('never shows the credential to its visitor', async () => {
    const agent = await agentThat((incoming, response) => {
      const stolen = String(incoming.headers['x-agentctl-router'])
      response.writeHead(200, {
        trailer: 'x-agentctl-router',
        'x-agentctl-router': stolen,
        'x-agentctl-more': stolen,
      })
      response.write('x')
      response.addTrailers({ 'x-agentctl-router': stolen, 'x-checksum': 'abc' })
      response.end()
    })
    const answer = await ask(hostOf(agent))
    expect(JSON.stringify(answer)).not.toContain(CREDENTIAL)
    expect(answer.trailers).toEqual({ 'x-checksum': 'abc' })
  })

  test('answers HEAD with the length that GET would have and no body', async () => {
    const agent = await agentThat((_, response) => {
      response.writeHead(200, { 'content-length': 12345 })
      response.end()
    })
    const answer = await ask(hostOf(agent), { method: 'HEAD' })
    expect(answer).toMatchObject({ status: 200, body: '', headers: { 'content-length': '12345' } })
  })

  test('sees no body where there is none, and trailers after the body where there are', async () => {
    const seen: { framing: unknown; trailers: unknown }[] = []
    const agent = await agentThat(async (incoming, response) => {
      await text(incoming)
      const { 'content-length': length, 'transfer-encoding': coding } = incoming.headers
      seen.push({ framing: { length, coding }, trailers: incoming.trailers })
      response.end()
    })
    await ask(hostOf(agent))
    await rawAsk(`POST / HTTP/1.1\r\nHost: ${hostOf(agent)}\r\nConnection: close\r\n\r\n`)
    await rawAsk(
      `GET / HTTP/1.1\r\nHost: ${hostOf(agent)}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 1\r\nx-forwarded-for: 9.9.9.9\r\n\r\n`,
    )
    expect(seen).toEqual([
      { framing: {}, trailers: {} },
      { framing: { length: '0' }, trailers: {} },
      { framing: { coding: 'chunked' }, trailers: { 'x-sum': '1' } },
    ])
  })

  test('is reached over one kept-alive connection', async () => {
    const sockets = new Set<Socket>()
    const agent = await agentThat((incoming, response) => {
      sockets.add(incoming.socket)
      response.end('ok')
    })
    for (let times = 0; times < 3; times++) await ask(hostOf(agent))
    expect(sockets.size).toBe(1)
  })

  test('is asked again when it closed the kept-alive connection, but never twice for a POST', async () => {
    let connections = 0
    const requests: string[] = []
    const runner = createTcpServer((socket) => {
      const first = ++connections === 1
      socket.on('error', () => {})
      socket.on('data', (bytes) => {
        requests.push(bytes.toString().slice(0, 4).trim())
        // The second request on the first connection finds it closing.
        if ((first && requests.length > 1) || requests.includes('DROP')) socket.destroy()
        else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      })
    })
    await new Promise<void>((resolve) => runner.listen(0, '127.0.0.1', resolve))
    const address = runner.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const agent = await agents.add({ port })
    expect(await ask(hostOf(agent))).toMatchObject({ status: 200 })
    expect(await ask(hostOf(agent))).toMatchObject({ status: 200 })
    expect(requests).toEqual(['GET', 'GET', 'GET'])
    requests.length = 0
    connections = 0
    expect(await ask(hostOf(agent))).toMatchObject({ status: 200 })
    // What cannot be sent twice does not go over a connection that may be closing.
    expect(await ask(hostOf(agent), { method: 'POST' })).toMatchObject({ status: 200 })
    expect(requests).toEqual(['GET', 'POST'])
    expect(connections).toBe(2)
    requests.splice(0, requests.length, 'DROP')
    expect(await ask(hostOf(agent), { method: 'POST' })).toMatchObject({ status: 502 })
    expect(requests).toEqual(['DROP', 'POST'])
    runner.close()
  })
})

describe('a runner that replaces itself', () => {
  /** Nobody listens there any more; somebody will, when `come` is called. */
  async function leavingRunner(answering: Answering) {
    const { server, port } = await fakeRunner()
    const agent = await agents.add({ port, credential: CREDENTIAL })
    await new Promise((resolve) => server.close(resolve))
    const come = async (): Promise<void> => {
      const next = createServer(answering)
      await new Promise<void>((resolve) => next.listen(port, '127.0.0.1', resolve))
      afterAll(() => next.close())
    }
    return { agent, come }
  }

  test.each(['GET', 'POST'])('is waited for, and gets each %s once', async (method) => {
    const seen: string[] = []
    const { agent, come } = await leavingRunner(async (incoming, response) => {
      seen.push(`${incoming.method} ${await text(incoming)}`)
      response.end('back')
    })
    const patient = await startTestRouter({}, { connectMs: 1000, refusedMs: 20_000, answerMs: 1500 })
    const body = method === 'POST' ? 'the body' : ''
    const outgoing = open(hostOf(agent), { method }, patient.port)
    const answered = once(outgoing, 'response')
    outgoing.end(body)
    // An impatient router has given up by the time at which this one goes on trying.
    expect(await ask(hostOf(agent))).toMatchObject({ status: 502 })
    await come()
    const [response] = (await answered) as [IncomingMessage]
    expect(await text(response)).toBe('back')
    expect(seen).toEqual([`${method} ${body}`])
    await patient.close(0)
  })

  test('keeps the whole of an upload that was on its way', async () => {
    const bytes = randomBytes(4 * 1024 * 1024)
    let arrived = ''
    const { agent, come } = await leavingRunner(async (incoming, response) => {
      const digest = createHash('sha256')
      for await (const chunk of incoming) digest.update(chunk as Buffer)
      arrived = digest.digest('hex')
      response.end()
    })
    const patient = await startTestRouter({}, { connectMs: 1000, refusedMs: 20_000, answerMs: 1500 })
    const outgoing = open(hostOf(agent), { method: 'PUT' }, patient.port)
    const answered = once(outgoing, 'response')
    outgoing.end(bytes)
    expect(await ask(hostOf(agent))).toMatchObject({ status: 502 })
    await come()
    const [response] = (await answered) as [IncomingMessage]
    expect(response.statusCode).toBe(200)
    expect(arrived).toBe(createHash('sha256').update(bytes).digest('hex'))
    await patient.close(0)
  })
})

describe('a stream', () => {
  const MIB = 1024 * 1024

  async function* pieces(
    count: number,
    hash: ReturnType<typeof createHash>,
    look: () => Promise<void>,
  ): AsyncGenerator<Buffer> {
    const piece = randomBytes(MIB)
    for (let sent = 0; sent < count; sent++) {
      piece.writeUInt32BE(sent)
      hash.update(piece)
      yield Buffer.from(piece)
      if (sent % 16 === 15) await look()
    }
  }

  /** What is still held after the collector, which frees buffers beside the program, has had its turns. */
  async function heldBytes(): Promise<number> {
    const seen: number[] = []
    for (let turn = 0; turn < 3; turn++) {
      collectGarbage()
      await new Promise((resolve) => setImmediate(resolve))
      seen.push(process.memoryUsage().arrayBuffers)
    }
    return Math.min(...seen)
  }

  test('of 64 MiB up and of 64 MiB down arrives whole and is never held in memory', async () => {
    const received = createHash('sha256')
    const sentDown = createHash('sha256')
    const agent = await agentThat(async (incoming, response) => {
      await pipeline(incoming, received)
      await pipeline(pieces(64, sentDown, look), response)
    })
    const before = await heldBytes()
    const held: number[] = []
    const look = async (): Promise<void> => {
      held.push((await heldBytes()) - before)
    }
    const sentUp = createHash('sha256')
    const outgoing = open(hostOf(agent), { method: 'PUT' })
    const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>
    await pipeline(pieces(64, sentUp, look), outgoing)
    const [response] = await answered
    const receivedDown = createHash('sha256')
    await pipeline(response, receivedDown)
    expect(received.read().toString('hex')).toBe(sentUp.digest('hex'))
    expect(receivedDown.read().toString('hex')).toBe(sentDown.digest('hex'))
    expect(held).toHaveLength(8)
    expect(Math.max(...held)).toBeLessThan(16 * MIB)
  }, 120_000)

  test('waits for a reader that does not read, both ways', async () => {
    let sentDown = 0
    const agent = await agentThat((_, response) => {
      // Never reads the request; writes for as long as somebody takes it.
      const fill = (): void => {
        while (sentDown < 512 && response.write(Buffer.alloc(MIB))) sentDown++
        response.once('drain', () => {
          sentDown++
          fill()
        })
      }
      fill()
    })
    const outgoing = open(hostOf(agent), { method: 'POST' })
    outgoing.on('error', () => {})
    let sentUp = 0
    const pump = (): void => {
      while (sentUp < 512 && outgoing.write(Buffer.alloc(MIB))) sentUp++
      outgoing.once('drain', () => {
        sentUp++
        pump()
      })
    }
    pump()
    await once(outgoing, 'response')
    let last = -1
    let steadySince = performance.now()
    await until('both directions stand still', () => {
      if (sentUp + sentDown !== last) {
        last = sentUp + sentDown
        steadySince = performance.now()
      }
      return performance.now() - steadySince > 300
    })
    expect(sentUp).toBeLessThan(64)
    expect(sentDown).toBeLessThan(64)
    outgoing.destroy()
  })

  test('of events arrives event by event', async () => {
    let send = (_event: string): void => {}
    const agent = await agentThat((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.flushHeaders()
      send = (event) => response.write(`data: ${event}\n\n`)
    })
    const outgoing = open(hostOf(agent), { path: '/events' })
    outgoing.end()
    // The headers are here before any event is.
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    expect(response.headers['content-type']).toBe('text/event-stream')
    for (const event of ['one', 'two', 'three']) {
      send(event)
      const [bytes] = await once(response, 'data')
      expect(String(bytes)).toBe(`data: ${event}\n\n`)
    }
    outgoing.destroy()
  })

  test('may be answered before it has been sent to its end', async () => {
    const agent = await agentThat((incoming, response) => {
      response.writeHead(200)
      incoming.on('data', (bytes: Buffer) => response.write(bytes))
      incoming.on('end', () => response.end())
    })
    const outgoing = open(hostOf(agent), { method: 'POST' })
    outgoing.write('first')
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    expect(String((await once(response, 'data'))[0])).toBe('first')
    outgoing.end('second')
    expect(await text(response)).toBe('second')
  })

  test('that the agent refuses half-way gets the refusal, not a broken connection', async () => {
    const agent = await agentThat((_, response) => {
      response.writeHead(413)
      response.end('too large')
    })
    const outgoing = open(hostOf(agent), { method: 'POST' })
    outgoing.on('error', () => {})
    outgoing.write(Buffer.alloc(MIB))
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    expect(response.statusCode).toBe(413)
    expect(await text(response)).toBe('too large')
    outgoing.destroy()
  })

  test('ends at the agent when the visitor leaves', async () => {
    let left = false
    const agent = await agentThat((_, response) => {
      response.on('close', () => {
        left = true
      })
      response.write('x')
    })
    const outgoing = open(hostOf(agent))
    outgoing.on('error', () => {})
    outgoing.end()
    await once(outgoing, 'response')
    outgoing.destroy()
    await until('the agent notices', () => left)
  })

  test('ends at the agent when the visitor leaves before the answer', async () => {
    let asked = false
    let left = false
    const agent = await agentThat((incoming) => {
      asked = true
      incoming.socket.on('close', () => {
        left = true
      })
    })
    // Patient enough for nothing but the visitor to end it.
    const patient = await startTestRouter({}, { connectMs: 1000, refusedMs: 300, answerMs: 60_000 })
    const outgoing = open(hostOf(agent), {}, patient.port)
    outgoing.on('error', () => {})
    outgoing.end()
    await until('the request arrives', () => asked)
    outgoing.destroy()
    await until('the agent notices', () => left)
    await patient.close(0)
  })

  test('that the agent cuts off is cut off for the visitor too, never ended as if whole', async () => {
    const agent = await agentThat((_, response) => {
      response.write('half of it')
      setImmediate(() => response.socket?.destroy())
    })
    await expect(ask(hostOf(agent))).rejects.toThrow('aborted')
  })
})

describe('a request that expects 100 Continue', () => {
  test('sends its body once the agent agrees', async () => {
    let body = ''
    const agent = await agentThat(async (incoming, response) => {
      body = await text(incoming)
      response.end('thanks')
    })
    const outgoing = open(hostOf(agent), { method: 'PUT', headers: { expect: '100-continue' } })
    outgoing.flushHeaders()
    await once(outgoing, 'continue')
    outgoing.end('the body')
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    expect(await text(response)).toBe('thanks')
    expect(body).toBe('the body')
  })

  test('keeps its body when the agent refuses', async () => {
    const server = createServer()
    server.on('checkContinue', (_: IncomingMessage, response: ServerResponse) => {
      response.writeHead(413)
      response.end('no')
    })
    const { port } = await fakeRunner(server)
    const agent = await agents.add({ port })
    const outgoing = open(hostOf(agent), { method: 'PUT', headers: { expect: '100-continue' } })
    let continued = false
    outgoing.on('continue', () => {
      continued = true
    })
    outgoing.on('error', () => {})
    outgoing.flushHeaders()
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    expect(response).toMatchObject({ statusCode: 413 })
    expect(response.headers.connection).toBe('close')
    expect(continued).toBe(false)
    outgoing.destroy()
  })
})

describe('a WebSocket', () => {
  /** Just enough of RFC 6455 for an echo of short text frames. */
  async function echoRunner(): Promise<{ port: number; seen: IncomingHttpHeaders[]; sockets: Socket[] }> {
    const server = createServer()
    const seen: IncomingHttpHeaders[] = []
    const sockets: Socket[] = []
    server.on('upgrade', (incoming, socket: Socket) => {
      seen.push(incoming.headers)
      sockets.push(socket)
      const accept = createHash('sha1')
        .update(`${incoming.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest('base64')
      socket.on('error', () => {})
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nx-agentctl-router: leak\r\n\r\n`,
      )
      socket.on('data', (frame: Buffer) => {
        if ((frame.readUInt8(0) & 0x0f) !== 1) return socket.end(Buffer.from([0x88, 0x00]))
        const length = frame.readUInt8(1) & 0x7f
        const mask = frame.subarray(2, 6)
        const payload = frame.subarray(6, 6 + length).map((byte, at) => byte ^ mask.readUInt8(at % 4))
        return socket.write(Buffer.concat([Buffer.from([0x81, length]), payload]))
      })
    })
    return { ...(await fakeRunner(server)), seen, sockets }
  }

  const upgradeOf = (host: string): string =>
    `GET /chat HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`

  test('echoes', async () => {
    const runner = await echoRunner()
    const agent = await agents.add({ port: runner.port, credential: CREDENTIAL })
    // Names under .localhost are not resolved everywhere, so the client's own Host is set by hand.
    const socket = connect(router.port, '127.0.0.1')
    socket.write(upgradeOf(hostOf(agent)))
    const [head] = await once(socket, 'data')
    expect(String(head).split('\r\n')).toEqual([
      'HTTP/1.1 101 Switching Protocols',
      'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      'Connection: Upgrade',
      'Upgrade: websocket',
      '',
      '',
    ])
    expect(runner.seen[0]).toMatchObject({ 'x-agentctl-router': CREDENTIAL, 'x-forwarded-for': '127.0.0.1' })
    for (const word of ['hello', 'again']) {
      const mask = randomBytes(4)
      const masked = Buffer.from(word).map((byte, at) => byte ^ mask.readUInt8(at % 4))
      socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | word.length]), mask, masked]))
      const [frame] = await once(socket, 'data')
      expect(String((frame as Buffer).subarray(2))).toBe(word)
    }
    socket.write(Buffer.from([0x88, 0x80, 0, 0, 0, 0]))
    await once(socket, 'close')
  })

  test('ends on one side when it ends on the other', async () => {
    const runner = await echoRunner()
    const agent = await agents.add({ port: runner.port })
    const leaving = connect(router.port, '127.0.0.1')
    leaving.write(upgradeOf(hostOf(agent)))
    await once(leaving, 'data')
    leaving.destroy()
    await until('the agent notices', () => runner.sockets[0]?.readableEnded === true)
    const left = connect(router.port, '127.0.0.1')
    left.write(upgradeOf(hostOf(agent)))
    await once(left, 'data')
    runner.sockets[1]?.resetAndDestroy()
    await expect(once(left, 'close')).rejects.toThrow('ECONNRESET')
  })

  test('that the agent declines gets the agent’s answer', async () => {
    const agent = await agentThat((_, response) => {
      response.writeHead(403)
      response.end('members only')
    })
    const answer = await rawAsk(upgradeOf(hostOf(agent)))
    expect(answer).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/)
    expect(answer).toContain('members only')
  })

  test('to an agent that is not running is told so', async () => {
    const agent = await agents.add({ status: 'stopped' })
    const answer = await rawAsk(upgradeOf(hostOf(agent)))
    expect(answer).toMatch(/^HTTP\/1\.1 503 /)
    expect(answer).toContain('"reason":"stopped"')
  })

  test('is the only other protocol: an offer of HTTP/2 is served as plain HTTP', async () => {
    const agent = await agentThat((incoming, response) => {
      response.end(`upgrade: ${incoming.headers.upgrade}`)
    })
    const answer = await rawAsk(
      `GET / HTTP/1.1\r\nHost: ${hostOf(agent)}\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(answer).toContain('upgrade: undefined')
  })
})

describe('a host', () => {
  test.each([
    ['with a port', (host: string) => `${host}:8788`],
    ['in upper case', (host: string) => host.toUpperCase()],
    ['with the dot of the root', (host: string) => `${host}.`],
  ])('%s is the same host', async (_, write) => {
    const agent = await agentThat((incoming, response) => response.end(incoming.headers.host))
    const host = write(hostOf(agent))
    expect(await ask(host)).toMatchObject({ status: 200, body: host })
  })

  test.each([
    'example.com',
    'agents.localhost',
    'a.b.agents.localhost',
    '127.0.0.1',
    'xagents.localhost',
    'nobody.agents.localhost',
  ])('%s has no agent', async (host) => {
    expect(await ask(host)).toMatchObject({ status: 404 })
  })

  test('in the absolute form of the target must be that of the Host header', async () => {
    const agent = await agentThat((incoming, response) => response.end(incoming.url))
    const host = hostOf(agent)
    const get = (target: string): string =>
      `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
    expect(await rawAsk(get(`http://${host}/a?b`))).toMatch(/ 200 OK[\s\S]*\/a\?b/)
    expect(await rawAsk(get(`http://${host}`))).toMatch(/ 200 OK/)
    expect(await rawAsk(get('http://other.agents.localhost/a'))).toMatch(/^HTTP\/1\.1 400 /)
    expect(await rawAsk(get(`http://${host}@other.agents.localhost/a`))).toMatch(/^HTTP\/1\.1 400 /)
    expect(await rawAsk(get('a'))).toMatch(/^HTTP\/1\.1 400 /)
  })

  test.each([
    ['two Hosts', (host: string) => `Host: ${host}\r\nHost: other.agents.localhost\r\n`],
    ['no Host', () => ''],
    ['an empty Host', () => 'Host:\r\n'],
    ['user information in the Host', (host: string) => `Host: ${host}@other.agents.localhost\r\n`],
    ['a list of Hosts', (host: string) => `Host: ${host}, other.agents.localhost\r\n`],
    [
      'length and chunks',
      (host: string) => `Host: ${host}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n`,
    ],
    ['two lengths', (host: string) => `Host: ${host}\r\nContent-Length: 3\r\nContent-Length: 5\r\n`],
    ['another coding of the body', (host: string) => `Host: ${host}\r\nTransfer-Encoding: gzip, chunked\r\n`],
  ])('%s is refused before any agent sees it', async (_, headers) => {
    let reached = false
    const agent = await agentThat((_incoming, response) => {
      reached = true
      response.end()
    })
    const answer = await rawAsk(
      `POST / HTTP/1.1\r\n${headers(hostOf(agent))}Connection: close\r\n\r\n0\r\n\r\n`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(reached).toBe(false)
  })
})

describe('an agent that does not serve', () => {
  const reasonOf = (answer: Answer): unknown => {
    const { code, reason } = JSON.parse(answer.body)
    return { status: answer.status, code, reason }
  }

  test.each(['starting', 'stopped', 'suspended', 'failing'] as const)('%s says so', async (status) => {
    const agent = await agents.add({ status })
    expect(reasonOf(await ask(hostOf(agent)))).toEqual({
      status: 503,
      code: 'agent_not_running',
      reason: status,
    })
  })

  test('because it was deleted looks like one that never was', async () => {
    const deleted = await agents.add({ status: 'deleted' })
    const strip = ({ status, body, headers }: Answer): unknown => ({
      status,
      names: Object.keys(headers),
      body: body.replace(/req_\w+/, ''),
    })
    expect(strip(await ask(hostOf(deleted)))).toEqual(strip(await ask('never.agents.localhost')))
  })

  test.each([
    ['starting', 503, 'starting'],
    ['crashed', 503, 'failing'],
    ['stopped', 503, 'stopped'],
    ['agent_failed', 502, 'closed'],
    ['forbidden', 403, 'closed'],
  ])('because its runner says %s', async (said, status, reason) => {
    const agent = await agentThat((_, response) => {
      response.writeHead(status, { 'x-agentctl-reason': said })
      response.end('{"internal":"details"}')
    })
    const answer = await ask(hostOf(agent))
    expect(reasonOf(answer)).toMatchObject({ status: status === 403 ? 502 : status, reason })
    expect(answer.body).not.toContain('details')
  })

  test('because nobody listens, or the connection breaks, or no answer comes, or it is not HTTP', async () => {
    const { server, port } = await fakeRunner()
    await new Promise((resolve) => server.close(resolve))
    const gone = await agents.add({ port })
    expect(reasonOf(await ask(hostOf(gone)))).toEqual({
      status: 502,
      code: 'agent_unreachable',
      reason: 'unreachable',
    })
    const breaking = await agentThat((incoming) => incoming.socket.destroy())
    expect(reasonOf(await ask(hostOf(breaking)))).toMatchObject({ status: 502, reason: 'closed' })
    const silent = await agentThat(() => {})
    expect(reasonOf(await ask(hostOf(silent)))).toMatchObject({ status: 502, reason: 'late' })
    const garbled = createTcpServer((socket) => socket.on('error', () => {}).end('220 smtp ready\r\n'))
    await new Promise<void>((resolve) => garbled.listen(0, '127.0.0.1', resolve))
    const address = garbled.address()
    const strange = await agents.add({ port: typeof address === 'object' && address ? address.port : 0 })
    expect(reasonOf(await ask(hostOf(strange)))).toMatchObject({ status: 502, reason: 'garbled' })
    garbled.close()
  })

  test('tells so to a large upload too, whose sender wants the connection closed', async () => {
    const starting = await agents.add({ status: 'starting' })
    for (const [host, status] of [
      [hostOf(starting), 503],
      ['never.agents.localhost', 404],
    ] as const) {
      const answer = await ask(host, { method: 'POST', body: 'x'.repeat(8 * 1024 * 1024) })
      expect(answer.status).toBe(status)
    }
  })

  test('never tells where its machine is', async () => {
    const { server, port } = await fakeRunner()
    await new Promise((resolve) => server.close(resolve))
    const gone = await agents.add({ port })
    for (const accept of ['text/html', 'application/json']) {
      const answer = await ask(hostOf(gone), { headers: { accept } })
      expect(JSON.stringify(answer)).not.toContain(String(port))
      expect(JSON.stringify(answer)).not.toMatch(/127\.0\.0\.1|mch_|agt_/)
    }
  })
})

describe('a change', () => {
  test('of status, machine or existence is followed at once', async () => {
    const [one, two] = await Promise.all(
      ['one', 'two'].map((body) => fakeRunner(createServer((_, response) => response.end(body)))),
    )
    const agent = await agents.add({ port: one?.port ?? 0 })
    const body = async (): Promise<string> => (await ask(hostOf(agent))).body
    expect(await body()).toBe('one')
    await agents.movePort(agent, two?.port ?? 0)
    await until('the new machine answers', async () => (await body()) === 'two')
    await agents.setStatus(agent, 'suspended')
    await until('it is suspended', async () => (await body()).includes('"reason":"suspended"'))
    await agents.setStatus(agent, 'deleted')
    await until('it is gone', async () => (await ask(hostOf(agent))).status === 404)
  })
})

describe('a stop', () => {
  test('lets what is under way end, takes nothing new, and cuts off what does not end', async () => {
    let finish = (): void => {}
    const agent = await agentThat((incoming, response) => {
      response.write('begun ')
      if (incoming.url === '/slow') finish = () => response.end('ended')
    })
    const stopping = await startTestRouter()
    const slow = open(hostOf(agent), { path: '/slow' }, stopping.port)
    slow.end()
    const [response] = (await once(slow, 'response')) as [IncomingMessage]
    const endless = open(hostOf(agent), {}, stopping.port)
    endless.end()
    const [stream] = (await once(endless, 'response')) as [IncomingMessage]
    const cut = once(stream, 'error')
    const closed = stopping.close(300)
    await expect(ask(hostOf(agent), {}, stopping.port)).rejects.toThrow('ECONNREFUSED')
    finish()
    expect(await text(response)).toBe('begun ended')
    stream.resume()
    await Promise.all([cut, closed])
  })
})

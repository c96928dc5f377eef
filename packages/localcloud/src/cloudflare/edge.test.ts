import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { request } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { connect } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { startForTest } from './test-cloudflare.ts'

type Answerer = (incoming: IncomingMessage, response: ServerResponse) => void

async function start(answer: Answerer = (_, response) => void response.end('hello')) {
  const cloudflare = await startForTest()
  const { standIn } = cloudflare
  const origin = createServer(answer)
  origin.on('upgrade', (incoming, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    socket.write(`${incoming.headers.host} ${incoming.headers['cf-connecting-ip']} `)
    socket.pipe(socket)
  })
  origin.listen(0, '127.0.0.1')
  await once(origin, 'listening')
  onTestFinished(() => {
    origin.closeAllConnections()
    origin.close()
  })
  const originUrl = `http://127.0.0.1:${(origin.address() as AddressInfo).port}`
  standIn.setOrigin(originUrl)
  const { address: host, port, caFile } = standIn.edge
  const ca = readFileSync(caFile)
  const ask = (name: string, options: object = {}, body?: string) => {
    const headers = { host: name, ...('headers' in options ? (options.headers as object) : {}) }
    const asking = request({ host, port, ca, servername: name, agent: false, ...options, headers })
    asking.end(body)
    return once(asking, 'response') as Promise<[IncomingMessage]>
  }
  const read = async (name: string, options: object = {}, body?: string) => {
    const [response] = await ask(name, options, body)
    let text = ''
    for await (const chunk of response) text += chunk
    return { status: response.statusCode, headers: response.headers, text }
  }
  const attach = async (name: string) => {
    await cloudflare.pointHere(name)
    const { id } = await cloudflare.order(name)
    await cloudflare.control('POST', '/checks')
    await cloudflare.comesTo(id, 'active', 'active')
    return id
  }
  return { ...cloudflare, origin, ask, read, attach, ca, host, port }
}

test('a name is served over TLS with a certificate of its own, and the origin learns who asks', async () => {
  const seen: IncomingMessage[] = []
  const { makeReady, attach, read, standIn } = await start((incoming, response) => {
    seen.push(incoming)
    incoming.pipe(response)
  })
  await makeReady()
  await attach('bot.example.com')
  const options = { method: 'POST', headers: { 'cf-connecting-ip': '6.6.6.6', 'x-forwarded-for': '1.2.3.4' } }
  const answer = await read('bot.example.com', options, 'a body')
  expect(answer).toMatchObject({ status: 200, text: 'a body', headers: { server: 'cloudflare' } })
  expect(seen[0]?.headers).toMatchObject({
    host: 'bot.example.com',
    'cf-connecting-ip': '127.0.0.1',
    'x-forwarded-for': '1.2.3.4, 127.0.0.1',
    'x-forwarded-proto': 'https',
  })
  expect((await read(`demo.${standIn.zoneName}`)).status).toBe(200)
})

test('a name without a certificate is refused in the handshake, one that is not active by a page', async () => {
  const { makeReady, attach, read, control, order } = await start()
  await makeReady()
  await order('early.example.com')
  for (const name of ['early.example.com', 'unknown.example.com']) {
    await expect(read(name)).rejects.toThrow(/alert handshake failure/)
  }
  await attach('bot.example.com')
  await control('POST', '/hostnames/bot.example.com', { status: 'moved' })
  expect(await read('bot.example.com')).toMatchObject({
    status: 409,
    text: expect.stringContaining('Error 1001'),
  })
})

test('an origin that is not set, or not there, is told by the edge itself', async () => {
  const { makeReady, attach, read, client, zone_id, origin } = await start()
  await makeReady()
  await attach('bot.example.com')
  await client.customHostnames.fallbackOrigin.delete({ zone_id })
  expect((await read('bot.example.com')).status).toBe(530)
  await makeReady().catch(() => undefined)
  await client.customHostnames.fallbackOrigin.update({ zone_id, origin: 'origin.agents.localhost' })
  expect((await read('bot.example.com')).status).toBe(200)
  origin.closeAllConnections()
  origin.close()
  await once(origin, 'close')
  expect((await read('bot.example.com')).status).toBe(521)
})

test('events arrive one by one, and a WebSocket goes both ways', async () => {
  let send: (text: string) => void = () => undefined
  const { makeReady, attach, ask, ca, host, port } = await start((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    send = (text) => response.write(text)
    send('data: 1\n\n')
  })
  await makeReady()
  await attach('bot.example.com')
  const [events] = await ask('bot.example.com')
  expect(String((await once(events, 'data'))[0])).toBe('data: 1\n\n')
  send('data: 2\n\n')
  expect(String((await once(events, 'data'))[0])).toBe('data: 2\n\n')
  events.destroy()

  const socket: Socket = connect({ host, port, ca, servername: 'bot.example.com' })
  let received = ''
  socket.on('data', (chunk) => {
    received += chunk
  })
  socket.write(
    'GET /chat HTTP/1.1\r\nHost: bot.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nping',
  )
  while (!received.endsWith('ping')) await once(socket, 'data')
  expect(received).toMatch(/^HTTP\/1\.1 101 .*\r\n\r\nbot\.example\.com 127\.0\.0\.1 ping$/s)
  socket.destroy()
})

test("a certificate's dates are those of the system's time, however far the local cloud is ahead", async () => {
  const { makeReady, attach, read, laterDays, comesTo, ca, host, port, control, pointHere } = await start()
  await makeReady()
  const id = await attach('bot.example.com')
  laterDays(400)
  await control('POST', '/checks')
  await comesTo(id, 'active', 'expired').catch(() => undefined)
  await pointHere('late.example.com')
  const late = await attach('late.example.com')
  await comesTo(late, 'active', 'active')
  expect((await read('late.example.com')).status).toBe(200)
  const socket = connect({ host, port, ca, servername: 'late.example.com' })
  await once(socket, 'secureConnect')
  const days = (Date.parse(socket.getPeerCertificate().valid_to) - Date.now()) / 86_400_000
  expect(Math.round(days)).toBe(90)
  socket.destroy()
})

import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { expect, test } from 'vitest'
import { closeServer, listen } from './http-server.ts'

test('a stop waits for what is under way, and not for those who ask again and again', async () => {
  const stopping = new AbortController()
  let asked = 0
  const http = await listen(
    async () => {
      asked++
      if (!stopping.signal.aborted) await once(stopping.signal, 'abort')
      return new Response('nothing new')
    },
    '127.0.0.1',
    0,
  )
  const { port } = http.address() as AddressInfo
  const kept = new Agent({ keepAlive: true, maxSockets: 1 })
  const ask = (): Promise<string> =>
    new Promise((resolve, reject) => {
      request({ host: '127.0.0.1', port, agent: kept }, (answer) => {
        let text = ''
        answer.on('data', (part) => {
          text += part
        })
        answer.on('end', () => resolve(text))
      })
        .on('error', reject)
        .end()
    })
  const answers: string[] = []
  const polling = (async () => {
    for (;;) answers.push(await ask())
  })().catch((error: NodeJS.ErrnoException) => error.code)
  await expect.poll(() => asked).toBe(1)

  stopping.abort()
  // Longer than this test may take: the stop must not need to cut anything off.
  await closeServer(http, 600_000)
  expect(answers[0]).toBe('nothing new')
  expect(['ECONNREFUSED', 'ECONNRESET']).toContain(await polling)
  kept.destroy()
})

/** What comes back for bytes that no client of ours would send. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    socket.setEncoding('utf8').on('data', (part: string) => {
      answer += part
    })
    socket.on('end', () => resolve(answer)).on('error', reject)
  })
}

test.each<[string, string, number, string]>([
  ['no HTTP at all', 'hello\r\n\r\n', 400, 'invalid_request'],
  [
    'headers without end',
    `GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`,
    431,
    'headers_too_large',
  ],
  [
    'an address without end',
    `GET /${'y'.repeat(20_000)} HTTP/1.1\r\nhost: a\r\n\r\n`,
    431,
    'headers_too_large',
  ],
  [
    'two lengths',
    'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n',
    400,
    'invalid_request',
  ],
  ['no host', 'GET / HTTP/1.1\r\nconnection: close\r\n\r\n', 400, 'invalid_request'],
  ['a host that is none', 'GET / HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n', 400, 'invalid_request'],
  [
    'an expectation',
    'GET / HTTP/1.1\r\nhost: a\r\nexpect: the-best\r\nconnection: close\r\n\r\n',
    400,
    'invalid_request',
  ],
])('%s is refused in the same form as everything else', async (_, text, status, code) => {
  const http = await listen(() => new Response('answered'), '127.0.0.1', 0)
  const answer = await raw((http.address() as AddressInfo).port, text)
  await closeServer(http)
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  expect(head).toMatch(/content-type: application\/problem\+json/i)
  const problem = JSON.parse(body)
  expect(problem).toMatchObject({ status, code })
  expect(head.toLowerCase()).toContain(`x-request-id: ${problem.requestId}`)
  expect(answer).not.toMatch(/\.ts:|node:internal/)
})

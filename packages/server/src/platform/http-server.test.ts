import { once } from 'node:events'
import { Agent, request } from 'node:http'
import type { AddressInfo } from 'node:net'
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

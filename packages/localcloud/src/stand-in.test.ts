import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Hono } from 'hono'
import { expect, onTestFinished, test } from 'vitest'
import { startStandIn } from './stand-in.ts'
import { temporaryDataDir } from './temporary-data-dir.ts'
import { waitUntil } from './wait-until.ts'

/** A provider that counts how often something was done. */
async function start(dataDir = temporaryDataDir()) {
  let done = 0
  const standIn = await startStandIn(
    {
      name: 'counter',
      makeCredentials: () => ({ key: Math.random() }),
      build: ({ clock }) => {
        const api = new Hono()
        api.post('/v1/things/:id/do', (c) => c.json({ done: ++done, at: clock.now() }))
        return { api }
      },
    },
    { dataDir, log: () => undefined },
  )
  onTestFinished(() => standIn.stop())
  const act = (signal?: AbortSignal) =>
    fetch(`${standIn.url}/v1/things/7/do`, {
      method: 'POST',
      headers: { authorization: 'Bearer very-secret' },
      body: 'body',
      ...(signal ? { signal } : {}),
    })
  const fail = async (fault: object) => {
    const response = await fetch(`${standIn.url}/_local/faults`, {
      method: 'POST',
      body: JSON.stringify(fault),
    })
    return { status: response.status, body: await response.json() }
  }
  return { standIn, act, fail, done: () => done }
}

test('address and credentials are the same after a stop and a start', async () => {
  const dataDir = temporaryDataDir()
  const first = await start(dataDir)
  await first.standIn.stop()
  const second = await start(dataDir)
  expect(second.standIn.url).toBe(first.standIn.url)
  expect(second.standIn.credentials).toEqual(first.standIn.credentials)
})

test('what was sent is recorded, without the secret that came with it', async () => {
  const { standIn, act } = await start()
  await act()
  const text = await (await fetch(`${standIn.url}/_local/requests?method=post&path=/v1/things`)).text()
  expect(JSON.parse(text)).toMatchObject([
    { method: 'POST', path: '/v1/things/7/do', body: 'body', status: 200, fault: null },
  ])
  expect(JSON.parse(text)[0].headers.authorization).toBe('Bearer [not kept]')
  expect(text).not.toContain('very-secret')
  await fetch(`${standIn.url}/_local/requests`, { method: 'DELETE' })
  expect(await (await fetch(`${standIn.url}/_local/requests`)).json()).toEqual([])
})

test('a fault of kind status answers as told, as often as told, and has no effect', async () => {
  const { act, fail, done } = await start()
  const body = { error: 'slow down' }
  await fail({ kind: 'status', path: '/v1/', times: 2, status: 429, headers: { 'retry-after': '3' }, body })
  for (let i = 0; i < 2; i++) {
    const response = await act()
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '3'])
    expect(await response.json()).toEqual(body)
  }
  expect(done()).toBe(0)
  expect((await act()).status).toBe(200)
})

test('html-503 looks like a load balancer with nobody behind it', async () => {
  const { act, fail, done } = await start()
  await fail({ kind: 'html-503', path: '/v1/things/*/do' })
  const response = await act()
  expect([response.status, response.headers.get('content-type')]).toEqual([503, 'text/html'])
  expect(done()).toBe(0)
})

test('a dropped connection comes before the effect or after it', async () => {
  const { act, fail, done } = await start()
  await fail({ kind: 'drop-before', path: '/v1/' })
  await expect(act()).rejects.toThrow('fetch failed')
  expect(done()).toBe(0)
  await fail({ kind: 'drop-after-effect', path: '/v1/' })
  await expect(act()).rejects.toThrow('fetch failed')
  expect(done()).toBe(1)
})

test('error-after-effect has its effect and reports failure', async () => {
  const { act, fail, done } = await start()
  await fail({ kind: 'error-after-effect', path: '/v1/', status: 502, body: 'bad gateway' })
  expect((await act()).status).toBe(502)
  expect(done()).toBe(1)
})

test('a hanging request is never answered', async () => {
  const { act, fail, done } = await start()
  await fail({ kind: 'hang', path: '/v1/' })
  await expect(act(AbortSignal.timeout(300))).rejects.toThrow('timeout')
  expect(done()).toBe(0)
  await fail({ kind: 'hang-after-effect', path: '/v1/' })
  await expect(act(AbortSignal.timeout(300))).rejects.toThrow('timeout')
  expect(done()).toBe(1)
})

test('a hanging request does not keep the stand-in from stopping', async () => {
  const { standIn, act, fail } = await start()
  await fail({ kind: 'hang', path: '/v1/' })
  const hanging = expect(act()).rejects.toThrow('fetch failed')
  const isHanging = async () => (await (await fetch(`${standIn.url}/_local/requests`)).text()) !== '[]'
  expect(await waitUntil(isHanging, { withinMs: 5_000 })).toBe(true)
  await standIn.stop()
  await hanging
})

test('a fault can wait for a later request, and be taken back', async () => {
  const { standIn, act, fail } = await start()
  await fail({ kind: 'status', method: 'post', path: '/v1/', status: 500, skip: 1, times: null })
  expect([(await act()).status, (await act()).status, (await act()).status]).toEqual([200, 500, 500])
  await fetch(`${standIn.url}/_local/faults`, { method: 'DELETE' })
  expect((await act()).status).toBe(200)
})

test('a fault that makes no sense is refused with a sentence', async () => {
  const { fail } = await start()
  expect(await fail({ kind: 'explode', path: '/' })).toMatchObject({ status: 400 })
  expect(await fail({ kind: 'status', path: '/' })).toMatchObject({
    body: { error: 'kind "status" needs a status.' },
  })
  expect(await fail({ kind: 'hang', path: '/', tmies: 2 })).toMatchObject({
    body: { error: 'A fault has no tmies.' },
  })
})

test('whoever moves the clock can rely on the very next answer', async () => {
  const dataDir = temporaryDataDir()
  const { act } = await start(dataDir)
  writeFileSync(join(dataDir, 'clock'), '3600000')
  const { at } = (await (await act()).json()) as { at: number }
  expect(Math.abs(at - Date.now() - 3_600_000)).toBeLessThan(10_000)
})

test('a web page cannot use the controls', async () => {
  const { standIn } = await start()
  const response = await fetch(`${standIn.url}/_local/requests`, {
    headers: { origin: 'https://evil.example' },
  })
  expect(response.status).toBe(403)
})

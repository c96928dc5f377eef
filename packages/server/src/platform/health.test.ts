import { expect, test } from 'vitest'
import { tellHealth } from './health.ts'
import { openMetrics } from './metrics.ts'

test('alive and ready are two things: a database that is away makes nobody start anew', async () => {
  let database: () => Promise<void> = async () => {}
  let alive = true
  const health = await tellHealth(
    { db: { ping: () => database() }, host: '127.0.0.1', port: 0, metrics: openMetrics() },
    () => alive,
  )
  const ask = async (path: string) => (await fetch(`http://127.0.0.1:${health.port}${path}`)).status
  expect([await ask('/live'), await ask('/ready'), await ask('/')]).toEqual([200, 200, 404])

  database = () => Promise.reject(new Error('away'))
  expect([await ask('/live'), await ask('/ready')]).toEqual([200, 503])
  database = () => new Promise(() => {})
  expect([await ask('/live'), await ask('/ready')]).toEqual([200, 503])
  database = async () => {}

  alive = false
  expect([await ask('/live'), await ask('/ready')]).toEqual([503, 503])
  alive = true
  expect([await ask('/live'), await ask('/ready')]).toEqual([200, 200])

  health.retire()
  expect([await ask('/live'), await ask('/ready')]).toEqual([200, 503])
  await health.close()
})

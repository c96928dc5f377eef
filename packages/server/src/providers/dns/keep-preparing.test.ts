import { expect, test } from 'vitest'
import { silentLog } from '../../platform/log.ts'
import type { Preparation } from './cloudflare.ts'
import { keepPreparing } from './keep-preparing.ts'

const SHORT = { startMs: 0, firstMs: 1, mostMs: 2 }

function logged(): { said: string[]; log: typeof silentLog } {
  const said: string[] = []
  const say = (message: string): void => void said.push(message)
  return { said, log: { info: say, warn: say, error: say } }
}

test('what is in the way of the zone is told until it is ready, and then nothing more is done', async () => {
  const answers: Preparation[] = [
    { isReady: false, troubles: ['The zone is pending.'] },
    { isReady: false, troubles: ['The zone is pending.'] },
    { isReady: true, troubles: [] },
  ]
  let asked = 0
  const { said, log } = logged()
  const prepare = async (): Promise<Preparation> => answers[asked++] ?? expect.unreachable()
  const stop = keepPreparing({ prepare }, log, SHORT)
  const deadline = performance.now() + 5_000
  while (said.length < 3 && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 5))
  await stop()
  expect(said).toEqual([
    'The zone is pending.',
    'The zone is pending.',
    "The zone is ready for customers' domains",
  ])
  expect(asked).toBe(3)
})

test('a stop waits for no answer', async () => {
  const { said, log } = logged()
  let answer: (preparation: Preparation) => void = () => undefined
  const answered = new Promise<Preparation>((resolve) => {
    answer = resolve
  })
  let asked = false
  const prepare = (): Promise<Preparation> => {
    asked = true
    return answered
  }
  const stop = keepPreparing({ prepare }, log, SHORT)
  while (!asked) await new Promise((resolve) => setTimeout(resolve, 1))
  await stop()
  answer({ isReady: false, troubles: ['The zone is pending.'] })
  await new Promise((resolve) => setImmediate(resolve))
  expect(said).toEqual([])
})

test('it stops when the server does, and a fault of its own is told without its text', async () => {
  const never = keepPreparing({ prepare: async () => expect.unreachable() }, silentLog, {
    ...SHORT,
    startMs: 60_000,
  })
  await never()
  const { said, log } = logged()
  const broken = keepPreparing({ prepare: () => Promise.reject(new Error('a secret')) }, log, SHORT)
  while (said.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  await broken()
  expect(said).toEqual(["The zone could not be prepared for customers' domains"])
})

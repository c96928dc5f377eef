import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { newPace } from './pace.ts'

test('a refusal without a call takes as long as the calls took, also when those failed', async () => {
  const pace = newPace()
  const took = async (run: () => Promise<unknown>) => {
    const startedAt = performance.now()
    await run()
    return performance.now() - startedAt
  }
  const call = await took(() =>
    pace
      .keep(async () => {
        await wait(80)
        throw new Error('refused')
      })
      .catch(() => {}),
  )
  expect(await took(() => pace.imitate())).toBeGreaterThan(call * 0.8)
})

test('one call that hung does not make every refusal after it hang', async () => {
  const pace = newPace()
  let now = 0
  const clock = performance.now
  performance.now = () => now
  await pace.keep(async () => {
    now = 60_000
  })
  performance.now = clock
  const startedAt = performance.now()
  await pace.imitate()
  expect(performance.now() - startedAt).toBeLessThan(30_000)
})

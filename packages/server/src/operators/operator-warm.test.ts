import { expect, test } from 'vitest'
import { due, eventually, testCloud } from '../agents/test-cloud.ts'
import { actsOf, testOperators } from './test-operators.ts'

test('operators see what is kept ready, what it costs, and why none is made', async () => {
  const cloud = await testCloud()
  const { alice } = testOperators({
    ...cloud.deps,
    transfers: [],
    cards: undefined,
    pepper: { version: 1, versions: [1], hmac: () => Buffer.alloc(32) },
  })
  const shown = async () => (await alice('GET', '/v1/operator/warm-machines')).body
  const none = { wanted: 0, warm: 0, making: 0, leaving: 0, monthlyMicros: '0', held: null }
  expect(await shown()).toEqual({
    sizes: ['nano', 'small', 'medium', 'large'].map((size) => ({ size, ...none })),
    spentMicros: '0',
    budgetMicros: null,
  })
  await cloud.workForEver()
  await cloud.keepWarm({ nano: 1, small: 2 }, 50_000_000n)
  const first = await cloud.blankMachine()
  await eventually(async () => {
    await due(cloud, 'keep-warm:machines')
    const [nano, small] = (await shown()).sizes
    return nano.warm + nano.making === 1 && small.warm + small.making === 2 ? true : undefined
  })
  const body = await shown()
  expect(body.sizes[0]).toMatchObject({ size: 'nano', wanted: 1, monthlyMicros: '5000000', held: null })
  expect(body.sizes[1]).toMatchObject({ size: 'small', wanted: 2, monthlyMicros: '20000000', held: null })
  expect(body.sizes[0].warm + body.sizes[1].warm).toBe(1)
  // Begun hours: one of the 672 that a month's price buys, for each.
  expect(body.spentMicros).toBe(String(7441 + 2 * 14_881))
  expect(body.budgetMicros).toBe('50000000')

  await cloud.sql`
    update warm_machines set state = 'deleted', ending = 'sold_out', deleted_at = ${cloud.deps.clock.now()}
    where id = ${first.id}`
  const held = (await shown()).sizes.find(({ held }: { held: unknown }) => held !== null)
  expect(held.held).toEqual({ reason: 'sold_out', until: expect.any(String) })
  expect(await actsOf(cloud.deps)).toContain('alice showWarmMachines  done')
})

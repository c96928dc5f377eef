import { expect, test } from 'vitest'
import { eventually } from './test-cloud.ts'
import { isRunnerBuilt, live, realMachines } from './test-real-machines.ts'

const BOOT_SECONDS = 60
/** Far from a boot, also where many tests share the processors. */
const SOON_SECONDS = 20

const source = `
  const http = require('node:http')
  http.createServer((request, response) => response.end('here')).listen(process.env.PORT)
`

test.skipIf(!isRunnerBuilt)(
  'a machine takes a minute to boot: with one that is ready a first deploy takes seconds, without it the minute',
  { timeout: 120_000 },
  async () => {
    const cloud = await realMachines()
    await cloud.bootSeconds(BOOT_SECONDS)
    await cloud.keepWarm({ small: 1 })
    const state = async () => (await cloud.sql`select state from warm_machines order by created_at`)[0]?.state
    await eventually(async () => ((await state()) === 'created' ? true : undefined))
    cloud.advanceProvider(BOOT_SECONDS)
    await eventually(async () => ((await state()) === 'warm' ? true : undefined), 60_000)
    const [alice, bob] = [await cloud.person('alice'), await cloud.person('bob')]

    const begun = performance.now()
    const first = await live(alice, await alice.deploy('hello', source))
    const seconds = (performance.now() - begun) / 1000
    process.stderr.write(
      `first deploy with a warm machine: ${seconds.toFixed(1)} s, ${JSON.stringify(first.timings)}\n`,
    )
    expect(seconds).toBeLessThan(SOON_SECONDS)

    const { body } = await bob.deploy('hello', source)
    await eventually(async () => {
      const [machine] = await cloud.sql`select state from machines where agent_id = ${body.agent.id}`
      return machine?.state === 'created' ? true : undefined
    })
    cloud.advanceProvider(BOOT_SECONDS - 1)
    const [own] =
      await cloud.sql`select provider_id as id, seen_at from machines where agent_id = ${body.agent.id}`
    expect(await cloud.deps.machines.find(own?.id)).toMatchObject({ status: 'pending' })
    expect(own?.seen_at).toBeNull()
    expect((await bob.call('GET', `/v1/releases/${body.release.id}`)).body.status).toBe('pending')
    cloud.advanceProvider(1)
    await live(bob, { status: 202, body })
  },
)

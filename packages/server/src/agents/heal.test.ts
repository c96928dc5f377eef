import { expect, test } from 'vitest'
import { deployLive, eventually, type Person, type TestCloud, TestMachine, testCloud } from './test-cloud.ts'

const status = async (person: Person) => (await person.call('GET', '/v1/agents/hello')).body.status
const wake = (cloud: TestCloud, kind: string) =>
  cloud.sql`update operations set run_at = clock_timestamp() where kind = ${kind} and state = 'pending'`

/** Lets the watch look at once, and waits until it has. */
async function look(cloud: TestCloud): Promise<void> {
  const looked = async () => {
    const [row] = await cloud.sql<{ fencing: bigint; idle: boolean }[]>`
      select fencing, lease_until is null as idle from operations where kind = 'watch-silence'`
    return row
  }
  const before = await looked()
  await wake(cloud, 'watch-silence')
  await eventually(async () => {
    const row = await looked()
    return row?.idle && row.fencing > (before?.fencing ?? 0n) ? true : undefined
  })
}

test('a machine that lost its credential gets another one by a reboot, and goes on with its release', async () => {
  const cloud = await testCloud()
  await cloud.workForEver()
  const alice = await cloud.person('rebooted')
  const { agent, machine, release } = await deployLive(cloud, alice, 'hello', 'x')
  cloud.advance(300)
  for (let times = 0; times < 3; times++) await look(cloud)
  await eventually(async () => ((await status(alice)) === 'failing' ? true : undefined))
  const healed = await eventually(async () => {
    const again = await cloud.machineOf(agent.id)
    return again.bootstrapToken === machine.bootstrapToken ? undefined : again
  })
  expect(healed.id).toBe(machine.id)
  expect((await machine.post('/v1/runner/logs', { lines: [] })).status).toBe(401)
  expect((await machine.hello()).status).toBe(401)
  expect((await healed.hello()).status).toBe(200)
  await healed.learns(release.id)
  await healed.report(release.id, 'healthy')
  expect(await status(alice)).toBe('running')
  expect(await cloud.rate(agent.id)).toBe(20_000)
  await eventually(async () => {
    const [row] = await cloud.sql`select 1 from operations where kind = 'heal-agent' and state = 'done'`
    return row ? true : undefined
  })
})

test('a machine that only seemed silent, because the clock was moved, is left alone', async () => {
  const cloud = await testCloud()
  await cloud.workForEver()
  const alice = await cloud.person('jumped')
  const { machine } = await deployLive(cloud, alice, 'hello', 'x')
  cloud.advance(300)
  await look(cloud)
  await look(cloud)
  machine.revision = -1
  await machine.poll()
  await look(cloud)
  await look(cloud)
  expect(await cloud.sql`select 1 from operations where kind = 'heal-agent'`).toHaveLength(0)
  expect(await status(alice)).toBe('running')
  expect((await machine.post('/v1/runner/logs', { lines: [] })).status).toBe(204)
})

test('a machine that is gone at the provider is replaced, and its release runs on another one', async () => {
  const cloud = await testCloud()
  await cloud.workForEver()
  const alice = await cloud.person('gone')
  const { agent, machine, release } = await deployLive(cloud, alice, 'hello', 'x')
  const [instance] = await cloud.instances()
  await cloud.deps.machines.delete(instance?.id ?? '')
  cloud.advance(300)
  for (let times = 0; times < 3; times++) await look(cloud)
  const next = await cloud.machineOf(agent.id, machine)
  expect(next).toBeInstanceOf(TestMachine)
  expect(await status(alice)).toBe('failing')
  expect(await cloud.sql`select message, next from notices where account_id = ${alice.account}`).toEqual([
    {
      message:
        'The machine of hello was lost at our provider, and its files with it. Its configuration, secrets and last release are kept: it comes back on another machine, with an empty disk.',
      next: 'agentctl agents show hello',
    },
  ])
  const [row] = await cloud.sql<{ id: string; repeats: string }[]>`
    select id, repeats from releases where agent_id = ${agent.id} and status in ('pending', 'starting')`
  expect(row?.repeats).toBe(release.id)
  await next.hello()
  await next.learns(row?.id ?? '')
  await next.report(row?.id ?? '', 'healthy')
  expect(await status(alice)).toBe('running')
})

test('a snapshot that nobody owns is deleted at its second sighting, and those of others are left alone', async () => {
  const cloud = await testCloud()
  await cloud.workForEver()
  const alice = await cloud.person('orphans')
  await deployLive(cloud, alice, 'hello', 'x')
  const [instance] = await cloud.instances()
  const machineId = instance?.id ?? ''
  await cloud.deps.machines.createSnapshot({ machineId, label: 'op_lost-snp_lost' })
  await fetch(`${cloud.vultr.url}/v2/snapshots`, {
    method: 'POST',
    headers: { authorization: `Bearer ${cloud.vultr.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ instance_id: machineId, description: 'agentctl:elsewhere:op_theirs' }),
  })
  await wake(cloud, 'sweep')
  await eventually(async () => {
    const [row] = await cloud.sql`select 1 from orphan_sightings where kind = 'snapshot'`
    return row ? true : undefined
  })
  expect(await cloud.snapshots()).toHaveLength(1)
  cloud.advance(1801)
  await eventually(async () => {
    await wake(cloud, 'sweep')
    return (await cloud.snapshots()).length === 0 ? true : undefined
  })
  const all = await fetch(`${cloud.vultr.url}/v2/snapshots`, {
    headers: { authorization: `Bearer ${cloud.vultr.apiKey}` },
  })
  expect(((await all.json()) as { snapshots: unknown[] }).snapshots).toHaveLength(1)
  expect(await cloud.instances()).toHaveLength(1)
})

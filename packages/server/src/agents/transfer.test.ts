import { expect, test } from 'vitest'
import { deployLive, due, eventually, type TestCloud, testCloud } from './test-cloud.ts'
import { overageMicros } from './transfer.ts'

const GB = 1_000_000_000

test('what an agent sends is shown; at 80 and 100 % of what its size includes its people are told, once a month', async () => {
  const cloud = await testCloud()
  await cloud.workForEver()
  const alice = await cloud.person('alice')
  const { agent } = await deployLive(cloud, alice, 'hello', 'x')
  const [instance] = await cloud.instances()
  const shown = async () => (await alice.call('GET', '/v1/agents/hello')).body.transfer
  const month = () => cloud.deps.clock.now().toISOString().slice(0, 7)
  // The stand-in's days are ours to choose; the first two are in every month.
  const sends = (day: string, gigabytes: number) =>
    traffic(cloud, instance?.id ?? '', `${month()}-${day}`, gigabytes)
  const polled = async (gigabytes: number) => {
    await eventually(async () => {
      await due(cloud, 'transfer:machines')
      return (await shown())?.sentBytes === gigabytes * GB || undefined
    })
  }
  await polled(0)
  expect(await shown()).toEqual({
    month: month(),
    sentBytes: 0,
    includedBytes: 2048 * GB,
    overageMicros: '0',
  })
  await sends('01', 1638)
  await polled(1638)
  expect(await notices(cloud)).toEqual([])
  await sends('01', 1639)
  await polled(1639)
  await due(cloud, 'transfer:machines')
  await sends('02', 410)
  await polled(2049)
  expect(await shown()).toMatchObject({ overageMicros: '10000' })
  await sends('02', 900)
  await polled(2539)
  expect(await notices(cloud)).toMatchInlineSnapshot(`
    [
      "hello has sent 1639 GB this month, 80 % of the 2048 GB that its size includes.",
      "hello has sent 2049 GB this month, all of the 2048 GB that its size includes. Each further GB costs $0.01 at the provider; that is not charged to you, and the agent goes on.",
    ]
  `)
  // It serves on, and nobody pays for it.
  expect((await alice.call('GET', '/v1/agents/hello')).body.status).toBe('running')
  expect(await cloud.rate(agent.id)).toBe(20_000)

  // A new month begins at nothing, and may be warned about again; of two warnings at once the higher one is said.
  cloud.advance(31 * 86_400)
  await cloud.deposit(alice, 100_000_000n)
  expect(await shown()).toBeNull()
  await sends('01', 3000)
  await polled(3000)
  expect((await notices(cloud)).slice(2)).toEqual([expect.stringContaining('has sent 3000 GB this month')])
})

test('a machine that is gone at the provider, and trouble of the provider, hold up no other', async () => {
  const cloud = await testCloud()
  await cloud.workForEver()
  const alice = await cloud.person('alice')
  await deployLive(cloud, alice, 'one', 'x')
  await deployLive(cloud, alice, 'two', 'x')
  const [first, second] = await cloud.instances()
  await cloud.deps.machines.delete(first?.id ?? '')
  await cloud.fault({
    kind: 'html-503',
    method: 'GET',
    path: `/v2/instances/${second?.id}/bandwidth`,
    times: 1,
  })
  await traffic(cloud, second?.id ?? '', `${cloud.deps.clock.now().toISOString().slice(0, 7)}-01`, 7)
  await eventually(async () => {
    await due(cloud, 'transfer:machines')
    const rows = await cloud.sql`select 1 from machine_transfers where sent_bytes = ${7 * GB}`
    return rows.length === 1 || undefined
  })
})

test('what is beyond is priced by begun GB', () => {
  const of = (sent: bigint) => overageMicros({ sentBytes: sent, includedBytes: 1_000_000_000_000n })
  expect([of(0n), of(1_000_000_000_000n), of(1_000_000_000_001n), of(1_002_000_000_001n)]).toEqual([
    0n,
    0n,
    10_000n,
    30_000n,
  ])
})

async function traffic({ vultr }: TestCloud, id: string, day: string, gigabytes: number): Promise<void> {
  const answer = await fetch(`${vultr.url}/_local/machines/${id}/traffic`, {
    method: 'POST',
    body: JSON.stringify({ day, outgoingBytes: gigabytes * GB, incomingBytes: 5 * GB }),
  })
  if (!answer.ok) throw new Error(await answer.text())
}

async function notices({ sql }: TestCloud): Promise<string[]> {
  const rows = await sql<{ message: string }[]>`
    select message from notices where kind like 'transfer%' order by created_at, id`
  return rows.map(({ message }) => message)
}

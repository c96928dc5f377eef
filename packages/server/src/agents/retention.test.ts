import { expect, test } from 'vitest'
import type { Work } from '../platform/operations.ts'
import { LOG_DAYS, RELEASES_WITH_FILES, UNUSED_BLOB_DAYS } from './limits.ts'
import { agentWork, scheduleAgentWork } from './operations.ts'
import { deployLive, eventually, sha256, testCloud } from './test-cloud.ts'

const DAY = 86_400
const cloud = await testCloud()
const { retention, ...kinds } = agentWork(cloud.deps)
await cloud.work(kinds)

async function retain(): Promise<void> {
  await cloud.sql`delete from operations where kind in ('retention', 'sweep')`
  await scheduleAgentWork(cloud.deps)
  const worker = await cloud.work({ retention: retention as Work })
  await eventually(async () => {
    const [row] = await cloud.sql<{ due: boolean }[]>`
      select fencing > 0 and lease_until is null as due from operations where kind = 'retention'`
    return row?.due ? true : undefined
  })
  await worker.stop()
}

const kept = async (account: string): Promise<string[]> =>
  (
    await cloud.sql<{ sha256: string }[]>`
      select encode(sha256, 'hex') as sha256 from blobs where account_id = ${account}`
  ).map((row) => row.sha256)

const isOnDisk = async (account: string, content: string): Promise<boolean> => {
  try {
    for await (const _ of cloud.deps.blobs.read(account, sha256(content))) return true
    return true
  } catch {
    return false
  }
}

test('scheduled work has one row, however many servers start', async () => {
  await Promise.all([1, 2, 3].map(() => scheduleAgentWork(cloud.deps)))
  const rows = await cloud.sql`select kind from operations where kind in ('retention', 'sweep')`
  expect(rows).toHaveLength(2)
})

test(`log lines go after ${LOG_DAYS} days`, async () => {
  const alice = await cloud.person('logs')
  const { machine } = await deployLive(cloud, alice, 'hello', 'x')
  await machine.log(cloud.deps.clock.now(), 'old')
  const lines = async () => (await cloud.sql`select 1 from agent_logs`).length
  cloud.advance((LOG_DAYS - 1) * DAY)
  await retain()
  expect(await lines()).toBe(1)
  cloud.advance(2 * DAY)
  await retain()
  expect(await lines()).toBe(0)
})

test(`blobs that no release needs go after ${UNUSED_BLOB_DAYS} days, with their files`, async () => {
  const alice = await cloud.person('blobs')
  await deployLive(cloud, alice, 'hello', 'needed')
  await alice.upload('unneeded')
  cloud.advance((UNUSED_BLOB_DAYS - 1) * DAY)
  await retain()
  expect(await kept(alice.account)).toHaveLength(2)
  cloud.advance(2 * DAY)
  await retain()
  expect(await kept(alice.account)).toEqual([sha256('needed')])
  expect(await isOnDisk(alice.account, 'needed')).toBe(true)
  expect(await isOnDisk(alice.account, 'unneeded')).toBe(false)
})

test('what another agent of the account needs survives the deletion of one', async () => {
  const alice = await cloud.person('shares')
  await deployLive(cloud, alice, 'one', 'common')
  await deployLive(cloud, alice, 'two', 'common')
  await alice.upload('common', 'only one has it')
  const deleted = await alice.call('DELETE', '/v1/agents/one')
  await eventually(async () => {
    const rows = await cloud.sql`select 1 from releases where agent_id = ${deleted.body.id}`
    return rows.length === 0 ? true : undefined
  })
  expect(await kept(alice.account)).toContain(sha256('common'))
  expect(await isOnDisk(alice.account, 'common')).toBe(true)
})

test('the files of the latest releases are kept for a rollback, those of older ones are not', async () => {
  const alice = await cloud.person('many')
  const { machine } = await deployLive(cloud, alice, 'hello', 'release 1')
  for (let number = 2; number <= RELEASES_WITH_FILES + 1; number++) {
    const { body } = await alice.deploy('hello', `release ${number}`)
    await machine.learns(body.release.id)
    await machine.report(body.release.id, 'healthy')
  }
  cloud.advance((UNUSED_BLOB_DAYS + 1) * DAY)
  await retain()
  const left = await kept(alice.account)
  expect(left).toHaveLength(RELEASES_WITH_FILES)
  expect(left).not.toContain(sha256('release 1'))
  expect((await alice.call('POST', '/v1/agents/hello/rollback', { number: 1 })).body).toMatchObject({
    code: 'nothing_to_roll_back',
    detail: 'The files of release 1 are not kept any more.',
  })
  expect((await alice.call('POST', '/v1/agents/hello/rollback', { number: 2 })).status).toBe(202)
})

import { mkdir, readdir, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Work } from '../platform/operations.ts'
import { retention } from '../platform/retention.ts'
import { lockRegistration } from './blob-store.ts'
import { RELEASES_WITH_FILES } from './limits.ts'
import { agentWork, scheduleAgentWork } from './operations.ts'
import { deleteStrayFiles } from './stray-files.ts'
import { type Answer, deployLive, eventually, sha256, testCloud } from './test-cloud.ts'

const DAY = 86_400
const UNUSED_BLOB_DAYS = retention.unusedBlobs.days
const cloud = await testCloud()
const { retention: visit, ...kinds } = agentWork(cloud.deps)
await cloud.work(kinds)

async function retain(): Promise<void> {
  await cloud.sql`delete from operations where kind in ('retention', 'sweep')`
  await scheduleAgentWork(cloud.deps)
  const worker = await cloud.work({ retention: visit as Work })
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

describe('what a kill in the middle of an upload leaves on the disk:', () => {
  const HOUR = 3600
  const shelfOf = (account: string, content: string): string =>
    join(cloud.deps.config.dataDir, 'blobs', account, sha256(content).slice(0, 2))

  /** As if it had been written that long ago; file times follow the system's clock. */
  async function age(account: string, content: string, seconds: number, draft = ''): Promise<void> {
    const at = new Date(Date.now() - seconds * 1000)
    await utimes(join(shelfOf(account, content), sha256(content) + draft), at, at)
  }

  async function leave(account: string, content: string, seconds: number, draft = ''): Promise<void> {
    await mkdir(shelfOf(account, content), { recursive: true })
    await writeFile(join(shelfOf(account, content), sha256(content) + draft), content)
    await age(account, content, seconds, draft)
  }

  const there = async (account: string, content: string): Promise<string[]> =>
    (await readdir(shelfOf(account, content)))
      .filter((name) => name.startsWith(sha256(content)))
      .map((name) => name.slice(64))

  test('drafts go after an hour, and one that is being written stays', async () => {
    const alice = await cloud.person('drafts')
    await leave(alice.account, 'half', 2 * HOUR, '.0123456789ab')
    await leave(alice.account, 'half', 0.9 * HOUR, '.ba9876543210')
    await leave(alice.account, 'half', 2 * HOUR, '.something-else')
    await retain()
    expect((await there(alice.account, 'half')).sort()).toEqual(['.ba9876543210', '.something-else'])
  })

  test('contents that no row of their account owns go after a day, also those of accounts that are gone', async () => {
    const alice = await cloud.person('unowned')
    const bob = await cloud.person('owns-the-same')
    await leave(alice.account, 'never registered', 25 * HOUR)
    await bob.upload('never registered')
    await age(bob.account, 'never registered', 25 * HOUR)
    await leave(alice.account, 'about to be registered', 23 * HOUR)
    await leave('acc_gone', 'of nobody', 25 * HOUR)
    await retain()
    expect(await there(alice.account, 'never registered')).toEqual([])
    expect(await there(bob.account, 'never registered')).toEqual([''])
    expect(await there(alice.account, 'about to be registered')).toEqual([''])
    expect(await there('acc_gone', 'of nobody')).toEqual([])
  })

  test('a content that is registered between the two looks for its row stays', async () => {
    const alice = await cloud.person('late')
    await leave(alice.account, 'late', 25 * HOUR)
    await deleteStrayFiles(
      cloud.deps,
      {
        async write(run) {
          await cloud.sql`
            insert into blobs (account_id, sha256, size, created_at, used_at)
            values (${alice.account}, decode(${sha256('late')}, 'hex'), 4, ${cloud.deps.clock.now()}, ${cloud.deps.clock.now()})
            on conflict do nothing`
          return cloud.deps.db.work(run)
        },
      },
      undefined,
    )
    expect(await there(alice.account, 'late')).toEqual([''])
  })

  test('a content that is written between the look and the deletion stays, or its upload is told to try again', async () => {
    const alice = await cloud.person('race')
    const { blobs } = cloud.deps
    const seen: number[] = []
    for (let round = 0; round < 30; round++) {
      const content = `race ${round}`
      await leave(alice.account, content, 25 * HOUR)
      const [answer] = await Promise.all([
        alice.upload(content),
        deleteStrayFiles(cloud.deps, { write: (run) => cloud.deps.db.work(run) }, undefined),
      ])
      seen.push(answer.status)
      const registered = (await kept(alice.account)).includes(sha256(content))
      expect(registered).toBe(answer.status === 200)
      if (registered) expect(await blobs.has(alice.account, sha256(content))).toBe(true)
    }
    expect(seen).toContain(200)
  })

  test('an upload whose file is deleted before its row is there registers nothing', async () => {
    const alice = await cloud.person('hit')
    await leave(alice.account, 'hit', 25 * HOUR)
    // Retention has looked, found no row and an old file, and is held just before it deletes.
    const path = join(shelfOf(alice.account, 'hit'), sha256('hit'))
    const old = (await stat(path)).ino
    let uploaded: Promise<Answer> | undefined
    await cloud.deps.db.work(async (tx) => {
      await lockRegistration(tx, alice.account, 'alone')
      uploaded = alice.upload('hit')
      await eventually(async () => ((await stat(path)).ino === old ? undefined : true))
      await cloud.deps.blobs.delete(alice.account, sha256('hit'))
    })
    expect((await uploaded)?.body.code).toBe('unavailable')
    expect(await kept(alice.account)).toEqual([])
    expect((await alice.upload('hit')).status).toBe(200)
    expect(await isOnDisk(alice.account, 'hit')).toBe(true)
  })
})

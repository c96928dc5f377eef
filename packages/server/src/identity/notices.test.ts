import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { newId } from '../platform/ids.ts'
import { listNotices, notify, readNotices } from './notices.ts'

const { db } = await testDatabase()
afterAll(() => db.close())
const now = new Date('2026-03-01T09:00:00Z')
const deps = { db, clock: { now: () => now } }

async function account(): Promise<string> {
  const id = newId('acc')
  await db.as({ account: id }, (tx) => tx`insert into accounts values (${id}, ${now}, ${now})`)
  return id
}

const leave = (accountId: string, message: string) =>
  db.work((tx) => notify(tx, { accountId, kind: 'suspended', message, next: 'agentctl notices', now }))

test('a message waits for its account until it was read, and nobody else sees or reads it', async () => {
  const [alice, mallory] = [await account(), await account()]
  await leave(alice, 'hello is suspended.')
  const [notice] = await listNotices(deps, alice, true)
  expect(notice).toMatchObject({ message: 'hello is suspended.', next: 'agentctl notices', readAt: null })
  expect(await listNotices(deps, mallory, false)).toEqual([])
  expect(await readNotices(deps, mallory, [notice?.id ?? ''])).toBe(0)
  expect(await readNotices(deps, alice, [notice?.id ?? ''])).toBe(1)
  expect(await readNotices(deps, alice, [notice?.id ?? ''])).toBe(0)
  expect(await listNotices(deps, alice, true)).toEqual([])
  expect(await listNotices(deps, alice, false)).toMatchObject([{ readAt: now.toISOString() }])
})

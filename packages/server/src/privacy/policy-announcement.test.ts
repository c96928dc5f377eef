import { PolicyReport } from '@agentctl/contract/policy.ts'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { insertAccount } from '../identity/account-store.ts'
import { listNotices, readNotices } from '../identity/notices.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Config } from '../platform/config.ts'
import { createApi } from '../platform/http.ts'
import { newId } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import { openTransport } from '../providers/transport.ts'
import type { Section } from './policy.ts'
import { announcePolicy } from './policy-announcement.ts'
import {
  hashOfText,
  newestText,
  type Publication,
  policiesAt,
  policyDayAt,
  policyVersions,
  publication,
  startOf,
  versionFault,
} from './policy-versions.ts'
import { purgeAll } from './retention.ts'
import { privacyRoutes } from './routes.ts'

const { db } = await testDatabase()
const transport = openTransport({ processors: [], infrastructure: [] })
afterAll(() => Promise.all([db.close(), transport.close()]))

const [first, ...rest] = newestText as [Section, ...Section[]]
const nextText: Section[] = [
  { ...first, sentences: [...first.sentences, { id: '1z', text: 'One thing more.', notice: true }] },
  ...rest,
]
const published: Publication = {
  text: newestText,
  versions: [...policyVersions, { lastUpdated: '2027-03-15', hash: hashOfText(nextText) }] as never,
  announced: { announcedOn: '2027-03-01', text: nextText },
}
let now = new Date('2027-03-01T09:00:00Z')
const deps = { db, clock: { now: () => now } }
const api = createApi({
  gates: { caller: async () => undefined, machine: async () => undefined, operator: () => undefined },
  log: silentLog,
  clientAddressHeader: undefined,
})
privacyRoutes(
  api,
  {
    ...deps,
    config: {
      routerAddresses: [],
      apiUrl: 'https://a',
      privacyContact: 'dpo@example.com',
    } as unknown as Config,
    egress: transport.egress,
  },
  published,
)

/** Somebody who signed up then; before the day of the announcement nobody had seen the text that comes. */
async function account(createdAt: Date): Promise<string> {
  const id = newId('acc')
  const policyDay =
    createdAt < new Date('2027-03-01T00:00:00Z')
      ? (policyVersions.at(-1)?.lastUpdated ?? '')
      : policyDayAt(createdAt, published)
  await db.as({ account: id }, (tx) => insertAccount(tx, id, { now: createdAt, policyDay }))
  return id
}
const told = async (id: string, onlyUnread = true) =>
  (await listNotices(deps, id, onlyUnread)).map(({ kind, message }) => ({ kind, message }))

const message =
  'The privacy policy changes on 2027-03-15. Going on using the service from then on accepts it; what changes can be read now.'

const messageThen = 'The privacy policy has changed on 2027-03-15. Going on using the service accepts it.'

const LONG_AGO = new Date('2026-12-11T00:00:00Z')

test('a change is told to every account once, with its day, by one row; who signs up then was shown it', async () => {
  const [old, other] = [await account(LONG_AGO), await account(LONG_AGO)]
  for (let start = 0; start < 2; start++) await db.work((tx) => announcePolicy(tx, now, published))
  expect(await told(old)).toEqual([{ kind: 'policy_change', message }])
  now = new Date('2027-03-10T00:00:00Z')
  const young = await account(now)
  const [notice] = await listNotices(deps, other, true)
  expect(notice).toMatchObject({ message, next: 'agentctl policy show --next', readAt: null })
  expect(await readNotices(deps, other, [notice?.id ?? ''])).toBe(1)
  expect(await readNotices(deps, other, [notice?.id ?? ''])).toBe(0)
  expect([await told(other), await told(young), await told(other, false)]).toMatchObject([[], [], [{}]])
  // Whoever comes when it holds already knows no other text.
  now = new Date('2027-03-15T00:00:00Z')
  const later = await account(now)
  await db.work((tx) => announcePolicy(tx, now, published))
  expect([await told(later), await told(old)]).toMatchObject([[], [{ message: messageThen }]])
  expect(await readNotices(deps, later, [notice?.id ?? ''])).toBe(0)
  const [rows] = await db.jobs<{ all: number; reads: number }[]>`
    select (select count(*)::int from announcements) as all, (select count(*)::int from announcement_reads) as reads`
  expect(rows).toEqual({ all: 1, reads: 1 })
  // Like every message, it goes after a year. Who has not seen it by then is told again.
  now = new Date('2028-03-11T00:00:00Z')
  await purgeAll(deps)
  expect(await told(old)).toEqual([])
  await db.work((tx) => announcePolicy(tx, now, published))
  expect([await told(old), await told(other), await told(later)]).toMatchObject([[{}], [], []])
})

test('of each account it is known which text it has seen: the one that it agreed to, or was told of', async () => {
  now = new Date('2027-03-02T00:00:00Z')
  const id = await account(LONG_AGO)
  const seen = () =>
    db.as({ account: id }, (tx) => tx`select policy_seen::text as day from accounts where id = ${id}`)
  await db.work((tx) => announcePolicy(tx, now, published))
  const [notice] = await listNotices(deps, id, true)
  expect(await seen()).toMatchObject([{ day: policyVersions.at(-1)?.lastUpdated }])
  await readNotices(deps, id, [notice?.id ?? ''])
  expect(await seen()).toMatchObject([{ day: '2027-03-15' }])
})

test('a service that learns of a text only when it holds tells those who have seen another, and nobody who comes then', async () => {
  now = new Date('2027-04-01T00:00:00Z')
  const [old, young] = [await account(LONG_AGO), await account(now)]
  await db.jobs`delete from announcements`
  await db.work((tx) => announcePolicy(tx, now, published))
  expect(await told(old)).toEqual([{ kind: 'policy_change', message: messageThen }])
  expect(await told(young)).toEqual([])
})

test('the newest text, as it is: who has seen the one before is told, whenever this service starts, and new people are not', async () => {
  const [before = '', day = ''] = policyVersions.slice(-2).map(({ lastUpdated }) => lastUpdated)
  const old = newId('acc')
  await db.as({ account: old }, (tx) => insertAccount(tx, old, { now: startOf(before), policyDay: before }))
  for (const seconds of [-86_400, -1, 0, 30 * 86_400]) {
    now = secondsAfter(startOf(day), seconds)
    const fresh = newId('acc')
    await db.as({ account: fresh }, (tx) => insertAccount(tx, fresh, { now, policyDay: policyDayAt(now) }))
    await db.jobs`delete from announcements`
    await db.work((tx) => announcePolicy(tx, now))
    const words = seconds < 0 && publication.announced ? 'changes' : 'has changed'
    expect(await told(old)).toMatchObject([
      { message: expect.stringContaining(`The privacy policy ${words} on ${day}.`) },
    ])
    expect(await told(fresh)).toEqual([])
  }
})

test('what is taken back before its day is told no more', async () => {
  now = new Date('2027-03-02T00:00:00Z')
  const id = await account(LONG_AGO)
  await db.work((tx) => announcePolicy(tx, now, published))
  expect(await told(id)).toHaveLength(1)
  await db.work((tx) => announcePolicy(tx, now))
  expect(await told(id)).toEqual([])
})

test('the API and the page show the text that holds and the one that comes; on its day that one holds', async () => {
  now = new Date('2027-03-14T23:59:59Z')
  const before = PolicyReport.parse(await (await api.app.request('/v1/policy')).json())
  expect(before.policy.lastUpdated).toBe(policyVersions.at(-1)?.lastUpdated)
  expect(before.sentences.some(({ id }) => id === '1z')).toBe(false)
  expect(before.announced).toMatchObject({
    announcedOn: '2027-03-01',
    lastUpdated: '2027-03-15',
    hash: hashOfText(nextText),
  })
  expect(before.announced?.sentences).toContainEqual({ id: '1z', text: 'One thing more.' })
  const page = await (await api.app.request('/policy')).text()
  expect(page).toContain('1z (new) One thing more.')
  now = new Date('2027-03-15T00:00:00Z')
  const pageThen = await (await api.app.request('/policy')).text()
  expect(pageThen).toContain('<time>2027-03-15</time>')
  expect(pageThen).toContain('id="p1z"')
  expect(policiesAt(now, published).announced).toBeUndefined()
})

test('a text is announced two weeks ahead, and under the hash of its own words', () => {
  expect(versionFault(published)).toBeUndefined()
  const late = { ...published, announced: { announcedOn: '2027-03-02', text: nextText } }
  expect(versionFault(late)).toBe('a text is announced at least 14 days before its own day')
  const other = { ...published, announced: { announcedOn: '2027-03-01', text: rest } }
  expect(versionFault(other)).toContain(hashOfText(rest))
})

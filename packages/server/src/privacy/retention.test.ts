import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { secondsAfter } from '../platform/clock.ts'
import { openPool } from '../platform/db.ts'
import { silentLog } from '../platform/log.ts'
import { startWorker } from '../platform/operations.ts'
import { DAY_SECONDS, type Period, type PeriodName, periodNames, retention } from '../platform/retention.ts'
import { privacyWork, schedulePrivacyWork, wakePurge } from './operations.ts'
import { purgeAll } from './retention.ts'
import { scheduleRightsWork } from './rights-operations.ts'
import { plant as plantRow } from './test-rows.ts'

const { db, url } = await testDatabase()
const sql = openPool(url, { connectionsMax: 2 })
afterAll(() => sql.end({ timeout: 5 }))
const begin = new Date('2027-03-01T00:00:00Z')
let now = begin
const deps = { db, clock: { now: () => now } }

/** A row of each period, its time at the beginning. */
const rows: Readonly<Record<Exclude<PeriodName, 'requestLog' | 'unusedBlobs'>, Record<string, unknown>>> = {
  sessions: { id: 'ses_1', last_used_at: secondsAfter(begin, 3000 * DAY_SECONDS) },
  idleSessions: { id: 'ses_2', expires_at: secondsAfter(begin, 3000 * DAY_SECONDS) },
  phoneChallenges: { id: 'chl_1', older_hmacs: [] },
  walletChallenges: {},
  signups: { phone_hmac: null },
  loginLimits: {},
  smsCounts: {},
  requestCounts: {},
  idempotencyKeys: {},
  checkoutKeys: { id: 'chk_1', request_key: 'key' },
  agentLogs: { stream: 'stdout' },
  machines: { id: 'mac_1', state: 'deleted', region: 'icn' },
  snapshots: { id: 'snp_1', state: 'deleted' },
  boundSpares: { id: 'wrm_1', state: 'bound' },
  goneSpares: { id: 'wrm_2', state: 'deleted' },
  transfers: {},
  transferWarnings: {},
  sightings: { kind: 'machine' },
  toldFields: {},
  domains: { id: 'dom_1', status: 'removed', hostname: 'a.example' },
  operations: { id: 'op_1', state: 'done' },
  cardEvents: {},
  notices: {},
  announcements: {},
  announcementReads: {},
  noticeDeliveries: {},
  invitations: { id: 'inv_1', role: 'viewer' },
  bannedProofs: {},
  operatorActs: {},
  rightsRequests: { id: 'rrq_1', outcome: 'done' },
}
const ordinary = Object.keys(rows) as (keyof typeof rows)[]

async function plant(name: keyof typeof rows): Promise<void> {
  const { table, from }: Period = retention[name]
  await plantRow(sql, table, { [from]: begin, ...rows[name] }, begin)
}

const isThere = async (name: keyof typeof rows): Promise<boolean> => {
  const { table, clears }: Period = retention[name]
  const { id } = rows[name]
  const found =
    await sql`select from ${sql(table)} where ${id === undefined ? sql`true` : sql`id = ${String(id)}`}
    and ${clears === undefined ? sql`true` : sql`${sql(clears)} is not null`}`
  return found.length > 0
}

test('each row goes at the end of its period, and not a second before', async () => {
  expect(ordinary.toSorted()).toEqual(
    periodNames.filter((name) => !(retention[name] as Period).ownWork).toSorted(),
  )
  for (const name of ordinary) await plant(name)
  for (const name of ordinary) expect(await isThere(name), name).toBe(true)
  const ends = [...new Set(ordinary.map((name) => retention[name].days))].toSorted((a, b) => a - b)
  for (const days of ends) {
    const kept = ordinary.filter((name) => retention[name].days >= days)
    now = secondsAfter(begin, days * DAY_SECONDS - 1)
    await purgeAll(deps)
    for (const name of kept)
      expect(await isThere(name), `${name} after ${days} days less a second`).toBe(true)
    now = secondsAfter(begin, days * DAY_SECONDS)
    await purgeAll(deps)
    for (const name of kept) {
      expect(await isThere(name), `${name} after ${days} days`).toBe(retention[name].days > days)
    }
  }
  const noted = await sql<{ name: string; count: bigint }[]>`
    select name, purged_count as count from purges where purged_at is not null order by name`
  expect(noted.map(({ name, count }) => [name, count])).toEqual(ordinary.toSorted().map((name) => [name, 1n]))
})

test('a request about personal data stays until it has been answered, however long that takes', async () => {
  await plantRow(sql, 'rights_requests', { id: 'rrq_2', answered_at: null, received_at: begin }, begin)
  now = secondsAfter(begin, 9000 * DAY_SECONDS)
  await purgeAll(deps)
  expect(await sql`select id from rights_requests`).toEqual([{ id: 'rrq_2' }])
})

test('what is not over yet is never old: live work, machines, snapshots that a machine was made of, live domains', async () => {
  await sql`truncate operations, machines, snapshots, domains`
  for (const name of ['operations', 'machines', 'snapshots', 'domains'] as const) await plant(name)
  await sql.begin(async (tx) => {
    await tx`set local session_replication_role = replica`
    await tx`update operations set state = 'pending'`
    await tx`update machines set state = 'running', snapshot_id = 'snp_1'`
    await tx`update domains set status = 'live'`
  })
  now = secondsAfter(begin, 3000 * DAY_SECONDS)
  await purgeAll(deps)
  for (const name of ['operations', 'machines', 'snapshots', 'domains'] as const)
    expect(await isThere(name), name).toBe(true)
  await sql`truncate operations, machines, snapshots, domains`
})

test('the comments of the columns say the same as the table', async () => {
  const commented = await sql<{ table: string; periods: string[] }[]>`
    select c.relname as table,
      array_agg(distinct substring(col_description(c.oid, a.attnum) from 'retention=([a-z0-9-]+)')) as periods
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    group by 1`
  const said = new Map(commented.map(({ table, periods }) => [table, periods]))
  const stays = new Set(['account', '5y', 'schema'])
  const listed = new Set<string>(periodNames.map((name) => retention[name].table))
  for (const name of periodNames) {
    const { table, from, days, clears }: Period = retention[name]
    // An account's domains stay until they are removed; the others are there for their period only.
    if (table === 'domains' || clears) continue
    const [period = '', ...others] = said.get(table) ?? []
    expect(others, table).toEqual([])
    const [, count, unit] = /^(\d+)([dy])/.exec(period) ?? []
    const most = Number(count) * (unit === 'y' ? 365 : 1)
    // Where the end itself is a column, the comment tells how long that can be.
    if (from === 'expires_at') expect(most, `${table}: ${period}`).toBeGreaterThan(0)
    else expect(days, `${table}: ${period}`).toBeLessThanOrEqual(most)
  }
  for (const [table, periods] of said) {
    if (periods.every((period) => stays.has(period))) continue
    // What machines run is nobody's, and goes by how often it is asked for.
    if (table === 'programs') continue
    expect([...listed], `${table} is kept for ${periods}, and nothing deletes it`).toContain(table)
  }
})

test('it happens by itself, once for all the servers that start, and at once when the clock was moved', async () => {
  await Promise.all([schedulePrivacyWork(deps), schedulePrivacyWork(deps)])
  const worker = await startWorker({ ...deps, log: silentLog, leaseSeconds: 5 }, privacyWork(deps))
  try {
    const state = async () => [
      ...(await sql`
        select kind, lease_until as lease, last_error as error, run_at > clock_timestamp() + interval '5 minutes' as later
        from operations where state = 'pending'`),
    ]
    const idle = [{ kind: 'purge', lease: null, error: null, later: true }]
    await expect.poll(state, { timeout: 10_000, interval: 50 }).toEqual(idle)
    await plant('notices')
    now = secondsAfter(now, 400 * DAY_SECONDS)
    await wakePurge(deps)
    await expect.poll(() => isThere('notices'), { timeout: 10_000, interval: 50 }).toBe(false)
    await expect.poll(state, { timeout: 10_000, interval: 50 }).toEqual(idle)
  } finally {
    await worker.stop()
  }
})

test('what is kept for the law is looked at as well when the clock was moved', async () => {
  await scheduleRightsWork(deps)
  await sql`update operations set run_at = clock_timestamp() + interval '1 hour' where kind = 'destroy-retained'`
  const isDue = async () =>
    (await sql`select from operations where kind = 'destroy-retained' and run_at <= clock_timestamp()`).length
  expect(await isDue()).toBe(0)
  await wakePurge(deps)
  expect(await isDue()).toBe(1)
})

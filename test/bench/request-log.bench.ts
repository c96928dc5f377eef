import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '@agentctl/localcloud/postgres.ts'
import { openPool, type Pool } from '@agentctl/server/platform/db.ts'
import type { AnsweredRequest } from '@agentctl/server/platform/http.ts'
import { newId } from '@agentctl/server/platform/ids.ts'
import { openPepper } from '@agentctl/server/platform/keyring.ts'
import { silentLog } from '@agentctl/server/platform/log.ts'
import { migrate } from '@agentctl/server/platform/migrate.ts'
import { openRequestLog } from '@agentctl/server/privacy/request-log.ts'
import { type Figure, median } from './figures.ts'

const ROUNDS = 5
const ROUND_MS = 700
const BATCHED = 20_000
const DAYS = 90
const ROWS = 5_000_000
const DAYS_MEASURED = 3

/** Requests in batches against one row for each, and a day that is dropped against the same day deleted. */
export default async function requestLog(): Promise<Figure[]> {
  const dataDir = mkdtempSync(join(tmpdir(), 'agentctl-bench-request-log-'))
  const postgres = await startPostgres({ dataDir, log: () => {} })
  try {
    await migrate(postgres.url)
    const sql = openPool(postgres.url, { connectionsMax: 3 })
    const figures = [...(await writing(sql, dataDir)), ...(await dropping(sql))]
    await sql.end()
    return figures
  } finally {
    await postgres.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

async function writing(sql: Pool, dataDir: string): Promise<Figure[]> {
  const clock = { now: () => new Date() }
  const pepper = openPepper(join(dataDir, 'pepper.json'))
  const log = openRequestLog({ db: { jobs: sql } as never, clock, log: silentLog, pepper })
  const one = (): AnsweredRequest => ({
    at: clock.now(),
    requestId: newId('req'),
    route: 'GET /v1/agents/:agent',
    status: 200,
    durationMs: 7,
    accountId: 'acc_01k9zv3x7q8w2n5r4t6y',
    credentialId: 'ses_01k9zv3x7q8w2n5r4t6y',
    clientAddress: '203.0.113.7',
  })
  log.record(one())
  await log.flush()
  const networkHash = pepper.hmac('network').subarray(0, 16)
  const ratios: number[] = []
  let perSecond = 0
  for (let round = 0; round < ROUNDS; round++) {
    let singles = 0
    const begun = performance.now()
    while (performance.now() - begun < ROUND_MS) {
      const { at, requestId, route, status, durationMs, accountId, credentialId } = one()
      await sql`
        insert into request_log
          (at, request_id, route, status, duration_ms, account_id, credential_id, network_hash)
        values (${at}, ${requestId}, ${route}, ${status}, ${durationMs}, ${accountId}, ${credentialId},
          ${networkHash})`
      singles++
    }
    const singleRate = singles / (performance.now() - begun)
    for (let count = 0; count < BATCHED; count++) log.record(one())
    const batches = performance.now()
    await log.flush()
    const rate = BATCHED / (performance.now() - batches)
    perSecond = rate * 1000
    ratios.push(rate / singleRate)
  }
  await log.stop()
  return [
    {
      name: 'requests logged in batches / one row each, rows a second',
      value: median(ratios),
      unit: '×',
      atLeast: 40,
    },
    { name: 'thousand requests logged in batches, a second', value: perSecond / 1000, unit: '' },
  ]
}

async function dropping(sql: Pool): Promise<Figure[]> {
  await sql`truncate request_log`
  await sql`select prepare_request_days('2027-01-01', '2027-03-31')`
  await sql`create table request_rows (like request_log including defaults)`
  const fill = (table: string) => sql`
    insert into ${sql(table)}
    select timestamptz '2027-01-01 00:00:00Z' + n * (interval '1 day' * ${DAYS}::int / ${ROWS}::int),
      'req_' || lpad(to_hex(n), 20, '0'), 'GET /v1/agents/:agent', 200, 7, 'acc_' || (n % 1000), 'ses_' || (n % 3000),
      decode(md5((n % 5000)::text), 'hex')
    from generate_series(0, ${ROWS - 1}::int) n`
  // Indexes after the rows, which takes a fraction of the time.
  await sql`alter table request_log drop constraint request_log_pkey`
  await sql`drop index request_log_account`
  await fill('request_log')
  await sql`alter table request_log add primary key (at, request_id)`
  await sql`create index request_log_account on request_log (account_id, at) where account_id is not null`
  await fill('request_rows')
  await sql`alter table request_rows add primary key (at, request_id)`
  await sql`create index on request_rows (account_id, at) where account_id is not null`
  await sql`vacuum analyze request_rows`
  const times: number[] = []
  const logs: number[] = []
  let dropMs = 0
  for (let day = 1; day <= DAYS_MEASURED; day++) {
    const end = new Date(Date.UTC(2027, 0, 1 + day))
    await sql`checkpoint`
    const deleted = await measured(sql, () => sql`delete from request_rows where at < ${end}`)
    await sql`checkpoint`
    const dropped = await measured(sql, () => sql`select drop_request_days(${new Date(end.getTime() - 1)})`)
    dropMs = dropped.ms
    times.push(dropped.ms / deleted.ms)
    logs.push(dropped.walBytes / deleted.walBytes)
  }
  const what = 'dropping a day out of 5 million requests'
  return [
    { name: `${what} / DELETE of it, in time`, value: median(times), unit: '×', atMost: 0.3 },
    { name: `${what} / DELETE of it, in write-ahead log`, value: median(logs), unit: '×', atMost: 0.05 },
    { name: what, value: dropMs, unit: 'ms' },
  ]
}

async function measured(
  sql: Pool,
  statement: () => PromiseLike<unknown>,
): Promise<{ ms: number; walBytes: number }> {
  const at = async (): Promise<string> =>
    (await sql<{ lsn: string }[]>`select pg_current_wal_insert_lsn()::text as lsn`)[0]?.lsn ?? '0/0'
  const before = await at()
  const begun = performance.now()
  await statement()
  const ms = performance.now() - begun
  const [row] = await sql<{ bytes: string }[]>`
    select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), ${before}::text::pg_lsn)::text as bytes`
  return { ms, walBytes: Number(row?.bytes) }
}

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '@agentctl/localcloud/postgres.ts'
import { openPool, type Pool } from '@agentctl/server/platform/db.ts'
import { migrate } from '@agentctl/server/platform/migrate.ts'
import { type Figure, median } from './figures.ts'

const CLIENTS = 8
const ROUND_MS = 1500
const ROUNDS = 4
const POSTING_ACCOUNTS = 20_000
const METERED_ACCOUNTS = 18_000
const METERED_AGENTS = 100_000
const METER_RUNS = 5

/** Posting against a one-row UPDATE, and metering against the read-only scan of the same rows, in one run each. */
export default async function ledger(): Promise<Figure[]> {
  const dataDir = mkdtempSync(join(tmpdir(), 'agentctl-bench-ledger-'))
  const postgres = await startPostgres({ dataDir, log: () => {} })
  try {
    const sql = openPool(postgres.url, { connectionsMax: CLIENTS })
    await migrate(postgres.url)
    const figures = [...(await posting(sql)), ...(await metering(sql))]
    await sql.end()
    return figures
  } finally {
    await postgres.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

async function posting(sql: Pool): Promise<Figure[]> {
  await sql`
    insert into ledger_balances (ledger_account_id, balance_micros, created_at)
    select 'lac_' || n, 1000000000, 'epoch' from generate_series(1, ${POSTING_ACCOUNTS}::int) n`
  await sql`create table bench_rows (id int primary key, amount bigint not null) with (fillfactor = 70)`
  await sql`insert into bench_rows select n, 0 from generate_series(1, ${POSTING_ACCOUNTS}::int) n`
  await sql`vacuum analyze`
  const anyAccount = (): number => 1 + Math.floor(Math.random() * POSTING_ACCOUNTS)
  let counter = 0
  const update = () => sql`update bench_rows set amount = amount - 1 where id = ${anyAccount()}`
  const post = () => {
    counter++
    return sql`
      select ledger_post(${`bench:${counter}`}, 'charge', 'agt_bench', ${`lac_${anyAccount()}`}, 'sys_revenue', -1,
        '2027-01-01')`
  }
  // In turns, so that a busy moment of the machine is not charged to one of the two.
  const updates: number[] = []
  const posts: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    updates.push(await perSecond(update))
    posts.push(await perSecond(post))
  }
  const value = median(posts.map((count, round) => count / (updates[round] ?? Number.NaN)))
  return [
    {
      name: 'posting to the ledger / one-row UPDATE, in transactions a second',
      value,
      unit: '×',
      atLeast: 0.25,
    },
  ]
}

async function metering(sql: Pool): Promise<Figure[]> {
  await sql`
    insert into meters (ledger_account_id, subject, namespace_id, rate_micros, from_at, opened_upto)
    select 'lac_' || (1 + n % ${METERED_ACCOUNTS}::int), 'agt_' || n, 'ns_1', 20000, '2027-01-01', '2027-01-01'
    from generate_series(1, ${METERED_AGENTS}::int) n`
  await sql`update meter_watermark set upto = '2027-01-01'`
  await sql`vacuum analyze`
  const toScan: number[] = []
  const toRun: number[] = []
  let ms = 0
  for (let run = 1; run <= METER_RUNS; run++) {
    const since = new Date(Date.UTC(2027, 0, 1, 0, run - 1))
    const upto = new Date(Date.UTC(2027, 0, 1, 0, run))
    const scan = await milliseconds(
      () => sql`select count(*), sum(due_micros) from meter_dues(${since}, ${upto})`,
    )
    ms = await milliseconds(() => sql`select run_meters(${upto})`)
    // A repeat is little more than a round trip, which a busy machine may draw out: the quickest of a few.
    const repeats: number[] = []
    for (let again = 0; again < 5; again++) {
      repeats.push(await milliseconds(() => sql`select run_meters(${upto})`))
    }
    toScan.push(ms / scan)
    toRun.push(Math.min(...repeats) / ms)
  }
  const what = `metering ${METERED_AGENTS} agents over ${METERED_ACCOUNTS} accounts`
  return [
    { name: `${what} / read-only scan of them`, value: median(toScan), unit: '×', atMost: 4 },
    { name: 'the same meter run again / the first time', value: median(toRun), unit: '×', atMost: 0.01 },
    { name: what, value: ms, unit: 'ms' },
  ]
}

/** How often a statement is done in a second by all clients together. */
async function perSecond(statement: () => PromiseLike<unknown>): Promise<number> {
  const begun = performance.now()
  let done = 0
  const client = async (): Promise<void> => {
    while (performance.now() - begun < ROUND_MS) {
      await statement()
      done++
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  return done / ((performance.now() - begun) / 1000)
}

async function milliseconds(statement: () => PromiseLike<unknown>): Promise<number> {
  const begun = performance.now()
  await statement()
  return performance.now() - begun
}

if (import.meta.main) process.stdout.write(`${JSON.stringify(await ledger(), null, 2)}\n`)

import { readdirSync, readFileSync } from 'node:fs'
import { openPool } from './db.ts'

const MIGRATIONS = new URL('../../migrations/', import.meta.url)
/** One number for every server: whoever holds it migrates, the others wait and find nothing left to do. */
const ADVISORY_LOCK = 4_207_717

/** Brings the database up to date, forward only. Safe when several servers start at once. Returns what it ran. */
export async function migrate(databaseUrl: string): Promise<string[]> {
  const sql = openPool(databaseUrl, { connectionsMax: 1 })
  try {
    await sql`select 1`.catch((error: unknown) => {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
      throw new Error(`PostgreSQL cannot be used (${code}): check DATABASE_URL and that the database runs.`, {
        cause: error,
      })
    })
    const names = readdirSync(MIGRATIONS)
      .filter((name) => name.endsWith('.sql'))
      .sort()
    const { ran } = await sql.begin(async (tx) => {
      await tx`select pg_advisory_xact_lock(${ADVISORY_LOCK})`
      await tx`
        create table if not exists migrations (
          name text primary key,
          applied_at timestamptz not null default clock_timestamp()
        )`
      await tx`comment on column migrations.name is 'class=schema; purpose=provision; retention=account; export=no; erase=keep'`
      await tx`comment on column migrations.applied_at is 'class=schema; purpose=provision; retention=account; export=no; erase=keep'`
      const applied = new Set(
        (await tx<{ name: string }[]>`select name from migrations`).map((row) => row.name),
      )
      const known = new Set(names)
      const foreign = [...applied].find((name) => !known.has(name))
      if (foreign)
        throw new Error(
          `The database has migration ${foreign}, which this version does not know: it is newer. Start the newer version.`,
        )
      const missing = names.filter((name) => !applied.has(name))
      for (const name of missing) {
        await tx.unsafe(readFileSync(new URL(name, MIGRATIONS), 'utf8'))
        await tx`insert into migrations ${tx({ name })}`
      }
      return { ran: missing }
    })
    return ran
  } finally {
    await sql.end({ timeout: 5 })
  }
}

import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { openPool, type Sql } from './db.ts'
import { appliedMigrations } from './migration-store.ts'

const MIGRATIONS = new URL('../../migrations/', import.meta.url)
/** One number for every server: whoever holds it migrates, the others wait and find nothing left to do. */
const ADVISORY_LOCK = 4_207_717

/** Brings the database up to date, forward only. Safe when several servers start at once. Returns what it ran. */
export async function migrate(databaseUrl: string): Promise<string[]> {
  const sql = openPool(databaseUrl, { connectionsMax: 1 })
  try {
    await sql`select 1`.catch((error: unknown) => {
      throw unusable('DATABASE_URL', error)
    })
    const names = knownMigrations()
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

const LOOK_AGAIN_MS = 1000

/**
 * For a server that may not migrate: waits until everything that it knows has been applied. A newer database is good,
 * since a migration leaves the version before it working: while a new version comes, both serve.
 */
export async function awaitMigrations(sql: Sql, withinMs: number): Promise<void> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const names = await appliedMigrations(sql).catch((error: unknown) => {
      throw unusable('DATABASE_JOBS_URL', error)
    })
    const applied = new Set(names)
    const missing = knownMigrations().filter((name) => !applied.has(name))
    if (missing.length === 0) return
    if (performance.now() > deadline) {
      throw new Error(
        `The database lacks ${missing.length} migrations, the first of them ${missing[0]}. Run them as their owner: --migrate with DATABASE_URL.`,
      )
    }
    await pause(LOOK_AGAIN_MS)
  }
}

function unusable(setting: string, error: unknown): Error {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
  return new Error(`PostgreSQL cannot be used (${code}): check ${setting} and that the database runs.`, {
    cause: error,
  })
}

function knownMigrations(): string[] {
  return readdirSync(MIGRATIONS)
    .filter((name) => name.endsWith('.sql'))
    .sort()
}

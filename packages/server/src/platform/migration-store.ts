import { PostgresError, type Sql } from './db.ts'

/** As far as anybody but the owner can tell: before the migration that tells it there seem to be none. */
export async function appliedMigrations(sql: Sql): Promise<string[]> {
  try {
    const rows = await sql<{ name: string }[]>`select applied_migrations() as name`
    return rows.map(({ name }) => name)
  } catch (error) {
    if (error instanceof PostgresError && error.code === UNDEFINED_FUNCTION) return []
    throw error
  }
}

const UNDEFINED_FUNCTION = '42883'

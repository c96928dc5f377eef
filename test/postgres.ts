import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '@agentctl/localcloud/postgres.ts'
import { openPool } from '@agentctl/server/platform/db.ts'
import { migrate } from '@agentctl/server/platform/migrate.ts'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    postgresUrl: string
    /** Name of the database that each database of a test is a copy of: it is migrated once. */
    migratedDatabase: string
  }
}

/** One real PostgreSQL for the whole run; each test file makes a database of its own in it (`database.ts`). */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = mkdtempSync(join(tmpdir(), 'agentctl-test-postgres-'))
  const postgres = await startPostgres({ dataDir, log: () => {} })
  const admin = openPool(postgres.url, { connectionsMax: 1 })
  const migrated = new URL(postgres.url)
  migrated.pathname = '/migrated'
  await admin.unsafe('create database migrated')
  await admin.end()
  await migrate(migrated.href)
  project.provide('postgresUrl', postgres.url)
  project.provide('migratedDatabase', 'migrated')
  return async () => {
    await postgres.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

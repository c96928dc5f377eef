import { randomBytes } from 'node:crypto'
import { type Db, openDb, openPool } from '@agentctl/server/platform/db.ts'
import { afterAll, inject } from 'vitest'

export interface TestDatabase {
  /** URL of the owner. */
  url: string
  db: Db
  close(): Promise<void>
}

/** A migrated database of its own on the real PostgreSQL of this run; goes with the test file. */
export async function testDatabase(): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`
  const server = inject('postgresUrl')
  const admin = openPool(server, { connectionsMax: 1 })
  await admin.unsafe(`create database ${name} template ${inject('migratedDatabase')}`)
  const url = new URL(server)
  url.pathname = `/${name}`
  const login = { url: url.href, assume: true }
  const db = openDb({ app: login, jobs: login, operator: login, connectionsMax: 10 })
  const close = async (): Promise<void> => {
    await db.close()
    await admin.unsafe(`drop database if exists ${name} with (force)`)
    await admin.end({ timeout: 5 })
  }
  afterAll(close)
  return { url: url.href, db, close }
}

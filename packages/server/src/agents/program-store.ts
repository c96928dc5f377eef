import type { Sql } from '../platform/db.ts'

/** Names programs in the bucket, beside the contents of accounts; no account is called so. */
export const PROGRAMS = 'programs'

export async function findProgramBytes(sql: Sql, sha256: string): Promise<number | undefined> {
  const [row] = await sql<{ bytes: number }[]>`
    select bytes::float8 as bytes from programs where sha256 = decode(${sha256}, 'hex')`
  return row?.bytes
}

export async function putProgram(
  sql: Sql,
  program: { sha256: string; bytes: number; now: Date },
): Promise<void> {
  await sql`
    insert into programs (sha256, bytes, used_at)
    values (decode(${program.sha256}, 'hex'), ${program.bytes}, ${program.now})
    on conflict (sha256) do update set used_at = excluded.used_at`
}

/** Forgets those that no server has had since, and returns their hashes. */
export async function deleteProgramsBefore(sql: Sql, before: Date): Promise<string[]> {
  const rows = await sql<{ sha256: string }[]>`
    delete from programs where used_at < ${before} returning encode(sha256, 'hex') as sha256`
  return rows.map(({ sha256 }) => sha256)
}

const SHARING_LOCK = 4_207_721

/** One of many servers that start at once puts its programs into the bucket. Of this connection, until it unlocks. */
export async function lockSharing(connection: Sql): Promise<void> {
  await connection`select pg_advisory_lock(${SHARING_LOCK})`
}

export async function unlockSharing(connection: Sql): Promise<void> {
  await connection`select pg_advisory_unlock(${SHARING_LOCK})`
}

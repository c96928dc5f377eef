import type { Sql } from '../platform/db.ts'
import { RELEASES_WITH_FILES } from './limits.ts'
import { PROGRAMS } from './program-store.ts'

/**
 * Deletes the rows of those candidates that no release of the account needs any more, and returns their hashes. The
 * caller deletes the files before the transaction ends: whoever uploads the same content again waits for that.
 * Needed is what the latest releases of a living agent have, whatever serves or is desired among them.
 */
export async function unneededBlobs(
  tx: Sql,
  accountId: string,
  candidates: readonly Buffer[],
  usedBefore?: Date,
): Promise<string[]> {
  const rows = await tx<{ sha256: string }[]>`
    delete from blobs b
    where b.account_id = ${accountId} and b.sha256 = any(${tx.array([...candidates])})
      and ${usedBefore === undefined ? tx`true` : tx`b.used_at < ${usedBefore}`}
      and b.sha256 not in (
        select f.sha256 from release_files f
        where f.sha256 = any(${tx.array([...candidates])}) and f.release_id in (
          select r.id from (
            select r.id, row_number() over (partition by r.agent_id order by r.number desc) as age,
              r.id in (a.release_id, a.desired_release_id) as current
            from releases r join agents a on a.id = r.agent_id join namespaces n on n.id = a.namespace_id
            where n.owner_account_id = ${accountId} and a.status <> 'deleted'
          ) r
          where r.age <= ${RELEASES_WITH_FILES} or r.current
        )
      )
    returning encode(b.sha256, 'hex') as sha256`
  return rows.map(({ sha256 }) => sha256)
}

/** Sizes of those contents that the account has uploaded, by their hashes. */
export async function findBlobSizes(
  sql: Sql,
  accountId: string,
  hashes: readonly Buffer[],
): Promise<Map<string, number>> {
  const rows = await sql<{ sha256: string; size: number }[]>`
    select encode(sha256, 'hex') as sha256, size::float8 as size from blobs
    where account_id = ${accountId} and sha256 = any(${sql.array([...hashes])})`
  return new Map(rows.map((row) => [row.sha256, row.size]))
}

/**
 * In the order of their hashes, so that two who do this at once wait for each other instead of locking each other out.
 */
export async function touchBlobs(
  sql: Sql,
  accountId: string,
  hashes: readonly Buffer[],
  { now, unlessSince }: { now: Date; unlessSince: Date },
): Promise<void> {
  await sql`
    with stale as (
      select sha256 from blobs
      where account_id = ${accountId} and sha256 = any(${sql.array([...hashes])}) and used_at < ${unlessSince}
      order by sha256 for update
    )
    update blobs set used_at = ${now} from stale
    where blobs.account_id = ${accountId} and blobs.sha256 = stale.sha256`
}

/** Hashes in ascending order, for the same reason. */
export async function insertBlobs(
  sql: Sql,
  accountId: string,
  blobs: { hashes: readonly Buffer[]; sizes: readonly number[]; now: Date },
): Promise<void> {
  await sql`
    insert into blobs (account_id, sha256, size, created_at, used_at)
    select ${accountId}, sha256, size, ${blobs.now}, ${blobs.now}
    from unnest(${sql.array([...blobs.hashes])}::bytea[], ${[...blobs.sizes]}::bigint[]) as blob (sha256, size)
    on conflict (account_id, sha256) do nothing`
}

/**
 * Whoever registers contents holds this together with others, whoever deletes contents without a row holds it alone:
 * between the look for a row and the deletion of its file nobody registers that file.
 */
export async function lockRegistration(
  sql: Sql,
  accountId: string,
  held: 'together' | 'alone',
): Promise<void> {
  const lock = sql`hashtextextended(${`blobs of ${accountId}`}, 4207720)`
  await (held === 'alone'
    ? sql`select pg_advisory_xact_lock(${lock})`
    : sql`select pg_advisory_xact_lock_shared(${lock})`)
}

/** Those of these files whose content has no row. */
export async function filterUnowned<File extends { accountId: string; sha256: string }>(
  sql: Sql,
  files: readonly File[],
): Promise<File[]> {
  const accounts = files.map(({ accountId }) => accountId)
  const hashes = files.map(({ sha256 }) => sha256)
  const rows = await sql<{ at: number }[]>`
    select at::int - 1 as at from unnest(${accounts}::text[], ${hashes}::text[]) with ordinality as file (account_id, sha256, at)
    where not exists (
      select from blobs b where b.account_id = file.account_id and b.sha256 = decode(file.sha256, 'hex'))
    and not exists (
      select from programs p where file.account_id = ${PROGRAMS} and p.sha256 = decode(file.sha256, 'hex'))`
  const unowned = new Set(rows.map(({ at }) => at))
  return files.filter((_, at) => unowned.has(at))
}

export async function sumBlobBytes(sql: Sql, accountId: string): Promise<number> {
  const [sum] = await sql<{ bytes: number }[]>`
    select coalesce(sum(size), 0)::float8 as bytes from blobs where account_id = ${accountId}`
  return sum?.bytes ?? 0
}

export async function deleteBlobRow(sql: Sql, accountId: string, sha256: string): Promise<void> {
  await sql`delete from blobs where account_id = ${accountId} and sha256 = decode(${sha256}, 'hex')`
}

/** How many files of a release have no content any more. */
export async function countGoneFiles(sql: Sql, accountId: string, releaseId: string): Promise<number> {
  const [row] = await sql<{ gone: number }[]>`
    select count(*)::int as gone from release_files f
    where f.release_id = ${releaseId} and not exists
      (select from blobs b where b.account_id = ${accountId} and b.sha256 = f.sha256)`
  return row?.gone ?? 0
}

/** Those of these contents that a release has. */
export async function listContentsOfRelease(
  sql: Sql,
  releaseId: string,
  hashes: readonly Buffer[],
): Promise<{ sha256: string; size: number }[]> {
  return sql<{ sha256: string; size: number }[]>`
    select distinct encode(f.sha256, 'hex') as sha256, f.size::float8 as size from release_files f
    where f.release_id = ${releaseId} and f.sha256 = any(${sql.array([...hashes])})`
}

import type { Sql } from '../platform/db.ts'
import { RELEASES_WITH_FILES } from './limits.ts'

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

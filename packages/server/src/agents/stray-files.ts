import type { Deps } from '../deps.ts'
import type { StoredFile } from '../platform/blobs.ts'
import type { Lease } from '../platform/operations.ts'
import { filterUnowned, lockRegistration } from './blob-store.ts'

/** No upload writes one file for that long. */
const DRAFT_SECONDS = 3600
/** Between the end of a file and its row there are moments. */
const UNOWNED_SECONDS = 86_400
/** Files and directories looked at in one visit, so that retention of a large store is spread over many. */
const LOOKS = 20_000
/** So that no lock on an account is held for long. */
const DELETED_AT_ONCE = 500

/**
 * Deletes what a kill in the middle of an upload leaves behind: drafts, and whole contents without a row. Goes on from
 * a place and returns the next one; undefined at the end of the store.
 */
export async function deleteStrayFiles(
  { db, blobs }: Pick<Deps, 'db' | 'blobs'>,
  lease: Pick<Lease, 'write'>,
  after: string | undefined,
): Promise<string | undefined> {
  const { found, next } = await blobs.list(after, LOOKS)
  for (const file of found) {
    if (file.draft !== undefined) await blobs.deleteIfOlder(file, DRAFT_SECONDS)
  }
  const contents = found.filter(({ draft }) => draft === undefined)
  const unowned = await filterUnowned(db.jobs, contents)
  for (const [accountId, files] of Map.groupBy(unowned, (file) => file.accountId)) {
    for (let at = 0; at < files.length; at += DELETED_AT_ONCE) {
      await deleteUnowned(blobs, lease, accountId, files.slice(at, at + DELETED_AT_ONCE))
    }
  }
  return next
}

/** Looks for the rows once more: since the first look these contents may have been uploaded again. */
async function deleteUnowned(
  blobs: Deps['blobs'],
  lease: Pick<Lease, 'write'>,
  accountId: string,
  files: readonly StoredFile[],
): Promise<void> {
  await lease.write(async (tx) => {
    await lockRegistration(tx, accountId, 'alone')
    for (const file of await filterUnowned(tx, files)) await blobs.deleteIfOlder(file, UNOWNED_SECONDS)
  })
}

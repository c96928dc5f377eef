import type { Deps } from '../deps.ts'
import { BlobMissing } from '../platform/blobs.ts'
import type { MachineCaller } from '../platform/http.ts'
import { Problem } from '../platform/problem.ts'
import { deleteBlobRow, listContentsOfRelease } from './blob-store.ts'
import { blobHeader } from './blob-stream.ts'
import { findWish } from './desired.ts'

/** Streams contents of the release that the machine should run; nothing else, whatever hash it knows. */
export async function machineBlobs(
  { db, blobs, log }: Pick<Deps, 'db' | 'blobs' | 'log'>,
  machine: MachineCaller,
  sha256s: readonly string[],
): Promise<AsyncIterable<Uint8Array>> {
  const wanted = [...new Set(sha256s)]
  const wish = await findWish(db.jobs, machine)
  const hashes = wanted.map((sha256) => Buffer.from(sha256, 'hex'))
  const contents = await listContentsOfRelease(db.jobs, wish?.releaseId ?? '', hashes)
  if (!wish || contents.length !== wanted.length) {
    throw new Problem('not_found', 'Some of these files are not part of the release of this machine.', {
      fix: '',
    })
  }
  const account = wish.namespaceOwner
  return (async function* () {
    for (const { sha256, size } of contents) {
      yield blobHeader(sha256, size)
      try {
        yield* blobs.read(account, sha256)
      } catch (error) {
        if (!(error instanceof BlobMissing)) throw error
        // The row promises a file that is not there. Without the row the next deploy uploads it again.
        log.error('A blob is lost', { accountId: account, agentId: machine.agentId })
        await deleteBlobRow(db.jobs, account, sha256)
        throw error
      }
    }
  })()
}

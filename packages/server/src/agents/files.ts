import type { ManifestFile } from '@agentctl/contract/agent-config.ts'
import type { Sql } from '../platform/db.ts'
import { Problem } from '../platform/problem.ts'
import { findBlobSizes, touchBlobs } from './blob-store.ts'
import { RELEASE_BYTES_MAX } from './limits.ts'

/** Contents by hash, with their sizes. */
export type Contents = ReadonlyMap<string, number>

/** What the files of a release hold, each content once. Refuses a list that no folder could have. */
export function contentsOf(files: readonly ManifestFile[]): Contents {
  const paths = new Set<string>()
  const folders = new Set<string>()
  const contents = new Map<string, number>()
  let bytes = 0
  for (const { path, sha256, size } of files) {
    if (paths.has(path)) throw new Problem('invalid_request', `${path} is listed twice.`)
    paths.add(path)
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
      folders.add(path.slice(0, slash))
    }
    if ((contents.get(sha256) ?? size) !== size) {
      throw new Problem('invalid_request', `${path} has another size than another file of the same content.`)
    }
    contents.set(sha256, size)
    bytes += size
  }
  const both = files.find(({ path }) => folders.has(path))
  if (both) throw new Problem('invalid_request', `${both.path} is both a file and a folder.`)
  if (bytes > RELEASE_BYTES_MAX) {
    throw new Problem('payload_too_large', 'The files of a release may have 1 GiB together.', {
      fix: 'List what the agent does not need in .agentignore.',
    })
  }
  return contents
}

/** Those contents that this account has not uploaded. Whether anybody else has is none of its business. */
export async function missingContents(tx: Sql, accountId: string, contents: Contents): Promise<string[]> {
  const sizes = await findBlobSizes(tx, accountId, hashes(contents))
  for (const [sha256, size] of contents) {
    if ((sizes.get(sha256) ?? size) !== size) {
      throw new Problem('invalid_request', `The content ${sha256} has another size than listed.`)
    }
  }
  return [...contents.keys()].filter((sha256) => !sizes.has(sha256))
}

/**
 * Says that these contents are in use, so that retention leaves them alone; not twice a day, since most deploys repeat
 * most files.
 */
export async function touchContents(
  tx: Sql,
  accountId: string,
  contents: Contents,
  times: { now: Date; unlessSince: Date },
): Promise<void> {
  await touchBlobs(tx, accountId, hashes(contents), times)
}

export function hashes(contents: Contents): Buffer[] {
  return [...contents.keys()].map((sha256) => Buffer.from(sha256, 'hex'))
}

import { createHash } from 'node:crypto'
import type { Role } from '@agentctl/contract/endpoint.ts'
import { hasHadCredits } from '../billing/balance.ts'
import type { Deps } from '../deps.ts'
import { enterNamespace } from '../identity/access.ts'
import type { Caller } from '../platform/http.ts'
import { Problem } from '../platform/problem.ts'
import { insertBlobs, lockRegistration, sumBlobBytes } from './blob-store.ts'
import { type IncomingBlob, readBlobStream } from './blob-stream.ts'
import { hashes, touchContents } from './files.ts'
import { ACCOUNT_BYTES_MAX, BLOB_BYTES_MAX, UNPAID_ACCOUNT_BYTES_MAX } from './limits.ts'

const BODY_BYTES_MAX = 1024 ** 3
/** Blobs up to this size are held in memory, so that many of them are written at once. */
const SMALL_BYTES = 256 * 1024
const BATCH_BYTES = 8 * 1024 * 1024
const BATCH_BLOBS = 500
const WRITERS = 8

interface Waiting {
  sha256: string
  bytes: Buffer
}

/** Keeps the blobs of one upload for the account that pays for the namespace. Each counts once it is on the disk. */
export async function storeUpload(
  deps: Pick<Deps, 'db' | 'clock' | 'blobs'>,
  caller: Caller,
  upload: { namespace: string | undefined; body: AsyncIterable<Uint8Array> },
  role: Role,
): Promise<{ stored: number; bytes: number }> {
  const { accountId, kept } = await deps.db.as({ account: caller.accountId }, async (tx) => {
    const { ownerAccountId } = await enterNamespace(tx, caller, upload.namespace, role)
    return { accountId: ownerAccountId, kept: await sumBlobBytes(tx, ownerAccountId) }
  })
  // By the jobs role: a member who uploads may not look into the owner's books.
  const hasPaid = await hasHadCredits(deps.db.jobs, accountId)
  let stored = 0
  let bytes = 0
  let batch: Waiting[] = []
  let batchBytes = 0

  const record = (sizes: Map<string, number>) => recordBlobs(deps, caller, accountId, sizes)
  const flush = async (): Promise<void> => {
    const sizes = new Map(batch.map((blob) => [blob.sha256, blob.bytes.length]))
    const queue = batch.filter((blob, at) => batch.findIndex((other) => other.sha256 === blob.sha256) === at)
    await claimBlobs(deps, caller, accountId, sizes)
    await Promise.all(
      Array.from({ length: WRITERS }, async () => {
        for (let blob = queue.pop(); blob; blob = queue.pop()) {
          const content = { sha256: blob.sha256, size: blob.bytes.length }
          if (!(await deps.blobs.put(accountId, content, [blob.bytes]))) throw wrongHash(blob.sha256)
        }
      }),
    )
    await record(sizes)
    batch = []
    batchBytes = 0
  }

  for await (const blob of readBlobStream(upload.body, {
    blobBytesMax: BLOB_BYTES_MAX,
    bodyBytesMax: BODY_BYTES_MAX,
  })) {
    requireRoom(kept + bytes + blob.size, hasPaid)
    if (blob.size <= SMALL_BYTES) {
      const whole = await gather(blob)
      if (createHash('sha256').update(whole).digest('hex') !== blob.sha256) throw wrongHash(blob.sha256)
      batch.push({ sha256: blob.sha256, bytes: whole })
      batchBytes += whole.length
      if (batchBytes >= BATCH_BYTES || batch.length >= BATCH_BLOBS) await flush()
    } else {
      const sizes = new Map([[blob.sha256, blob.size]])
      await claimBlobs(deps, caller, accountId, sizes)
      if (!(await deps.blobs.put(accountId, blob, blob.chunks))) throw wrongHash(blob.sha256)
      await record(sizes)
    }
    stored += 1
    bytes += blob.size
  }
  if (batch.length > 0) await flush()
  return { stored, bytes }
}

/** Refuses to keep more for one account than it may have. */
export function requireRoom(bytes: number, hasPaid: boolean): void {
  if (bytes <= (hasPaid ? ACCOUNT_BYTES_MAX : UNPAID_ACCOUNT_BYTES_MAX)) return
  if (!hasPaid) {
    throw new Problem(
      'payload_too_large',
      'Before its first payment an account keeps at most 1 GiB of files.',
      {
        fix: 'Top up first: agentctl billing deposit 25',
      },
    )
  }
  throw new Problem('payload_too_large', 'The account keeps as many files as it may.', {
    fix: 'Delete agents that you do not need: agentctl agents delete NAME',
  })
}

async function gather(blob: IncomingBlob): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of blob.chunks) parts.push(part)
  return Buffer.concat(parts)
}

function wrongHash(sha256: string): Problem {
  return new Problem('invalid_request', `The content sent as ${sha256} has another hash.`)
}

type Uploading = Pick<Deps, 'db' | 'clock' | 'blobs'>

/**
 * Before the file is written: retention deletes files and rows of long unused blobs in one transaction, and whoever
 * claims such a row waits for that, so that the file written next stays.
 */
async function claimBlobs(
  { db, clock }: Uploading,
  caller: Caller,
  accountId: string,
  sizes: ReadonlyMap<string, number>,
): Promise<void> {
  const now = clock.now()
  await db.as({ account: caller.accountId }, (tx) =>
    touchContents(tx, accountId, sizes, { now, unlessSince: now }),
  )
}

/**
 * With the row in place the file is looked for once more: whoever deleted an older file of the same content meanwhile
 * may have hit this one. Afterwards nobody deletes it without seeing the row.
 */
async function recordBlobs(
  { db, clock, blobs }: Uploading,
  caller: Caller,
  accountId: string,
  sizes: ReadonlyMap<string, number>,
): Promise<void> {
  const now = clock.now()
  const sorted = new Map([...sizes].sort(([a], [b]) => (a < b ? -1 : 1)))
  await db.as({ account: caller.accountId }, async (tx) => {
    await lockRegistration(tx, accountId, 'together')
    await insertBlobs(tx, accountId, { hashes: hashes(sorted), sizes: [...sorted.values()], now })
    const present = await Promise.all([...sorted.keys()].map((sha256) => blobs.has(accountId, sha256)))
    if (present.includes(false)) {
      throw new Problem('unavailable', 'A file was deleted while the same content was uploaded.')
    }
  })
}

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { BLOB_HEADER_BYTES, BLOB_STREAM_MEDIA_TYPE } from '@agentctl/contract/blob-stream.ts'
import type { Context } from '../context.ts'
import { Failure } from '../failure.ts'
import type { FolderFile } from './folder.ts'

const BATCH_BYTES_MAX = 64 * 1024 * 1024
/** Small writes are what makes a stream slow, so they are gathered. */
const WRITE_BYTES = 256 * 1024

/** Splits files over requests of at most 64 MiB; a bigger file has a request of its own. */
export function batches(files: FolderFile[]): FolderFile[][] {
  const all: FolderFile[][] = []
  let room = 0
  for (const file of files) {
    const bytes = file.size + BLOB_HEADER_BYTES
    const last = all.at(-1)
    if (last && bytes <= room) {
      last.push(file)
      room -= bytes
    } else {
      all.push([file])
      room = BATCH_BYTES_MAX - bytes
    }
  }
  return all
}

const changed = (file: FolderFile) =>
  new Failure('conflict', `${file.path} changed while it was being uploaded`, {
    fix: 'Run the deploy again once nothing writes to the folder.',
  })

/** The blobs of some files, in the format of the contract; every byte is checked against what the plan was told. */
export async function* blobStream(
  files: FolderFile[],
  sent: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  let gathered: Buffer[] = []
  let bytes = 0
  for (const file of files) {
    const header = Buffer.alloc(BLOB_HEADER_BYTES)
    header.write(file.sha256, 'hex')
    header.writeBigUInt64BE(BigInt(file.size), 32)
    gathered.push(header)
    bytes += header.length
    const digest = createHash('sha256')
    let read = 0
    for await (const chunk of createReadStream(file.source, { highWaterMark: WRITE_BYTES })) {
      const part = Buffer.from(chunk)
      digest.update(part)
      read += part.length
      if (read > file.size) throw changed(file)
      gathered.push(part)
      bytes += part.length
      if (bytes >= WRITE_BYTES) {
        yield Buffer.concat(gathered)
        sent(bytes)
        gathered = []
        bytes = 0
      }
    }
    if (read !== file.size || digest.digest('hex') !== file.sha256) throw changed(file)
  }
  if (bytes > 0) yield Buffer.concat(gathered)
  sent(bytes)
}

export interface Uploaded {
  files: number
  bytes: number
}

/** Sends the blobs that the service does not have; a hash that several files share travels once. */
export async function uploadMissing(
  ctx: Context,
  { files, missing, namespace }: { files: FolderFile[]; missing: string[]; namespace: string | undefined },
  progress: (bytes: number) => void,
): Promise<Uploaded> {
  const byHash = new Map(files.map((file) => [file.sha256, file]))
  const wanted = missing.flatMap((sha256) => byHash.get(sha256) ?? [])
  let bytes = 0
  for (const batch of batches(wanted)) {
    let sent = 0
    await ctx.api('POST /v1/blobs', {
      query: { namespace },
      // Blobs are named by their hash: sending one twice changes nothing.
      repeatable: true,
      timeoutSeconds: 1800,
      stream: () => {
        sent = 0
        const body = ReadableStream.from(
          blobStream(batch, (more) => {
            sent += more
            progress(bytes + sent)
          }),
        )
        return { mediaType: BLOB_STREAM_MEDIA_TYPE, body }
      },
    })
    bytes += batch.reduce((sum, file) => sum + file.size, 0)
  }
  return { files: wanted.length, bytes }
}

import { BLOB_HEADER_BYTES } from '@agentctl/contract/blob-stream.ts'
import { Problem } from '../platform/problem.ts'

export interface IncomingBlob {
  sha256: string
  size: number
  /** To be read to its end before the next blob is asked for. */
  chunks: AsyncIterable<Uint8Array>
}

/** Takes a body apart into its blobs, holding no more of it than one chunk. */
export async function* readBlobStream(
  body: AsyncIterable<Uint8Array>,
  limits: { blobBytesMax: number; bodyBytesMax: number },
): AsyncGenerator<IncomingBlob> {
  const source = body[Symbol.asyncIterator]()
  let rest: Buffer = Buffer.alloc(0)
  let ended = false
  let received = 0
  const more = async (): Promise<boolean> => {
    const { value, done } = await source.next()
    if (done) {
      ended = true
      return false
    }
    received += value.length
    if (received > limits.bodyBytesMax) throw new Problem('payload_too_large', 'One upload may have 1 GiB.')
    const chunk = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    return true
  }
  const cutShort = () => new Problem('invalid_request', 'The upload ends in the middle of a blob.')
  try {
    for (;;) {
      while (rest.length < BLOB_HEADER_BYTES && !ended) await more()
      if (rest.length === 0) return
      if (rest.length < BLOB_HEADER_BYTES) throw cutShort()
      const sha256 = rest.subarray(0, 32).toString('hex')
      const length = rest.readBigUInt64BE(32)
      if (length > BigInt(limits.blobBytesMax))
        throw new Problem('payload_too_large', 'One file may have 512 MiB.')
      const size = Number(length)
      rest = rest.subarray(BLOB_HEADER_BYTES)
      let remaining = size
      const chunks = (async function* () {
        while (remaining > 0) {
          if (rest.length === 0 && !(await more())) throw cutShort()
          const part = rest.subarray(0, remaining)
          rest = rest.subarray(part.length)
          remaining -= part.length
          yield part
        }
      })()
      yield { sha256, size, chunks }
      if (remaining > 0) throw new Error('A blob was not read to its end.')
    }
  } finally {
    await source.return?.()
  }
}

/** The header of a blob in a stream. */
export function blobHeader(sha256: string, size: number): Buffer {
  const header = Buffer.alloc(BLOB_HEADER_BYTES)
  header.write(sha256, 'hex')
  header.writeBigUInt64BE(BigInt(size), 32)
  return header
}

import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import S3rver from '@20minutes/s3rver'
import type { S3Bucket } from '../../platform/config.ts'
import { Secret } from '../../platform/secret.ts'

export interface TestS3 {
  bucket: S3Bucket
  /** Where it keeps everything. */
  directory: string
  /** Answers the next request in place of the store; undefined passes it on. */
  fault: ((incoming: IncomingMessage, response: ServerResponse) => void) | undefined
  /** Methods of the requests that came, oldest first. */
  seen: string[]
  stop(): Promise<void>
}

/** An S3 server that checks signatures, behind something that can be told to fail. */
export async function startTestS3(): Promise<TestS3> {
  const directory = mkdtempSync(join(tmpdir(), 'agentctl-test-s3-'))
  const bucket = `blobs-${randomBytes(4).toString('hex')}`
  const store = new S3rver({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    directory,
    vhostBuckets: false,
    configureBuckets: [{ name: bucket }],
  })
  const { port } = await store.run()
  const proxy = createServer((incoming, response) => {
    s3.seen.push(incoming.method ?? '')
    const { fault } = s3
    s3.fault = undefined
    if (fault) return fault(incoming, response)
    const body: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => body.push(chunk))
    // The store behind keeps the beginning of an upload that was cut off, which no S3 does: it sees whole ones only.
    incoming.once('end', () => {
      const { method, url, headers } = incoming
      const onward = request({ host: '127.0.0.1', port, method, path: url, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.pipe(response)
      })
      onward.once('error', () => response.destroy())
      onward.end(Buffer.concat(body))
    })
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const s3: TestS3 = {
    bucket: {
      endpoint: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      bucket,
      region: 'us-east-1',
      accessKeyId: 'S3RVER',
      secretAccessKey: new Secret('S3RVER'),
    },
    directory,
    fault: undefined,
    seen: [],
    async stop() {
      proxy.closeAllConnections()
      proxy.close()
      await store.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
  return s3
}

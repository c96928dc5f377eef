import { createHash } from 'node:crypto'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { BLOB_STREAM_MEDIA_TYPE } from '@agentctl/contract/blob-stream.ts'
import {
  type Desired,
  type DesiredRelease,
  type LogLine,
  type Report,
  ROUTER_CREDENTIAL_HEADER,
  runnerEndpoints,
} from '@agentctl/contract/runner.ts'

export const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex')

/** A server that speaks the runner's protocol, every request held against the contract. */
export class TestServer {
  readonly routerCredential = 'router-credential-of-the-test'
  readonly reports: Report[] = []
  readonly lines: LogLine[] = []
  readonly batches: number[] = []
  /** Requests that were not as the contract says; a test ends by looking at it. */
  readonly violations: string[] = []
  readonly blobs = new Map<string, Buffer>()
  readonly assets = new Map<string, Buffer>()
  readonly hellos: string[] = []
  readonly polls: { port: number; runnerSha256: string; revision: number; emptied?: true | undefined }[] = []
  bootstrapToken = 'bootstrap-1'
  listenAddress = '127.0.0.1'
  desired: Desired = { revision: 1, release: null, runner: { sha256: '0'.repeat(64) } }
  /** Answers these paths with that status instead of serving them. */
  readonly refusing = new Map<string, number>()
  #machineToken = 'machine-token-1'
  #waiting: (() => void)[] = []
  #server: http.Server | undefined
  #port = 0

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  async start(): Promise<void> {
    const server = http.createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        this.violations.push(`${request.url}: ${String(error)}`)
        response.destroy()
      })
    })
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve))
    this.#port = (server.address() as AddressInfo).port
    this.#server = server
  }

  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    await new Promise<void>((resolve) => {
      if (!server) return resolve()
      server.close(() => resolve())
      server.closeAllConnections()
    })
  }

  /** Another desired release, of these files. */
  desire(release: DesiredRelease | null): void {
    this.desired = { ...this.desired, revision: this.desired.revision + 1, release }
    this.#wake()
  }

  /** The machine is about to be copied. */
  desireForgetting(): void {
    this.desired = { ...this.desired, revision: this.desired.revision + 1, release: null, forget: true }
    this.#wake()
  }

  desireRunner(bytes: Buffer): void {
    const hash = sha256(bytes)
    this.assets.set(hash, bytes)
    this.desired = { ...this.desired, revision: this.desired.revision + 1, runner: { sha256: hash } }
    this.#wake()
  }

  reportsOf(releaseId: string): Report['state'][] {
    return this.reports.filter((report) => report.releaseId === releaseId).map((report) => report.state)
  }

  /** Cuts every open request, as a proxy in between might. */
  cut(): void {
    this.#server?.closeAllConnections()
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const path = request.url ?? ''
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString('utf8')
    const refusal = this.refusing.get(path)
    if (refusal) {
      response.writeHead(refusal).end('{}')
      return
    }
    if (request.method === 'GET' && path.startsWith('/v1/runner/assets/')) {
      const asset = this.assets.get(path.split('/').at(-1) ?? '')
      response.writeHead(asset ? 200 : 404).end(asset)
      return
    }
    const route = `POST ${path}` as keyof typeof runnerEndpoints
    const endpoint = runnerEndpoints[route]
    if (!endpoint || !('body' in endpoint)) throw new Error(`unknown request ${request.method} ${path}`)
    const parsed = endpoint.body.safeParse(JSON.parse(text))
    if (!parsed.success) throw new Error(parsed.error.message)
    if (endpoint.access === 'machine' && request.headers.authorization !== `Bearer ${this.#machineToken}`) {
      response.writeHead(401).end('{}')
      return
    }
    if (route === 'POST /v1/runner/hello')
      this.#hello(runnerEndpoints[route].body.parse(parsed.data), response)
    else if (route === 'POST /v1/runner/poll') {
      await this.#poll(runnerEndpoints[route].body.parse(parsed.data), response)
    } else if (route === 'POST /v1/runner/blobs') {
      this.#sendBlobs(runnerEndpoints[route].body.parse(parsed.data).sha256s, response)
    } else if (route === 'POST /v1/runner/reports') {
      this.reports.push(runnerEndpoints[route].body.parse(parsed.data))
      response.writeHead(204).end()
    } else if (route === 'POST /v1/runner/logs') {
      const { lines } = runnerEndpoints[route].body.parse(parsed.data)
      this.batches.push(lines.length)
      this.lines.push(...lines)
      response.writeHead(204).end()
    }
  }

  #hello(hello: { bootstrapToken: string }, response: http.ServerResponse): void {
    this.hellos.push(hello.bootstrapToken)
    if (hello.bootstrapToken !== this.bootstrapToken) {
      response.writeHead(401).end('{}')
      return
    }
    this.bootstrapToken = 'spent'
    json(response, {
      machineId: 'mch_1',
      machineToken: this.#machineToken,
      routerCredential: this.routerCredential,
      listenAddress: this.listenAddress,
    })
  }

  async #poll(poll: TestServer['polls'][number], response: http.ServerResponse): Promise<void> {
    this.polls.push(poll)
    if (poll.revision === this.desired.revision) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
        response.on('close', resolve)
        setTimeout(resolve, 5000).unref()
      })
    }
    if (!response.destroyed) json(response, this.desired)
  }

  #sendBlobs(sha256s: string[], response: http.ServerResponse): void {
    response.writeHead(200, { 'content-type': BLOB_STREAM_MEDIA_TYPE })
    for (const hash of sha256s) {
      const bytes = this.blobs.get(hash)
      if (!bytes) continue
      const header = Buffer.alloc(40)
      header.write(hash, 'hex')
      header.writeBigUInt64BE(BigInt(bytes.length), 32)
      response.write(header)
      response.write(bytes)
    }
    response.end()
  }

  /** A release of these files, as the server would describe it. */
  release(
    id: string,
    files: Record<string, string | { text: string; executable: boolean }>,
    config: Partial<DesiredRelease['config']> & { start: string },
    environment: Record<string, string> = {},
  ): DesiredRelease {
    return {
      id,
      number: 1,
      config: {
        size: 'small',
        install: null,
        port: null,
        health: { path: null, timeoutSeconds: 20 },
        env: {},
        domains: [],
        ...config,
      },
      files: Object.entries(files).map(([path, file]) => {
        const bytes = Buffer.from(typeof file === 'string' ? file : file.text)
        this.blobs.set(sha256(bytes), bytes)
        return {
          path,
          sha256: sha256(bytes),
          size: bytes.length,
          executable: typeof file === 'string' ? false : file.executable,
        }
      }),
      environment,
    }
  }
}

export const routerHeader = (server: TestServer): Record<string, string> => ({
  [ROUTER_CREDENTIAL_HEADER]: server.routerCredential,
})

function json(response: http.ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

import http, { type ClientRequestArgs } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/**
 * How long a connection waits for its next request: no server hangs up so early, so none is used at the moment in
 * which the agent closes it, and an agent that serves one connection after the other is soon free again.
 */
const IDLE_MS = 200

/**
 * An agent may answer and hang up before it has read the whole request. What it said is then still to be read, which
 * a socket that gives up at the first write in vain would never do: here only reading tells that the agent is gone.
 */
class AgentSocket extends Socket {
  override _write(chunk: unknown, encoding: BufferEncoding, done: WriteDone): void {
    super._write(chunk, encoding, (error) => done(hangingUp(error) ? null : error))
  }

  override _writev(chunks: WriteChunks, done: WriteDone): void {
    super._writev?.(chunks, (error) => done(hangingUp(error) ? null : error))
  }
}

type WriteDone = (error?: Error | null) => void
type WriteChunks = { chunk: unknown; encoding: BufferEncoding }[]

const hangingUp = (error: Error | null | undefined): boolean =>
  !!error && 'code' in error && (error.code === 'EPIPE' || error.code === 'ECONNRESET')

/** Connections to agents; those that are kept carry one request after the other. */
export class AgentConnections extends http.Agent {
  readonly #kept: boolean

  constructor({ kept }: { kept: boolean }) {
    super({ keepAlive: true, timeout: IDLE_MS })
    this.#kept = kept
  }

  override createConnection({ host, port }: ClientRequestArgs): Duplex {
    return new AgentSocket().setNoDelay(true).connect({ host: host ?? '', port: Number(port) })
  }

  override keepSocketAlive(socket: Duplex): boolean {
    return this.#kept && Boolean(super.keepSocketAlive(socket))
  }
}

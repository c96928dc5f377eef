import { Readable } from 'node:stream'
import { Agent, request } from 'undici'
import { fieldsOf } from './fields.ts'

export interface OutgoingCall {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  url: string
  headers?: Readonly<Record<string, string>>
  body?: string | Uint8Array
  /** The whole call, its answer's body included, ends by then. */
  timeoutMs: number
  signal?: AbortSignal
}

export interface OutgoingAnswer {
  status: number
  /** Names in lower case. */
  headers: Readonly<Record<string, string>>
  body: string
}

/** A call whose bodies may be larger than what is held in memory. */
export interface StreamedCall {
  method: 'GET' | 'HEAD' | 'PUT' | 'DELETE'
  url: string
  headers: Readonly<Record<string, string>>
  body?: AsyncIterable<Uint8Array>
  /** The call is given up when nothing has moved for so long; however long it takes as a whole. */
  idleMs: number
}

export interface StreamedAnswer {
  status: number
  /** Names in lower case. */
  headers: Readonly<Record<string, string>>
  /** To be read to its end, or ended early: the connection is held until then. Breaks off with a `TransportError`. */
  chunks: AsyncIterable<Uint8Array>
}

/**
 * The one way out of this server to the APIs of others; its own machines and its own edge are reached by the router and
 * the probe. It never repeats a call: whether a repetition is safe is known only to whoever asked for the call.
 */
export interface Transport {
  readonly egress: Egress
  send(call: OutgoingCall): Promise<OutgoingAnswer>
  stream(call: StreamedCall): Promise<StreamedAnswer>
  close(): Promise<void>
}

/** Policy 2g and 3: who can be called from here, and what they were told. */
export interface Egress {
  /** Origins. */
  readonly processors: readonly string[]
  readonly infrastructure: readonly string[]
  /** Names of the fields that were sent to a processor's origin since the start, sorted; never their values. */
  told(origin: string): string[]
  /** The only fields that may be sent to it; undefined: any may. */
  tellable(origin: string): readonly string[] | undefined
  /** How many calls were refused because of their host, or of a field. */
  refused(): number
}

/** The call did not come to an answer. What it was to do may have been done all the same. */
export class TransportError extends Error {
  override name = 'TransportError'
  readonly code: string

  constructor(code: string, cause?: unknown) {
    super('A provider did not answer.', { cause })
    this.code = code
  }

  /** False: it certainly never reached the provider. */
  get mayHaveBeenSent(): boolean {
    return !NEVER_SENT.has(this.code)
  }
}

const NEVER_SENT: ReadonlySet<string> = new Set([
  'host_not_allowed',
  'field_not_allowed',
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
])

const ANSWER_BYTES_MAX = 8 * 1024 * 1024

/**
 * Policy 2g: only these hosts are ever called. `processors` are those that the policy names and that may be told
 * something about a person; `infrastructure` sees public data only, such as a chain's node. Both are base URLs.
 */
export function openTransport(allowed: {
  processors: readonly string[]
  infrastructure: readonly string[]
  /** For processors, by their base URLs: the only fields that may be sent there, as `fieldsOf` names them. */
  fields?: Readonly<Record<string, readonly string[]>>
}): Transport {
  const originsOf = (urls: readonly string[]): string[] => [
    ...new Set(urls.map((url) => new URL(url).origin)),
  ]
  const processors = originsOf(allowed.processors)
  const infrastructure = originsOf(allowed.infrastructure)
  const origins = new Set([...processors, ...infrastructure])
  const fields = new Map<string, Set<string>>()
  for (const [url, names] of Object.entries(allowed.fields ?? {})) {
    const { origin } = new URL(url)
    fields.set(origin, new Set([...(fields.get(origin) ?? []), ...names]))
  }
  const told = new Map(processors.map((origin) => [origin, new Set<string>()]))
  let refused = 0
  const refuse = (code: string): never => {
    refused += 1
    throw new TransportError(code)
  }
  const admit = (url: string, body: string | Uint8Array | undefined): void => {
    const { origin, searchParams } = new URL(url)
    if (!origins.has(origin)) refuse('host_not_allowed')
    const sent = told.get(origin)
    if (!sent) return
    const names = fieldsOf(searchParams, body)
    const tellable = fields.get(origin)
    if (tellable && (!names || names.some((name) => !tellable.has(name)))) refuse('field_not_allowed')
    for (const name of names ?? []) sent.add(name)
  }
  const dispatcher = new Agent({ connect: { timeout: 5_000 }, maxResponseSize: ANSWER_BYTES_MAX })
  const streams = new Agent({ connect: { timeout: 5_000 } })
  return {
    egress: {
      processors,
      infrastructure,
      told: (origin) => [...(told.get(origin) ?? [])].sort(),
      tellable: (origin) => {
        const names = fields.get(origin)
        return names && [...names].sort()
      },
      refused: () => refused,
    },
    async send({ method, url, headers, body, timeoutMs, signal }) {
      admit(url, body)
      const late = AbortSignal.timeout(timeoutMs)
      try {
        const answer = await request(url, {
          method,
          dispatcher,
          signal: signal ? AbortSignal.any([signal, late]) : late,
          ...(headers ? { headers } : {}),
          ...(body === undefined ? {} : { body }),
        })
        return {
          status: answer.statusCode,
          headers: flat(answer.headers),
          body: await answer.body.text(),
        }
      } catch (error) {
        throw new TransportError(late.aborted ? 'timeout' : codeOf(error), error)
      }
    },
    async stream({ method, url, headers, body, idleMs }) {
      admit(url, undefined)
      try {
        const answer = await request(url, {
          method,
          dispatcher: streams,
          headers,
          headersTimeout: idleMs,
          bodyTimeout: idleMs,
          ...(body === undefined ? {} : { body: Readable.from(body, { objectMode: false }) }),
        })
        return { status: answer.statusCode, headers: flat(answer.headers), chunks: toldBy(answer.body) }
      } catch (error) {
        throw new TransportError(codeOf(error), error)
      }
    },
    async close() {
      await Promise.all([dispatcher.close(), streams.close()])
    },
  }
}

async function* toldBy(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } catch (error) {
    throw new TransportError(codeOf(error), error)
  }
}

function flat(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value].flat().join(', ')]))
}

/** The transport in the shape of `fetch`, for clients that want one. */
export function fetchOver(transport: Pick<Transport, 'send'>, timeoutMs: number): typeof fetch {
  return async (input, init = {}) => {
    const url = input instanceof Request ? input.url : String(input)
    const { body } = init
    if (body !== undefined && body !== null && typeof body !== 'string' && !(body instanceof Uint8Array)) {
      throw new TypeError('The transport sends text or bytes only.')
    }
    const answer = await transport.send({
      method: (init.method ?? 'GET').toUpperCase() as OutgoingCall['method'],
      url,
      headers: Object.fromEntries(new Headers(init.headers)),
      timeoutMs,
      ...(body ? { body } : {}),
      ...(init.signal ? { signal: init.signal } : {}),
    })
    const bodiless = answer.status === 204 || answer.status === 304
    return new Response(bodiless ? null : answer.body, { status: answer.status, headers: answer.headers })
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'failed'
}

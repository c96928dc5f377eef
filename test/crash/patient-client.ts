import { randomUUID } from 'node:crypto'

const ATTEMPT_PAUSE_MS = 25
const ATTEMPT_TIMEOUT_MS = 35_000

/** A refusal that repeating the request will not change. */
export class Refused extends Error {
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

export interface Call {
  body?: unknown
  raw?: { mediaType: string; bytes: Uint8Array<ArrayBuffer> }
  /** The same for all attempts of this call, as the CLI sends it. */
  idempotent?: boolean
}

/** Asks as the CLI does: repeats what got no answer, or one that says "later", with the same idempotency key. */
export class PatientClient {
  readonly #url: string
  readonly #deadlineMs: number
  token = ''

  constructor(url: string, deadlineMs: number) {
    this.#url = url
    this.#deadlineMs = deadlineMs
  }

  async call<T>(method: string, path: string, { body, raw, idempotent }: Call = {}): Promise<T> {
    const key = randomUUID()
    const deadline = Date.now() + this.#deadlineMs
    for (;;) {
      const trouble = await this.#attempt(method, path, {
        body,
        raw,
        key: idempotent ? key : undefined,
      }).catch((error: unknown) => {
        if (error instanceof Refused) throw error
        return { trouble: error instanceof Error ? error.message : String(error) }
      })
      if ('answer' in trouble) return trouble.answer as T
      if (Date.now() > deadline)
        throw new Error(`${method} ${path} had no answer in time: ${trouble.trouble}`)
      await new Promise((resolve) => setTimeout(resolve, ATTEMPT_PAUSE_MS))
    }
  }

  /** Asks once and does not care what becomes of it, like somebody who gives up. */
  async tryOnce(method: string, path: string, body: unknown): Promise<void> {
    await this.#attempt(method, path, { body, raw: undefined, key: randomUUID() }).catch(() => {})
  }

  async #attempt(
    method: string,
    path: string,
    { body, raw, key }: { body: unknown; raw: Call['raw']; key: string | undefined },
  ): Promise<{ answer: unknown } | { trouble: string }> {
    const response = await fetch(`${this.#url}${path}`, {
      method,
      signal: AbortSignal.timeout(ATTEMPT_TIMEOUT_MS),
      headers: {
        ...(this.token ? { authorization: `Bearer ${this.token}` } : {}),
        ...(key ? { 'idempotency-key': key } : {}),
        ...(raw ? { 'content-type': raw.mediaType } : body ? { 'content-type': 'application/json' } : {}),
      },
      ...(raw ? { body: raw.bytes } : body ? { body: JSON.stringify(body) } : {}),
    })
    const text = await response.text()
    if (response.ok) return { answer: text ? JSON.parse(text) : undefined }
    const problem = text.startsWith('{') ? (JSON.parse(text) as { code?: string; detail?: string }) : {}
    // A request whose first attempt is still being worked on, or was when its server died.
    const isUnderWay = response.status === 409 && problem.code === 'idempotency_in_flight'
    if (response.status >= 500 || response.status === 429 || isUnderWay) {
      return { trouble: `${response.status} ${problem.code ?? ''}` }
    }
    throw new Refused(response.status, problem.code ?? '', `${method} ${path}: ${response.status} ${text}`)
  }
}

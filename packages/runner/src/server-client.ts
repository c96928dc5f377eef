import http from 'node:http'
import https from 'node:https'

/** The server answered, with a status that is no success. */
export class Refusal extends Error {
  readonly status: number

  constructor(status: number, path: string) {
    super(`the server answered ${status} to ${path}`)
    this.status = status
  }

  /** Whether the same request may succeed later without anybody changing it. */
  get passing(): boolean {
    return this.status >= 500 || this.status === 401 || this.status === 408 || this.status === 429
  }
}

export interface ServerClient {
  post(path: string, body: unknown, options?: CallOptions): Promise<unknown>
  /** The answer as it comes; the caller reads it to its end or destroys it. */
  stream(
    method: 'GET' | 'POST',
    path: string,
    body: unknown,
    options?: CallOptions,
  ): Promise<http.IncomingMessage>
}

interface CallOptions {
  signal?: AbortSignal | undefined
  timeoutSeconds?: number
}

/** The longest document that the server may answer: a manifest of 5,000 files is under 2 MB. */
const ANSWER_BYTES_MAX = 32 * 1024 * 1024

/** Talks to the API; `token` is asked at each call, since the credential is obtained by the first of them. */
export function serverClient(apiUrl: string, token: () => string | undefined): ServerClient {
  const base = new URL(apiUrl.endsWith('/') ? apiUrl : `${apiUrl}/`)
  const transport = base.protocol === 'https:' ? https : http
  const agent = new transport.Agent({ keepAlive: true, maxSockets: 16 })
  // Names under .localhost are not resolved everywhere.
  const local = base.hostname === 'localhost' || base.hostname.endsWith('.localhost')

  const stream: ServerClient['stream'] = (method, path, body, options = {}) =>
    new Promise((resolve, reject) => {
      const url = new URL(path.replace(/^\//, ''), base)
      const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
      const bearer = token()
      const timeoutSeconds = options.timeoutSeconds ?? 30
      const request = transport.request(url, {
        method,
        agent,
        timeout: timeoutSeconds * 1000,
        ...(local ? { host: '127.0.0.1' } : {}),
        ...(options.signal ? { signal: options.signal } : {}),
        headers: {
          host: url.host,
          accept: '*/*',
          ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
          ...(payload ? { 'content-type': 'application/json', 'content-length': payload.length } : {}),
        },
      })
      request.on('timeout', () => request.destroy(new Error(`no answer within ${timeoutSeconds} s`)))
      request.on('error', reject)
      request.on('response', (response) => {
        const status = response.statusCode ?? 0
        if (status >= 200 && status < 300) {
          resolve(response)
          return
        }
        response.resume()
        reject(new Refusal(status, path))
      })
      request.end(payload)
    })

  return {
    stream,
    async post(path, body, options) {
      const response = await stream('POST', path, body, options)
      const chunks: Buffer[] = []
      let bytes = 0
      for await (const chunk of response as AsyncIterable<Buffer>) {
        bytes += chunk.length
        if (bytes > ANSWER_BYTES_MAX) throw new Error(`the answer to ${path} is too long`)
        chunks.push(chunk)
      }
      const text = Buffer.concat(chunks).toString('utf8')
      return text === '' ? undefined : JSON.parse(text)
    },
  }
}

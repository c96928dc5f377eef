/** One request to a stand-in and what came of it. */
export interface RecordedRequest {
  id: number
  /** ISO 8601, by the clock of the local cloud. */
  at: string
  method: string
  path: string
  query: Record<string, string>
  headers: Record<string, string>
  body: string
  /** Null as long as there is no answer, and for good when the connection was dropped. */
  status: number | null
  /** Kind of the fault that hit it. */
  fault: string | null
}

const KEPT = 2_000
/** The script of a machine, in base64, is the longest. */
const KEPT_BODY_CHARACTERS = 65_536

/** The last requests that a stand-in was sent. The secret in an Authorization header is not kept. */
export class RequestRecord {
  private requests: RecordedRequest[] = []
  private lastId = 0

  add(at: number, request: Request, body: string): RecordedRequest {
    const url = new URL(request.url)
    const headers = Object.fromEntries(request.headers)
    if (headers.authorization !== undefined) {
      headers.authorization = `${headers.authorization.split(' ')[0]} [not kept]`
    }
    const recorded: RecordedRequest = {
      id: ++this.lastId,
      at: new Date(at).toISOString(),
      method: request.method,
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers,
      body: body.slice(0, KEPT_BODY_CHARACTERS),
      status: null,
      fault: null,
    }
    this.requests.push(recorded)
    if (this.requests.length > KEPT) this.requests.shift()
    return recorded
  }

  list({ method, path }: { method?: string | undefined; path?: string | undefined }): RecordedRequest[] {
    return this.requests.filter(
      (request) =>
        (method === undefined || request.method === method.toUpperCase()) &&
        (path === undefined || request.path.startsWith(path)),
    )
  }

  clear(): void {
    this.requests = []
  }
}

/** An answer in Vultr's shape of an error. */
export function vultrError(status: 400 | 401 | 404, error: string): Response {
  return Response.json({ error, status }, { status })
}

/** A request that Vultr refuses, thrown from wherever that is found out. */
export class Refused extends Error {
  readonly status: 400 | 404

  constructor(status: 400 | 404, message: string) {
    super(message)
    this.status = status
  }
}

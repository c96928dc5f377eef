interface StripeProblem {
  type: 'invalid_request_error' | 'idempotency_error' | 'api_error'
  message: string
  code?: string
  param?: string
}

/** An answer in Stripe's shape of an error. */
export function stripeError(status: number, problem: StripeProblem): Response {
  return Response.json({ error: problem }, { status })
}

/** A request that Stripe refuses, thrown from wherever that is found out. */
export class Refused extends Error {
  readonly status: number
  readonly problem: StripeProblem

  constructor(status: number, message: string, more: { code?: string; param?: string } = {}) {
    super(message)
    this.status = status
    this.problem = { type: 'invalid_request_error', message, ...more }
  }
}

export function noSuch(what: string, id: string, param: string): Refused {
  return new Refused(404, `No such ${what}: '${id}'`, { code: 'resource_missing', param })
}

import { createHash } from 'node:crypto'
import type { MiddlewareHandler } from 'hono'
import type { Clock } from '../clock.ts'
import type { KeptState } from '../kept-state.ts'
import { stripeError } from './stripe-error.ts'
import type { StripeState } from './stripe-state.ts'

const KEPT_MS = 24 * 60 * 60 * 1000

/**
 * Stripe's Idempotency-Key: the same key and the same parameters get the same answer, for at least a day. Refusals of
 * the parameters are not kept, since nothing was begun.
 */
export function idempotency(state: KeptState<StripeState>, clock: Clock): MiddlewareHandler {
  const running = new Set<string>()
  return async (c, next) => {
    const key = c.req.header('idempotency-key')
    if (key === undefined || c.req.method !== 'POST') return next()
    if (key.length > 255) {
      return stripeError(400, {
        type: 'invalid_request_error',
        message: 'Idempotency keys have 255 characters.',
      })
    }
    if (running.has(key)) {
      return stripeError(409, {
        type: 'idempotency_error',
        code: 'idempotency_key_in_use',
        message: 'There is currently another in-progress request using this Idempotent Key.',
      })
    }
    running.add(key)
    try {
      const request = `${c.req.method} ${c.req.path}\n${await c.req.text()}`
      const requestHash = createHash('sha256').update(request).digest('hex')
      const { value } = state
      value.answers = value.answers.filter((one) => one.at > clock.now() - KEPT_MS)
      const known = value.answers.find((one) => one.key === key)
      if (known && known.requestHash !== requestHash) {
        return stripeError(400, {
          type: 'idempotency_error',
          message: `Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '${key}'.`,
        })
      }
      if (known) {
        return new Response(known.body, {
          status: known.status,
          headers: { 'content-type': 'application/json', 'idempotent-replayed': 'true' },
        })
      }
      await next()
      if (c.res.status < 400 || c.res.status >= 500) {
        const body = await c.res.clone().text()
        value.answers.push({ key, requestHash, status: c.res.status, body, at: clock.now() })
        state.save()
      }
    } finally {
      running.delete(key)
    }
  }
}

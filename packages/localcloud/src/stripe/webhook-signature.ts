import { createHmac } from 'node:crypto'

/** The `Stripe-Signature` header of a body, at a time in seconds. */
export function signWebhook(body: string, secret: string, at: number): string {
  return `t=${at},v1=${createHmac('sha256', secret).update(`${at}.${body}`).digest('hex')}`
}

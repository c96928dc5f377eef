import { randomBytes } from 'node:crypto'

/** An identifier as Stripe makes them, such as `pi_3f…`. */
export function stripeId(prefix: string): string {
  return `${prefix}_${randomBytes(12).toString('hex')}`
}

import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Secret } from '../../platform/secret.ts'

/** How far the signed time may be from ours, before or after. */
const TOLERANCE_SECONDS = 300

/**
 * Whether the payment processor has sent these bytes just now: `t=<seconds>,v1=<HMAC of "t.body">`. The vendor's own
 * check bounds the past only; a time to come is refused here as well, or one intercepted message could be kept and
 * replayed until then.
 */
export function isSignedWebhook(body: Uint8Array, header: string, secret: Secret, now: Date): boolean {
  const fields = header.split(',').map((field) => field.trim().split('=', 2) as [string, string | undefined])
  const times = fields.filter(([name]) => name === 't')
  const [, time = ''] = times[0] ?? []
  if (times.length !== 1 || !/^\d{1,12}$/.test(time)) return false
  const expected = createHmac('sha256', secret.reveal()).update(`${time}.`).update(body).digest()
  // More than one while the secret is being changed.
  const isOurs = fields
    .filter(([name]) => name === 'v1')
    .map(([, value = '']) => Buffer.from(value, 'hex'))
    .some((given) => given.length === expected.length && timingSafeEqual(given, expected))
  return isOurs && Math.abs(now.getTime() / 1000 - Number(time)) <= TOLERANCE_SECONDS
}

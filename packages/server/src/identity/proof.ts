/** A phone as it is stored: its HMAC under the newest pepper, and under those before it, newest first. */
export interface HashedPhone {
  hmac: Buffer
  pepperVersion: number
  olderHmacs: Buffer[]
}

/** Who somebody has proved to be, before it is known whether there is an account for it. */
export type Proof = { method: 'phone'; phone: HashedPhone } | { method: 'wallet'; address: string }

/** Every form under which a phone may have been stored. */
export function formsOf(phone: HashedPhone): Buffer[] {
  return [phone.hmac, ...phone.olderHmacs]
}

import type { Sql } from '../platform/db.ts'
import type { Proof } from './proof.ts'

export async function insertSignup(
  tx: Sql,
  signup: { tokenHash: Buffer; proof: Proof; now: Date; expiresAt: Date },
): Promise<void> {
  const { proof } = signup
  const phone = proof.method === 'phone' ? proof.phone : undefined
  await tx`
    insert into signups (token_hash, phone_hmac, pepper_version, older_hmacs, wallet_address, created_at, expires_at)
    values (${signup.tokenHash}, ${phone?.hmac ?? null}, ${phone?.pepperVersion ?? null}, ${phone ? tx.array(phone.olderHmacs) : null},
            ${proof.method === 'wallet' ? proof.address : null}, ${signup.now}, ${signup.expiresAt})`
}

export async function takeSignup(tx: Sql, tokenHash: Buffer, now: Date): Promise<Proof | undefined> {
  const [row] = await tx<
    {
      hmac: Buffer | null
      pepperVersion: number | null
      olderHmacs: Buffer[] | null
      address: string | null
      expiresAt: Date
    }[]
  >`
    delete from signups where token_hash = ${tokenHash}
    returning phone_hmac as hmac, pepper_version as "pepperVersion", older_hmacs as "olderHmacs",
      wallet_address as address, expires_at as "expiresAt"`
  if (!row || row.expiresAt <= now) return undefined
  if (row.address !== null) return { method: 'wallet', address: row.address }
  if (row.hmac === null || row.pepperVersion === null) return undefined
  return {
    method: 'phone',
    phone: { hmac: row.hmac, pepperVersion: row.pepperVersion, olderHmacs: row.olderHmacs ?? [] },
  }
}

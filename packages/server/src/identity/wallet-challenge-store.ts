import type { Sql } from '../platform/db.ts'

export async function insertWalletChallenge(
  tx: Sql,
  challenge: {
    nonceHash: Buffer
    address: string
    messageHash: Buffer
    accountId: string | null
    now: Date
    expiresAt: Date
  },
): Promise<void> {
  await tx`
    insert into wallet_challenges (nonce_hash, address, message_hash, account_id, created_at, expires_at)
    values (${challenge.nonceHash}, ${challenge.address}, ${challenge.messageHash}, ${challenge.accountId},
            ${challenge.now}, ${challenge.expiresAt})`
}

export interface WalletChallengeRow {
  address: string
  messageHash: Buffer
  accountId: string | null
  expiresAt: Date
}

/** Reads and ends a challenge in one statement: of two who show the same nonce, one gets it. */
export async function takeWalletChallenge(
  tx: Sql,
  nonceHash: Buffer,
): Promise<WalletChallengeRow | undefined> {
  const [row] = await tx<WalletChallengeRow[]>`
    delete from wallet_challenges where nonce_hash = ${nonceHash}
    returning address, message_hash as "messageHash", account_id as "accountId", expires_at as "expiresAt"`
  return row
}

import { randomUUID } from 'node:crypto'
import { exportLedger, ledgerAccountOf, post as postOnce, transfer } from '@agentctl/server/billing/ledger.ts'
import { openPool } from '@agentctl/server/platform/db.ts'

export { exportLedger, ledgerAccountOf, transfer }

const sql = openPool(process.env.DATABASE_URL ?? '', { connectionsMax: 1 })

/** Credits at once, whatever becomes of the caller's transaction, and each time anew. */
export function post(...[, posting]: Parameters<typeof postOnce>): Promise<boolean> {
  return postOnce(sql, { ...posting, key: `${posting.key}:${randomUUID()}` })
}

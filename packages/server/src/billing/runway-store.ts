import type { Sql } from '../platform/db.ts'
import { burning, zeroOf } from './store.ts'

/** What still burns on accounts that have nothing left. */
export function listUnpaid(
  tx: Sql,
  limit: number,
): Promise<{ subject: string; accountId: string; depletedAt: Date }[]> {
  return tx<{ subject: string; accountId: string; depletedAt: Date }[]>`
    select m.subject, a.account_id as "accountId", b.depleted_at as "depletedAt"
    from ledger_balances b
      join billing_accounts a using (ledger_account_id)
      join meters m on m.ledger_account_id = b.ledger_account_id and m.to_at is null
    where b.depleted_at is not null
    order by b.depleted_at, m.id
    limit ${limit}`
}

/** Accounts whose credits end before a moment if everything goes on as it is, and when. */
export function listEnding(tx: Sql, before: Date): Promise<{ accountId: string; zeroAt: Date }[]> {
  return tx<{ accountId: string; zeroAt: Date }[]>`
    select a.account_id as "accountId", ending.zero_at as "zeroAt"
    from (
      select ledger_account_id, ${zeroOf(tx)} as zero_at from (${burning(tx)}) burning where rate > 0 and free > 0
    ) ending join billing_accounts a using (ledger_account_id)
    where ending.zero_at <= ${before}`
}

/** Which of these accounts have something to spend. */
export async function listFunded(tx: Sql, accountIds: readonly string[]): Promise<string[]> {
  const rows = await tx<{ accountId: string }[]>`
    select a.account_id as "accountId" from billing_accounts a join ledger_balances b using (ledger_account_id)
    where a.account_id = any(${[...accountIds]}::text[]) and b.depleted_at is null
      and b.balance_micros > b.held_micros`
  return rows.map(({ accountId }) => accountId)
}

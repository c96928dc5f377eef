import type { Sql } from '../platform/db.ts'

export async function insertAccount(
  tx: Sql,
  accountId: string,
  { now, policyDay }: { now: Date; policyDay: string },
): Promise<void> {
  await tx`
    insert into accounts (id, created_at, terms_accepted_at, policy_seen)
    values (${accountId}, ${now}, ${now}, ${policyDay}::text::date)`
}

export interface AccountRow {
  id: string
  createdAt: Date
  termsAcceptedAt: Date
  phoneLinkedAt: Date | null
}

export async function findAccount(tx: Sql, accountId: string): Promise<AccountRow | undefined> {
  const [row] = await tx<AccountRow[]>`
    select a.id, a.created_at as "createdAt", a.terms_accepted_at as "termsAcceptedAt",
      p.linked_at as "phoneLinkedAt"
    from accounts a left join phones p on p.account_id = a.id
    where a.id = ${accountId}`
  return row
}

/**
 * Serialises changes to what an account has: its keys, wallets, namespaces. Rows that refer to it (a session that
 * begins) need not wait.
 */
export async function lockAccount(tx: Sql, accountId: string): Promise<void> {
  await tx`select 1 from accounts where id = ${accountId} for no key update`
}

export async function findAccountMadeAt(sql: Sql, accountId: string): Promise<Date | undefined> {
  const [row] = await sql<{ at: Date }[]>`select created_at as at from accounts where id = ${accountId}`
  return row?.at
}

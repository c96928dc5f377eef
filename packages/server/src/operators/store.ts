import type { Sql } from '../platform/db.ts'

export interface ActRow {
  id: string
  operator: string
  act: string
  subject: string
  outcome: string
  reason: string | null
  at: Date
}

export async function insertAct(tx: Sql, a: ActRow): Promise<void> {
  await tx`
    insert into operator_acts (id, operator, act, subject, outcome, reason, at)
    values (${a.id}, ${a.operator}, ${a.act}, ${a.subject}, ${a.outcome}, ${a.reason}, ${a.at})`
}

export function listActs(tx: Sql, limit: number): Promise<ActRow[]> {
  return tx<ActRow[]>`
    select id, operator, act, subject, outcome, reason, at from operator_acts order by at desc, id limit ${limit}`
}

export interface AccountRow {
  id: string
  createdAt: Date
  creditsMicros: bigint
  hasPhone: boolean
  hasWallet: boolean
}

export async function findAccount(tx: Sql, id: string): Promise<AccountRow | undefined> {
  const [row] = await tx<AccountRow[]>`
    select a.id, a.created_at as "createdAt", coalesce(l.balance_micros, 0)::bigint as "creditsMicros",
      exists (select from phones where account_id = a.id) as "hasPhone",
      exists (select from wallets where account_id = a.id) as "hasWallet"
    from accounts a left join billing_accounts b on b.account_id = a.id
    left join ledger_balances l using (ledger_account_id)
    where a.id = ${id}`
  return row
}

export interface StuckOperation {
  id: string
  kind: string
  subject: string
  step: string
  attempts: number
  lastError: string | null
  createdAt: Date
}

export function listStuck(tx: Sql, attemptsMin: number, limit: number): Promise<StuckOperation[]> {
  return tx<StuckOperation[]>`
    select id, kind, subject, step, attempts, last_error as "lastError", created_at as "createdAt"
    from operations where state = 'pending' and attempts >= ${attemptsMin}
    order by created_at, id limit ${limit}`
}

/** Makes work that waits for its next try due now; undefined when there is no such work any more. */
export async function retryOperation(
  tx: Sql,
  id: string,
): Promise<{ id: string; kind: string; subject: string } | undefined> {
  const [row] = await tx<{ id: string; kind: string; subject: string }[]>`
    update operations set run_at = least(run_at, clock_timestamp()) where id = ${id} and state = 'pending'
    returning id, kind, subject`
  return row
}

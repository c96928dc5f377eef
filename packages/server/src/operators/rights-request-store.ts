import type { RightsRequest } from '@agentctl/contract/operators.ts'
import type { Sql } from '../platform/db.ts'

export interface RightsRequestRow
  extends Pick<RightsRequest, 'id' | 'kind' | 'cameBy' | 'account' | 'outcome'> {
  receivedAt: Date
  dueAt: Date
  answeredAt: Date | null
}

const columns = (sql: Sql) => sql`
  id, kind, came_by as "cameBy", account_id as account, received_at as "receivedAt", due_at as "dueAt",
  answered_at as "answeredAt", outcome`

export function listOpen(tx: Sql, limit: number): Promise<RightsRequestRow[]> {
  return tx<RightsRequestRow[]>`
    select ${columns(tx)} from rights_requests where answered_at is null order by due_at, id limit ${limit}`
}

export function listNewest(tx: Sql, limit: number): Promise<RightsRequestRow[]> {
  return tx<RightsRequestRow[]>`
    select ${columns(tx)} from rights_requests order by received_at desc, id limit ${limit}`
}

/** Those that wait for their answer, and those of them that should have had it. */
export async function countOpen(sql: Sql, now: Date): Promise<{ open: number; overdue: number }> {
  const [row] = await sql<{ open: number; overdue: number }[]>`
    select count(*)::int as open, (count(*) filter (where due_at < ${now}))::int as overdue
    from rights_requests where answered_at is null`
  return row ?? { open: 0, overdue: 0 }
}

export async function insertRequest(
  tx: Sql,
  row: Pick<RightsRequestRow, 'id' | 'kind' | 'cameBy' | 'account' | 'receivedAt' | 'dueAt'>,
): Promise<RightsRequestRow> {
  const [made] = await tx<RightsRequestRow[]>`
    insert into rights_requests (id, kind, came_by, account_id, received_at, due_at)
    values (${row.id}, ${row.kind}, ${row.cameBy}, ${row.account}, ${row.receivedAt}, ${row.dueAt})
    returning ${columns(tx)}`
  if (!made) throw new Error('A request was not stored.')
  return made
}

/** The request as it is then; one that was answered before stays as it was. */
export async function setAnswered(
  tx: Sql,
  { id, outcome, now }: { id: string; outcome: 'done' | 'refused'; now: Date },
): Promise<RightsRequestRow | undefined> {
  await tx`
    update rights_requests set answered_at = ${now}, outcome = ${outcome} where id = ${id} and answered_at is null`
  const [row] = await tx<RightsRequestRow[]>`select ${columns(tx)} from rights_requests where id = ${id}`
  return row
}

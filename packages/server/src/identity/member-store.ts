import type { Role } from '@agentctl/contract/endpoint.ts'
import type { Sql } from '../platform/db.ts'
import { namespaceOf } from './namespace-store.ts'

export interface MemberRow {
  accountId: string
  role: Role
  createdAt: Date
}

export const membersOf = (sql: Sql, namespaceId: string) =>
  sql<MemberRow[]>`
    select account_id as "accountId", role, created_at as "createdAt"
    from members where namespace_id = ${namespaceId} order by created_at, account_id limit 500`

/** The same of a namespace by name or id, with its id and what this account is in it; none where it is no member. */
export const membersSeen = (sql: Sql, accountId: string, namespace: string) =>
  sql<(MemberRow & { namespaceId: string; ownRole: Role })[]>`
    select m.account_id as "accountId", m.role, m.created_at as "createdAt", n.id as "namespaceId", n.role as "ownRole"
    from (${namespaceOf(sql, accountId, namespace)}) as n join members m on m.namespace_id = n.id
    order by m.created_at, m.account_id limit 500`

export async function insertMember(
  tx: Sql,
  member: { namespaceId: string; accountId: string; role: Role; now: Date },
): Promise<void> {
  await tx`
    insert into members (namespace_id, account_id, role, created_at)
    values (${member.namespaceId}, ${member.accountId}, ${member.role}, ${member.now})`
}

export async function setMemberRole(
  tx: Sql,
  namespaceId: string,
  accountId: string,
  role: Role,
): Promise<void> {
  await tx`update members set role = ${role} where namespace_id = ${namespaceId} and account_id = ${accountId}`
}

export async function deleteMember(tx: Sql, namespaceId: string, accountId: string): Promise<void> {
  await tx`delete from members where namespace_id = ${namespaceId} and account_id = ${accountId}`
}

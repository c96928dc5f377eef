import type { Role } from '@agentctl/contract/endpoint.ts'
import type { Sql } from '../platform/db.ts'

export async function insertInvitation(
  tx: Sql,
  invitation: {
    id: string
    namespaceId: string
    role: Role
    codeHash: Buffer
    createdBy: string
    createdAt: Date
    expiresAt: Date
  },
): Promise<void> {
  await tx`
    insert into invitations (id, namespace_id, role, code_hash, created_by, created_at, expires_at)
    values (${invitation.id}, ${invitation.namespaceId}, ${invitation.role}, ${invitation.codeHash},
            ${invitation.createdBy}, ${invitation.createdAt}, ${invitation.expiresAt})`
}

export async function countOpenInvitations(tx: Sql, namespaceId: string, now: Date): Promise<number> {
  const [row] = await tx<{ count: number }[]>`
    select count(*)::int as count from invitations
    where namespace_id = ${namespaceId} and accepted_at is null and expires_at > ${now}`
  return row?.count ?? 0
}

/** Locked, so that of two who show the same code, one joins. */
export async function findInvitationForUpdate(
  tx: Sql,
  codeHash: Buffer,
): Promise<
  { id: string; namespaceId: string; role: Role; expiresAt: Date; acceptedAt: Date | null } | undefined
> {
  const [row] = await tx<
    { id: string; namespaceId: string; role: Role; expiresAt: Date; acceptedAt: Date | null }[]
  >`
    select id, namespace_id as "namespaceId", role, expires_at as "expiresAt", accepted_at as "acceptedAt"
    from invitations where code_hash = ${codeHash} for update`
  return row
}

export async function markInvitationAccepted(tx: Sql, id: string, now: Date): Promise<void> {
  await tx`update invitations set accepted_at = ${now} where id = ${id}`
}

/** Nobody comes in by the word of somebody who may not invite any more. */
export async function deleteInvitationsBy(tx: Sql, namespaceId: string, accountId: string): Promise<void> {
  await tx`
    delete from invitations
    where namespace_id = ${namespaceId} and created_by = ${accountId} and accepted_at is null`
}

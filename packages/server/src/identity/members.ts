import type { Role } from '@agentctl/contract/endpoint.ts'
import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import type { Caller } from '../platform/http.ts'
import { newId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import type { Secret } from '../platform/secret.ts'
import { newToken, tokenHash, tokenKind } from '../platform/tokens.ts'
import { admitted, enterNamespace, type Namespace, roleReaches } from './access.ts'
import {
  countOpenInvitations,
  deleteInvitationsBy,
  findInvitationForUpdate,
  insertInvitation,
  markInvitationAccepted,
} from './invitation-store.ts'
import {
  deleteMember,
  insertMember,
  type MemberRow,
  membersOf,
  membersSeen,
  setMemberRole,
} from './member-store.ts'
import { countAgents, lockNamespace, namespaceOf, setPayer } from './namespace-store.ts'

type MemberDeps = Pick<Deps, 'db' | 'clock'>

const INVITATION_SECONDS = 7 * 86_400
const OPEN_INVITATIONS_MAX = 50
const MEMBERS_MAX = 450

export async function listMembers(
  { db }: Pick<Deps, 'db'>,
  caller: Caller,
  namespace: string,
): Promise<MemberRow[]> {
  const members = await db.read({ account: caller.accountId }, (sql) =>
    membersSeen(sql, caller.accountId, namespace),
  )
  // Whoever sees a namespace is one of its members, so that none means that there is none.
  const [own] = members
  admitted(own && { id: own.namespaceId, role: own.ownRole }, caller, 'viewer')
  return members
}

/** A code for one new member. It is shown here and never again. */
export async function inviteMember(
  { db, clock }: MemberDeps,
  caller: Caller,
  namespaceName: string,
  role: Role,
): Promise<{ id: string; code: Secret; role: Role; expiresAt: Date }> {
  const now = clock.now()
  const code = newToken('i')
  const id = newId('inv')
  const expiresAt = secondsAfter(now, INVITATION_SECONDS)
  return db.as({ account: caller.accountId }, async (tx) => {
    const namespace = await enterNamespace(tx, caller, namespaceName, 'admin')
    requireRank(namespace, role)
    await lockNamespace(tx, namespace.id)
    if ((await countOpenInvitations(tx, namespace.id, now)) >= OPEN_INVITATIONS_MAX) {
      throw new Problem('conflict', `A namespace has at most ${OPEN_INVITATIONS_MAX} open invitations.`, {
        fix: 'Wait until some are accepted or expire.',
      })
    }
    if ((await membersOf(tx, namespace.id)).length >= MEMBERS_MAX) {
      throw new Problem('conflict', `A namespace has at most ${MEMBERS_MAX} members.`, {
        fix: 'Remove one first: agentctl members remove',
      })
    }
    await insertInvitation(tx, {
      id,
      namespaceId: namespace.id,
      role,
      codeHash: tokenHash(code.reveal()),
      createdBy: caller.accountId,
      createdAt: now,
      expiresAt,
    })
    return { id, code, role, expiresAt }
  })
}

export async function acceptInvitation(
  { db, clock }: MemberDeps,
  caller: Caller,
  code: string,
): Promise<Namespace> {
  if (tokenKind(code) !== 'i') throw new Problem('invitation_invalid')
  const hash = tokenHash(code)
  const now = clock.now()
  return db.as({ account: caller.accountId, presented: hash.toString('hex') }, async (tx) => {
    const invitation = await findInvitationForUpdate(tx, hash)
    if (!invitation || invitation.acceptedAt || invitation.expiresAt <= now) {
      throw new Problem('invitation_invalid')
    }
    const { id, namespaceId, role } = invitation
    const [joined] = await namespaceOf(tx, caller.accountId, namespaceId)
    if (joined) {
      throw new Problem(
        'conflict',
        'You are a member of this namespace already; the invitation stays good.',
        {
          fix: 'Pass it on to whom it was meant for, or have your role changed: agentctl members set-role',
        },
      )
    }
    await insertMember(tx, { namespaceId, accountId: caller.accountId, role, now })
    await markInvitationAccepted(tx, id, now)
    return enterNamespace(tx, caller, namespaceId, 'viewer')
  })
}

export async function setRole(
  { db }: Pick<Deps, 'db'>,
  caller: Caller,
  target: { namespace: string; accountId: string; role: Role },
): Promise<MemberRow> {
  return db.as({ account: caller.accountId }, async (tx) => {
    const { namespace, member, owners } = await enterForMember(tx, caller, target, 'admin')
    requireRank(namespace, member.role)
    requireRank(namespace, target.role)
    if (member.role === 'owner' && target.role !== 'owner') {
      await releaseOwner(tx, namespace, member, owners)
    }
    await setMemberRole(tx, namespace.id, member.accountId, target.role)
    if (!roleReaches(target.role, 'admin')) await deleteInvitationsBy(tx, namespace.id, member.accountId)
    return { ...member, role: target.role }
  })
}

/** Removes a member; everybody may leave. */
export async function removeMember(
  { db }: Pick<Deps, 'db'>,
  caller: Caller,
  target: { namespace: string; accountId: string },
): Promise<void> {
  const leaves = target.accountId === caller.accountId
  await db.as({ account: caller.accountId }, async (tx) => {
    const entered = await enterForMember(tx, caller, target, leaves ? 'viewer' : 'admin')
    const { namespace, member, owners } = entered
    requireRank(namespace, member.role)
    if (member.role === 'owner') await releaseOwner(tx, namespace, member, owners)
    await deleteInvitationsBy(tx, namespace.id, member.accountId)
    await deleteMember(tx, namespace.id, member.accountId)
  })
}

async function enterForMember(
  tx: Sql,
  caller: Caller,
  target: { namespace: string; accountId: string },
  role: Role,
): Promise<{ namespace: Namespace; member: MemberRow; owners: MemberRow[] }> {
  const seen = await enterNamespace(tx, caller, target.namespace, role)
  await lockNamespace(tx, seen.id)
  // Once more under the lock: the caller's own role may have been changed while this waited.
  const namespace = await enterNamespace(tx, caller, seen.id, role)
  const members = await membersOf(tx, namespace.id)
  const member = members.find(({ accountId }) => accountId === target.accountId)
  if (!member) {
    throw new Problem('not_found', 'There is no such member.', { fix: 'See: agentctl members list' })
  }
  return { namespace, member, owners: members.filter((each) => each.role === 'owner') }
}

/** Nobody gives, takes or touches a role above their own: only owners make owners. */
function requireRank(namespace: Namespace, role: Role): void {
  if (!roleReaches(namespace.role, role)) {
    throw new Problem('forbidden', `Only an owner can do this; your role here is ${namespace.role}.`, {
      fix: 'Ask an owner of the namespace: agentctl members list',
    })
  }
}

/** Lets an owner go where another one stays. Who pays goes only while there is nothing to pay for. */
async function releaseOwner(
  tx: Sql,
  namespace: Namespace,
  member: MemberRow,
  owners: readonly MemberRow[],
): Promise<void> {
  const next = owners.find(({ accountId }) => accountId !== member.accountId)
  if (!next) throw new Problem('last_owner')
  if (namespace.ownerAccountId !== member.accountId) return
  if ((await countAgents(tx, namespace.id)).live > 0) {
    throw new Problem('conflict', 'This account pays for the agents of the namespace.', {
      fix: 'Delete its agents first, or keep this account as an owner.',
    })
  }
  await setPayer(tx, namespace.id, next.accountId)
}

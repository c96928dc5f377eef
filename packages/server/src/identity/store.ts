import type { Role, Scope } from '@agentctl/contract/endpoint.ts'
import type { Sql } from '../platform/db.ts'
import type { Namespace } from './access.ts'
import { formsOf, type HashedPhone, type Proof } from './proof.ts'

/** Shows another hash within the transaction: row-level security then lets the row that it belongs to be seen. */
export async function present(tx: Sql, shown: Buffer | string): Promise<void> {
  await tx`select set_config('app.presented', ${typeof shown === 'string' ? shown : shown.toString('hex')}, true)`
}

// Sessions

export interface SessionRow {
  id: string
  accountId: string
  loginMethod: 'phone' | 'wallet'
  device: string | null
  createdAt: Date
  lastUsedAt: Date
  expiresAt: Date
}

const sessionColumns = (tx: Sql) => tx`
  id, account_id as "accountId", login_method as "loginMethod", device, created_at as "createdAt",
  last_used_at as "lastUsedAt", expires_at as "expiresAt"`

export async function findSessionByHash(tx: Sql, hash: Buffer): Promise<SessionRow | undefined> {
  const [row] = await tx<SessionRow[]>`select ${sessionColumns(tx)} from sessions where token_hash = ${hash}`
  return row
}

export async function touchSession(tx: Sql, hash: Buffer, usedAt: Date): Promise<void> {
  await tx`update sessions set last_used_at = greatest(last_used_at, ${usedAt}) where token_hash = ${hash}`
}

export async function insertSession(tx: Sql, session: SessionRow & { tokenHash: Buffer }): Promise<void> {
  await tx`
    insert into sessions (id, token_hash, account_id, login_method, device, created_at, last_used_at, expires_at)
    values (${session.id}, ${session.tokenHash}, ${session.accountId}, ${session.loginMethod}, ${session.device},
            ${session.createdAt}, ${session.lastUsedAt}, ${session.expiresAt})`
}

export function listLiveSessions(
  tx: Sql,
  accountId: string,
  live: { now: Date; idleSince: Date },
): Promise<SessionRow[]> {
  return tx<SessionRow[]>`
    select ${sessionColumns(tx)} from sessions
    where account_id = ${accountId} and expires_at > ${live.now} and last_used_at > ${live.idleSince}
    order by created_at desc, id
    limit 100`
}

export async function deleteSession(tx: Sql, accountId: string, id: string): Promise<boolean> {
  const rows = await tx`delete from sessions where account_id = ${accountId} and id = ${id} returning id`
  return rows.length > 0
}

export async function deleteOtherSessions(tx: Sql, accountId: string, keptId: string): Promise<void> {
  await tx`delete from sessions where account_id = ${accountId} and id <> ${keptId}`
}

/** Logins beyond this many end the ones that were made first. */
export async function trimSessions(tx: Sql, accountId: string, keep: number): Promise<void> {
  await tx`
    delete from sessions where account_id = ${accountId} and id not in (
      select id from sessions where account_id = ${accountId} order by created_at desc, id limit ${keep})`
}

// Accounts and their login methods

/** One at a time for whoever proves the same: two sign-ups that race end with one account. */
export async function lockProof(tx: Sql, proof: Proof): Promise<void> {
  // Under every pepper, so that servers that know different sets of them still meet at one lock.
  const names =
    proof.method === 'wallet' ? [proof.address] : formsOf(proof.phone).map((form) => form.toString('hex'))
  for (const name of names.sort()) await tx`select pg_advisory_xact_lock(hashtextextended(${name}, 1))`
}

export async function findAccountByProof(tx: Sql, proof: Proof): Promise<string | undefined> {
  if (proof.method === 'wallet') {
    await present(tx, proof.address)
    const [row] = await tx<{ accountId: string }[]>`
      select account_id as "accountId" from wallets where address = ${proof.address}`
    return row?.accountId
  }
  for (const form of formsOf(proof.phone)) {
    await present(tx, form)
    const [row] = await tx<{ accountId: string }[]>`
      select account_id as "accountId" from phones where phone_hmac = ${form}`
    if (row) return row.accountId
  }
  return undefined
}

export async function insertAccount(tx: Sql, accountId: string, now: Date): Promise<void> {
  await tx`insert into accounts (id, created_at, terms_accepted_at) values (${accountId}, ${now}, ${now})`
}

export async function insertLoginMethod(tx: Sql, accountId: string, proof: Proof, now: Date): Promise<void> {
  if (proof.method === 'wallet') {
    await tx`insert into wallets (address, account_id, linked_at) values (${proof.address}, ${accountId}, ${now})`
    return
  }
  await tx`
    insert into phones (phone_hmac, pepper_version, account_id, linked_at)
    values (${proof.phone.hmac}, ${proof.phone.pepperVersion}, ${accountId}, ${now})`
}

/** There is no number to hash anew, so a login is the moment at which a stored phone moves to the newest pepper. */
export async function moveToNewestPepper(tx: Sql, accountId: string, phone: HashedPhone): Promise<void> {
  await tx`
    update phones set phone_hmac = ${phone.hmac}, pepper_version = ${phone.pepperVersion}
    where account_id = ${accountId} and phone_hmac = any(${tx.array(phone.olderHmacs)})`
}

/** Whether the account had a phone. */
export async function deletePhone(tx: Sql, accountId: string): Promise<boolean> {
  const rows = await tx`delete from phones where account_id = ${accountId} returning account_id`
  return rows.length > 0
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

export function listWallets(tx: Sql, accountId: string): Promise<{ address: string; linkedAt: Date }[]> {
  return tx<{ address: string; linkedAt: Date }[]>`
    select address, linked_at as "linkedAt" from wallets
    where account_id = ${accountId} order by linked_at, address limit 100`
}

// Proven logins that wait for the agreement to the terms

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

// Messages that wallets were asked to sign

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

// Codes under way to phones

export interface PhoneChallengeRow {
  hmac: Buffer
  pepperVersion: number
  olderHmacs: Buffer[]
  country: string
  providerId: string | null
  attempts: number
  createdAt: Date
}

/**
 * Begins the phone's challenge; the one before it ends. Where no code is sent, the code that is under way, and the
 * tries that it has had, pass on to the new challenge.
 */
export async function beginPhoneChallenge(
  tx: Sql,
  challenge: {
    id: string
    phone: HashedPhone
    country: string
    accountId: string | null
    sends: boolean
    now: Date
    expiresAt: Date
  },
): Promise<void> {
  const { phone } = challenge
  await tx`
    insert into phone_challenges as c (id, phone_hmac, pepper_version, older_hmacs, country, account_id, created_at, expires_at)
    values (${challenge.id}, ${phone.hmac}, ${phone.pepperVersion}, ${tx.array(phone.olderHmacs)}, ${challenge.country},
            ${challenge.accountId}, ${challenge.now}, ${challenge.expiresAt})
    on conflict (phone_hmac) do update set
      id = excluded.id, pepper_version = excluded.pepper_version, older_hmacs = excluded.older_hmacs,
      account_id = excluded.account_id, created_at = excluded.created_at, expires_at = excluded.expires_at,
      provider_id = case when ${!challenge.sends} and c.consumed_at is null and c.expires_at > ${challenge.now}
        then c.provider_id end,
      attempts = case when ${!challenge.sends} and c.consumed_at is null and c.expires_at > ${challenge.now}
        then c.attempts else 0 end,
      consumed_at = null`
}

/** By phone, not by id: a request for another code may have taken the challenge over while this one was being sent. */
export async function noteProviderId(tx: Sql, phone: HashedPhone, providerId: string | null): Promise<void> {
  await tx`
    update phone_challenges set provider_id = coalesce(${providerId}, provider_id)
    where phone_hmac = ${phone.hmac} and consumed_at is null`
}

/** Counts a try at a live challenge of this account (null: of nobody yet), and only then shows it. */
export async function tryPhoneChallenge(
  tx: Sql,
  attempt: { id: string; accountId: string | null; attemptsMax: number; now: Date },
): Promise<PhoneChallengeRow | undefined> {
  const [row] = await tx<PhoneChallengeRow[]>`
    update phone_challenges set attempts = attempts + 1
    where id = ${attempt.id} and account_id is not distinct from ${attempt.accountId}
      and consumed_at is null and expires_at > ${attempt.now} and attempts < ${attempt.attemptsMax}
    returning phone_hmac as hmac, pepper_version as "pepperVersion", older_hmacs as "olderHmacs", country,
      provider_id as "providerId", attempts, created_at as "createdAt"`
  return row
}

export async function consumePhoneChallenge(tx: Sql, id: string, now: Date): Promise<boolean> {
  const rows = await tx`
    update phone_challenges set consumed_at = ${now} where id = ${id} and consumed_at is null returning id`
  return rows.length > 0
}

// API keys

export interface KeyRow {
  id: string
  accountId: string
  name: string
  prefix: string
  scopes: Scope[]
  namespaceId: string | null
  namespace: string | null
  createdAt: Date
  expiresAt: Date | null
  lastUsedAt: Date | null
  rotatedAt: Date | null
  revokedAt: Date | null
}

const keyColumns = (tx: Sql) => tx`
  k.id, k.account_id as "accountId", k.name, k.prefix, k.scopes, k.namespace_id as "namespaceId",
  k.created_at as "createdAt", k.expires_at as "expiresAt", k.last_used_at as "lastUsedAt",
  k.rotated_at as "rotatedAt", k.revoked_at as "revokedAt"`

export async function findKeyByHash(tx: Sql, hash: Buffer): Promise<Omit<KeyRow, 'namespace'> | undefined> {
  const [row] = await tx<KeyRow[]>`select ${keyColumns(tx)} from api_keys k where k.key_hash = ${hash}`
  return row
}

export async function touchKey(tx: Sql, hash: Buffer, usedAt: Date): Promise<void> {
  await tx`update api_keys set last_used_at = ${usedAt} where key_hash = ${hash}`
}

export async function insertKey(tx: Sql, key: KeyRow & { keyHash: Buffer }): Promise<void> {
  await tx`
    insert into api_keys (id, key_hash, prefix, account_id, namespace_id, name, scopes, created_at, expires_at)
    values (${key.id}, ${key.keyHash}, ${key.prefix}, ${key.accountId}, ${key.namespaceId}, ${key.name},
            ${key.scopes}, ${key.createdAt}, ${key.expiresAt})`
}

/** Newest first; of a key that is bound to a namespace the others are hidden. */
export function listKeys(tx: Sql, accountId: string, namespaceId: string | null): Promise<KeyRow[]> {
  return tx<KeyRow[]>`
    select ${keyColumns(tx)}, n.name as namespace
    from api_keys k left join namespaces n on n.id = k.namespace_id
    where k.account_id = ${accountId} and (${namespaceId}::text is null or k.namespace_id = ${namespaceId})
    order by k.created_at desc, k.id limit 200`
}

export async function findKeyForUpdate(tx: Sql, accountId: string, id: string): Promise<KeyRow | undefined> {
  const [row] = await tx<KeyRow[]>`
    select ${keyColumns(tx)}, n.name as namespace
    from api_keys k left join namespaces n on n.id = k.namespace_id
    where k.account_id = ${accountId} and k.id = ${id}
    for update of k`
  return row
}

export async function countLiveKeys(tx: Sql, accountId: string, now: Date): Promise<number> {
  const [row] = await tx<{ count: number }[]>`
    select count(*)::int as count from api_keys
    where account_id = ${accountId} and revoked_at is null and (expires_at is null or expires_at > ${now})`
  return row?.count ?? 0
}

export async function retireKey(
  tx: Sql,
  id: string,
  retired: { rotatedAt: Date; expiresAt: Date },
): Promise<void> {
  await tx`
    update api_keys set rotated_at = ${retired.rotatedAt}, expires_at = least(expires_at, ${retired.expiresAt})
    where id = ${id}`
}

export async function revokeKeyRow(tx: Sql, id: string, now: Date): Promise<void> {
  await tx`update api_keys set revoked_at = coalesce(revoked_at, ${now}) where id = ${id}`
}

// Namespaces, members, invitations

const namespaceColumns = (tx: Sql) => tx`
  n.id, n.name, n.owner_account_id as "ownerAccountId", n.created_at as "createdAt", m.role`

/** By name or id; without either the account's first. Only where the account is a member. */
export async function findNamespace(
  tx: Sql,
  accountId: string,
  name: string | undefined,
): Promise<Namespace | undefined> {
  const [row] = await tx<Namespace[]>`
    select ${namespaceColumns(tx)}
    from namespaces n join members m on m.namespace_id = n.id and m.account_id = ${accountId}
    where ${name ?? null}::text is null or n.name = ${name ?? null} or n.id = ${name ?? null}
    order by m.created_at, n.id limit 1`
  return row
}

export function listNamespaces(tx: Sql, accountId: string, namespaceId: string | null): Promise<Namespace[]> {
  return tx<Namespace[]>`
    select ${namespaceColumns(tx)}
    from namespaces n join members m on m.namespace_id = n.id and m.account_id = ${accountId}
    where ${namespaceId}::text is null or n.id = ${namespaceId}
    order by m.created_at, n.id limit 200`
}

/** False when the name is taken, by whomever. */
export async function insertNamespace(
  tx: Sql,
  namespace: { id: string; name: string; ownerAccountId: string; createdAt: Date },
): Promise<boolean> {
  const rows = await tx`
    insert into namespaces (id, name, owner_account_id, created_at)
    values (${namespace.id}, ${namespace.name}, ${namespace.ownerAccountId}, ${namespace.createdAt})
    on conflict (name) do nothing returning id`
  return rows.length > 0
}

export async function insertMember(
  tx: Sql,
  member: { namespaceId: string; accountId: string; role: Role; now: Date },
): Promise<void> {
  await tx`
    insert into members (namespace_id, account_id, role, created_at)
    values (${member.namespaceId}, ${member.accountId}, ${member.role}, ${member.now})`
}

export async function countOwnNamespaces(tx: Sql, accountId: string): Promise<number> {
  const [row] = await tx<{ count: number }[]>`
    select count(*)::int as count
    from namespaces n join members m on m.namespace_id = n.id and m.account_id = ${accountId}
    where n.owner_account_id = ${accountId}`
  return row?.count ?? 0
}

/**
 * Serialises changes to who is in a namespace: two owners who leave at once would leave none. Not stronger than that:
 * whoever accepts an invitation holds it while its new row asks for the namespace, and the two would wait for each other.
 */
export async function lockNamespace(tx: Sql, namespaceId: string): Promise<void> {
  await tx`select 1 from namespaces where id = ${namespaceId} for no key update`
}

export async function renameNamespaceRow(tx: Sql, namespaceId: string, name: string): Promise<void> {
  await tx`update namespaces set name = ${name} where id = ${namespaceId}`
}

export async function setPayer(tx: Sql, namespaceId: string, accountId: string): Promise<void> {
  await tx`update namespaces set owner_account_id = ${accountId} where id = ${namespaceId}`
}

/** Agents of a namespace: those that live, and whether there ever was one. */
export async function countAgents(tx: Sql, namespaceId: string): Promise<{ live: number; ever: number }> {
  const [row] = await tx<{ live: number; ever: number }[]>`
    select (count(*) filter (where status <> 'deleted'))::int as live, count(*)::int as ever
    from agents where namespace_id = ${namespaceId}`
  return row ?? { live: 0, ever: 0 }
}

export async function deleteNamespaceRow(tx: Sql, namespaceId: string): Promise<void> {
  await tx`delete from namespaces where id = ${namespaceId}`
}

/** Leaves nothing of a namespace but its row, which its payer still sees. Members last: they see the rest. */
export async function emptyNamespace(tx: Sql, namespaceId: string): Promise<void> {
  await tx`delete from invitations where namespace_id = ${namespaceId}`
  await tx`delete from api_keys where namespace_id = ${namespaceId}`
  await tx`delete from members where namespace_id = ${namespaceId}`
}

export interface MemberRow {
  accountId: string
  role: Role
  createdAt: Date
}

export function listMembers(tx: Sql, namespaceId: string): Promise<MemberRow[]> {
  return tx<MemberRow[]>`
    select account_id as "accountId", role, created_at as "createdAt"
    from members where namespace_id = ${namespaceId} order by created_at, account_id limit 500`
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

import type { ResponseOf } from '@agentctl/contract/api.ts'
import type { Deps } from '../deps.ts'
import type { Api, Caller } from '../platform/http.ts'
import type { Namespace } from './access.ts'
import { acceptTerms, type LogInOutcome, logIn, type PolicyDays, TERMS_TEXT, whoami } from './accounts.ts'
import type { KeyRow } from './key-store.ts'
import { createKey, listKeys, type NewKey, revokeKey, rotateKey } from './keys.ts'
import type { MemberRow } from './member-store.ts'
import { acceptInvitation, inviteMember, listMembers, removeMember, setRole } from './members.ts'
import { createNamespace, deleteNamespace, listNamespaces, renameNamespace } from './namespaces.ts'
import { listNotices, readNotices } from './notices.ts'
import { newPace } from './pace.ts'
import { startPhoneChallenge, verifyPhone } from './phone-login.ts'
import { type Paces, proofRoutes, shownAccount, shownChallenge } from './proof-routes.ts'
import { listSessions, revokeSession } from './sessions.ts'
import { startWalletChallenge, verifyWallet } from './wallet-login.ts'
import { removeWebhook, setWebhook, showWebhook, testWebhook } from './webhooks.ts'

export type IdentityDeps = Pick<
  Deps,
  'config' | 'db' | 'clock' | 'keyring' | 'log' | 'pepper' | 'sms' | 'chain'
> &
  PolicyDays

export function identityRoutes(api: Api, deps: IdentityDeps): void {
  const pace = { send: newPace(), check: newPace(), chain: newPace() }
  loginRoutes(api, deps, pace)
  proofRoutes(api, deps, pace)
  accountRoutes(api, deps)
  keyRoutes(api, deps)
  namespaceRoutes(api, deps)
}

function loginRoutes(api: Api, deps: IdentityDeps, pace: Paces): void {
  api.on('POST /v1/logins/phone', async ({ body, clientAddress }) =>
    shownChallenge(
      await startPhoneChallenge(deps, { phone: body.phone, clientAddress, accountId: null }, pace.send),
    ),
  )
  api.on('POST /v1/logins/phone/verify', async ({ body, clientAddress }) => {
    const proof = await verifyPhone(deps, { ...body, clientAddress, accountId: null }, pace.check)
    return shownOutcome(deps, await logIn(deps, proof, body))
  })
  api.on('POST /v1/logins/wallet', async ({ body, clientAddress }) => {
    const { message, expiresAt } = await startWalletChallenge(deps, {
      address: body.address,
      chainId: body.chainId,
      clientAddress,
      purpose: 'log in',
      accountId: null,
    })
    return { message, expiresAt: expiresAt.toISOString() }
  })
  api.on('POST /v1/logins/wallet/verify', async ({ body, clientAddress }) => {
    const proof = await verifyWallet(
      deps,
      { ...body, clientAddress, purpose: 'log in', accountId: null },
      pace.chain,
    )
    return shownOutcome(deps, await logIn(deps, proof, body))
  })
  api.on('POST /v1/logins/accept-terms', async ({ body }) =>
    shownLogin(await acceptTerms(deps, body.signupToken, body.device)),
  )
}

function accountRoutes(api: Api, deps: IdentityDeps): void {
  api.on('GET /v1/notices', async ({ caller, query }) => ({
    notices: await listNotices(deps, caller.accountId, query.unread === 'true'),
  }))
  api.on('POST /v1/notices/read', async ({ caller, body }) => ({
    read: await readNotices(deps, caller.accountId, body.ids),
  }))
  api.on('PUT /v1/account/webhook', ({ caller, body }) => setWebhook(deps, caller, body.url))
  api.on('GET /v1/account/webhook', ({ caller }) => showWebhook(deps, caller))
  api.on('POST /v1/account/webhook/test', ({ caller }) => testWebhook(deps, caller))
  api.on('DELETE /v1/account/webhook', async ({ caller }) => {
    await removeWebhook(deps, caller)
    return undefined
  })
  api.on('GET /v1/whoami', ({ caller }) => whoami(deps, caller))
  api.on('GET /v1/account', ({ caller }) => shownAccount(deps, caller))
  api.on('POST /v1/logout', async ({ caller }) => {
    await revokeSession(deps, caller, caller.credentialId)
    return undefined
  })
  api.on('GET /v1/account/sessions', async ({ caller }) => ({
    sessions: (await listSessions(deps, caller)).map((session) => ({
      id: session.id,
      device: session.device,
      loginMethod: session.loginMethod,
      createdAt: session.createdAt.toISOString(),
      lastUsedAt: session.lastUsedAt.toISOString(),
      expiresAt: session.expiresAt.toISOString(),
      current: session.current,
    })),
  }))
  api.on('DELETE /v1/account/sessions/:session', async ({ caller, params }) => {
    await revokeSession(deps, caller, params.session)
    return undefined
  })
}

function keyRoutes(api: Api, deps: IdentityDeps): void {
  api.on('GET /v1/keys', async ({ caller }) => ({ keys: (await listKeys(deps, caller)).map(shownKey) }))
  api.on('POST /v1/keys', async ({ caller, body }) => shownNewKey(await createKey(deps, caller, body)))
  api.on('POST /v1/keys/:key/rotate', async ({ caller, params, body }) =>
    shownNewKey(await rotateKey(deps, caller, params.key, body.overlapSeconds)),
  )
  api.on('DELETE /v1/keys/:key', async ({ caller, params }) => {
    await revokeKey(deps, caller, params.key)
    return undefined
  })
}

function namespaceRoutes(api: Api, deps: IdentityDeps): void {
  api.on('GET /v1/namespaces', async ({ caller }) => ({
    namespaces: (await listNamespaces(deps, caller)).map(shownNamespace),
  }))
  api.on('POST /v1/namespaces', async ({ caller, body }) =>
    shownNamespace(await createNamespace(deps, caller, body.name)),
  )
  api.on('PATCH /v1/namespaces/:namespace', async ({ caller, params, body }) =>
    shownNamespace(await renameNamespace(deps, caller, params.namespace, body.name)),
  )
  api.on('DELETE /v1/namespaces/:namespace', async ({ caller, params }) => {
    await deleteNamespace(deps, caller, params.namespace)
    return undefined
  })
  api.on('GET /v1/namespaces/:namespace/members', async ({ caller, params }) => {
    const members = await listMembers(deps, caller, params.namespace)
    return { members: members.map((member) => shownMember(member, caller)) }
  })
  api.on('POST /v1/namespaces/:namespace/invitations', async ({ caller, params, body }) => {
    const { id, code, role, expiresAt } = await inviteMember(deps, caller, params.namespace, body.role)
    return { id, code: code.reveal(), role, expiresAt: expiresAt.toISOString() }
  })
  api.on('POST /v1/invitations/accept', async ({ caller, body }) =>
    shownNamespace(await acceptInvitation(deps, caller, body.code)),
  )
  api.on('PATCH /v1/namespaces/:namespace/members/:account', async ({ caller, params, body }) => {
    const target = { namespace: params.namespace, accountId: params.account, role: body.role }
    return shownMember(await setRole(deps, caller, target), caller)
  })
  api.on('DELETE /v1/namespaces/:namespace/members/:account', async ({ caller, params }) => {
    await removeMember(deps, caller, { namespace: params.namespace, accountId: params.account })
    return undefined
  })
}

function shownOutcome(
  { config }: IdentityDeps,
  outcome: LogInOutcome,
): ResponseOf<'POST /v1/logins/phone/verify'> {
  if (outcome.status === 'logged_in') return shownLogin(outcome)
  return {
    status: 'terms_required',
    signupToken: outcome.signupToken.reveal(),
    terms: { text: TERMS_TEXT, url: new URL('/policy', config.apiUrl).href },
  }
}

function shownLogin(
  login: Extract<LogInOutcome, { status: 'logged_in' }>,
): ResponseOf<'POST /v1/logins/accept-terms'> {
  return {
    status: 'logged_in',
    token: login.token.reveal(),
    expiresAt: login.expiresAt.toISOString(),
    account: { id: login.accountId },
    created: login.created,
  }
}

function shownKey(key: KeyRow): ResponseOf<'GET /v1/keys'>['keys'][number] {
  return {
    id: key.id,
    name: key.name,
    prefix: key.prefix,
    scopes: key.scopes,
    namespace: key.namespace,
    createdAt: key.createdAt.toISOString(),
    expiresAt: key.expiresAt?.toISOString() ?? null,
    lastUsedAt: key.lastUsedAt?.toISOString() ?? null,
    revokedAt: key.revokedAt?.toISOString() ?? null,
  }
}

function shownNewKey({ row, key }: NewKey): ResponseOf<'POST /v1/keys'> {
  return {
    id: row.id,
    name: row.name,
    key: key.reveal(),
    scopes: row.scopes,
    namespace: row.namespace,
    expiresAt: row.expiresAt?.toISOString() ?? null,
  }
}

function shownNamespace({ id, name, role, createdAt }: Namespace): ResponseOf<'POST /v1/namespaces'> {
  return { id, name, role, createdAt: createdAt.toISOString() }
}

function shownMember(
  { accountId, role, createdAt }: MemberRow,
  caller: Caller,
): ResponseOf<'PATCH /v1/namespaces/:namespace/members/:account'> {
  return { accountId, role, since: createdAt.toISOString(), you: accountId === caller.accountId }
}

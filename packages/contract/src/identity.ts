import { z } from 'zod'
import { Name } from './agent-config.ts'
import { defineEndpoints, roles, scopes } from './endpoint.ts'

const Time = z.iso.datetime()
export const RoleName = z.enum(roles)
export const ScopeName = z.enum(scopes)
export const LoginMethod = z.enum(['phone', 'wallet'])

const Terms = z.strictObject({
  /** The sentence to agree to, as the page of the policy has it. */
  text: z.string(),
  url: z.string(),
})

const LoggedIn = z.strictObject({
  status: z.literal('logged_in'),
  /** The session token: shown once, bearer of every further request. */
  token: z.string(),
  expiresAt: Time,
  account: z.strictObject({ id: z.string() }),
  /** True when this login made the account. */
  created: z.boolean(),
})

/** A login proves who somebody is; whether there is an account for it is told only after the proof. */
export const LoginOutcome = z.discriminatedUnion('status', [
  LoggedIn,
  z.strictObject({ status: z.literal('terms_required'), signupToken: z.string(), terms: Terms }),
])
export type LoginOutcome = z.infer<typeof LoginOutcome>

const Phone = z.string().min(4).max(32).describe('Phone number in international form, such as +821012345678')
const Code = z.string().regex(/^\d{4,10}$/, 'the code has 4 to 10 digits')
const Address = z.string().regex(/^0x[0-9a-fA-F]{40}$/, 'an address is 0x and 40 hexadecimal digits')
const Signature = z
  .string()
  .regex(/^0x([0-9a-fA-F]{2})+$/, 'a signature is 0x and hexadecimal digits')
  .max(8194)
/** What the session list shows, such as "agentctl 0.1.0 on linux". */
const Device = z.string().max(120).optional()

export const PhoneChallenge = z.strictObject({
  challengeId: z.string(),
  expiresAt: Time,
  /** When another code may be asked for. */
  resendAt: Time,
})

export const WalletChallenge = z.strictObject({
  /** EIP-4361 text to sign to the letter. */
  message: z.string(),
  expiresAt: Time,
})

export const Session = z.strictObject({
  id: z.string(),
  device: z.string().nullable(),
  loginMethod: LoginMethod,
  createdAt: Time,
  lastUsedAt: Time,
  expiresAt: Time,
  current: z.boolean(),
})

export const Key = z.strictObject({
  id: z.string(),
  name: z.string(),
  /** First characters, enough to recognise it. */
  prefix: z.string(),
  scopes: z.array(ScopeName),
  namespace: z.string().nullable(),
  createdAt: Time,
  expiresAt: Time.nullable(),
  lastUsedAt: Time.nullable(),
  revokedAt: Time.nullable(),
})
export type Key = z.infer<typeof Key>

export const Notice = z.strictObject({
  id: z.string(),
  kind: z.string(),
  message: z.string(),
  /** A command that helps. */
  next: z.string().nullable(),
  createdAt: Time,
  /** Null until somebody has said that it was read. */
  readAt: Time.nullable(),
})
export type Notice = z.infer<typeof Notice>

/** Where service messages are sent to, because their account wants it. */
export const NoticeWebhook = z.strictObject({
  url: z.string(),
  createdAt: Time,
  /** When it last took a message. */
  deliveredAt: Time.nullable(),
  /** Since when it has taken none, and why. */
  failingSince: Time.nullable(),
  lastError: z.string().nullable(),
})
export type NoticeWebhook = z.infer<typeof NoticeWebhook>

/** The answer that has the key itself: once, never again. */
export const NewKey = z.strictObject({
  id: z.string(),
  name: z.string(),
  key: z.string(),
  scopes: z.array(ScopeName),
  namespace: z.string().nullable(),
  expiresAt: Time.nullable(),
})

export const Namespace = z.strictObject({ id: z.string(), name: z.string(), role: RoleName, createdAt: Time })
export const Member = z.strictObject({ accountId: z.string(), role: RoleName, since: Time, you: z.boolean() })

export const Whoami = z.strictObject({
  account: z.strictObject({ id: z.string() }),
  namespaces: z.array(z.strictObject({ name: z.string(), role: RoleName })),
  loginMethods: z.array(LoginMethod),
  via: z.enum(['session', 'key']),
})

export const Account = z.strictObject({
  id: z.string(),
  createdAt: Time,
  termsAcceptedAt: Time,
  phone: z.strictObject({ linkedAt: Time }).nullable(),
  wallets: z.array(z.strictObject({ address: z.string(), linkedAt: Time })),
})

/** Keys are of the caller's own account. */
const manageKeys = { scope: 'keys:manage' } as const

export const identityEndpoints = defineEndpoints({
  'POST /v1/logins/phone': {
    id: 'startPhoneLogin',
    summary: 'Have a code sent to a phone',
    access: 'public',
    status: 202,
    body: z.strictObject({ phone: Phone }),
    response: PhoneChallenge,
    problems: ['unsupported_number'],
  },
  'POST /v1/logins/phone/verify': {
    id: 'verifyPhoneLogin',
    summary: 'Log in with the code that the phone received',
    access: 'public',
    body: z.strictObject({
      challengeId: z.string(),
      code: Code,
      acceptTerms: z.boolean().optional(),
      device: Device,
    }),
    response: LoginOutcome,
    problems: ['login_failed', 'account_banned', 'provider_unavailable'],
  },
  'POST /v1/logins/wallet': {
    id: 'startWalletLogin',
    summary: 'Have a message composed for a wallet to sign',
    access: 'public',
    status: 202,
    body: z.strictObject({ address: Address, chainId: z.int().positive().optional() }),
    response: WalletChallenge,
  },
  'POST /v1/logins/wallet/verify': {
    id: 'verifyWalletLogin',
    summary: 'Log in with the signed message',
    access: 'public',
    body: z.strictObject({
      message: z.string().max(4096),
      signature: Signature,
      acceptTerms: z.boolean().optional(),
      device: Device,
    }),
    response: LoginOutcome,
    problems: ['login_failed', 'account_banned'],
  },
  'POST /v1/logins/accept-terms': {
    id: 'acceptTerms',
    summary: 'Agree to the terms and make the account of a proven login',
    access: 'public',
    body: z.strictObject({ signupToken: z.string(), device: Device }),
    response: LoggedIn,
    problems: ['login_failed', 'account_banned'],
  },
  'POST /v1/logout': { id: 'logout', summary: 'End this session', access: 'session', status: 204 },
  'GET /v1/whoami': { id: 'whoami', summary: 'Who is asking', access: 'account', response: Whoami },
  'GET /v1/account': {
    id: 'showAccount',
    summary: 'What the account is made of',
    access: 'session',
    response: Account,
  },
  'POST /v1/account/phone': {
    id: 'startPhoneLink',
    summary: 'Have a code sent to a phone that is to be linked to this account',
    access: 'session',
    status: 202,
    body: z.strictObject({ phone: Phone }),
    response: PhoneChallenge,
    problems: ['unsupported_number', 'reauthentication_required'],
  },
  'POST /v1/account/phone/verify': {
    id: 'linkPhone',
    summary: 'Link the phone; it replaces the one before, and every other session ends',
    access: 'session',
    body: z.strictObject({ challengeId: z.string(), code: Code }),
    response: Account,
    problems: [
      'login_failed',
      'account_banned',
      'login_method_taken',
      'reauthentication_required',
      'conflict',
      'provider_unavailable',
    ],
  },
  'POST /v1/account/wallets': {
    id: 'startWalletLink',
    summary: 'Have a message composed for a wallet that is to be linked to this account',
    access: 'session',
    status: 202,
    body: z.strictObject({ address: Address, chainId: z.int().positive().optional() }),
    response: WalletChallenge,
    problems: ['reauthentication_required'],
  },
  'POST /v1/account/wallets/verify': {
    id: 'linkWallet',
    summary: 'Link the wallet, beside the others or in the place of one; every other session ends',
    access: 'session',
    body: z.strictObject({
      message: z.string().max(4096),
      signature: Signature,
      /** The wallet that it takes the place of. */
      replaces: Address.optional(),
    }),
    response: Account,
    problems: [
      'login_failed',
      'account_banned',
      'login_method_taken',
      'reauthentication_required',
      'conflict',
      'not_found',
    ],
  },
  'POST /v1/account/proofs/phone': {
    id: 'startPhoneProof',
    summary: 'Have a code sent to the phone of this account, to prove anew that it is you',
    access: 'session',
    status: 202,
    body: z.strictObject({ phone: Phone }),
    response: PhoneChallenge,
    problems: ['unsupported_number'],
  },
  'POST /v1/account/proofs/phone/verify': {
    id: 'provePhone',
    summary: 'Prove anew by the code that it is you: this session counts as just begun for ten minutes',
    access: 'session',
    status: 204,
    body: z.strictObject({ challengeId: z.string(), code: Code }),
    problems: ['login_failed', 'provider_unavailable'],
  },
  'POST /v1/account/proofs/wallet': {
    id: 'startWalletProof',
    summary: 'Have a message composed for a wallet of this account to sign, to prove anew that it is you',
    access: 'session',
    status: 202,
    body: z.strictObject({ address: Address, chainId: z.int().positive().optional() }),
    response: WalletChallenge,
  },
  'POST /v1/account/proofs/wallet/verify': {
    id: 'proveWallet',
    summary: 'Prove anew by the signature that it is you: this session counts as just begun for ten minutes',
    access: 'session',
    status: 204,
    body: z.strictObject({ message: z.string().max(4096), signature: Signature }),
    problems: ['login_failed'],
  },
  'GET /v1/account/sessions': {
    id: 'listSessions',
    summary: 'Live sessions of the account',
    access: 'session',
    response: z.strictObject({ sessions: z.array(Session) }),
  },
  'DELETE /v1/account/sessions/:session': {
    id: 'revokeSession',
    summary: 'End a session',
    access: 'session',
    status: 204,
  },

  'GET /v1/keys': {
    id: 'listKeys',
    summary: 'API keys of the account',
    access: manageKeys,
    response: z.strictObject({ keys: z.array(Key) }),
  },
  'POST /v1/keys': {
    id: 'createKey',
    summary: 'Make an API key; only somebody who is logged in can',
    access: 'session',
    status: 201,
    body: z.strictObject({
      name: z.string().min(1).max(64),
      scopes: z.array(ScopeName).min(1),
      namespace: Name.optional(),
      /** Absent: 90 days. null: never expires. */
      expiresInDays: z.int().min(1).max(3650).nullable().optional(),
    }),
    response: NewKey,
    problems: ['reauthentication_required', 'conflict'],
  },
  'POST /v1/keys/:key/rotate': {
    id: 'rotateKey',
    summary: 'Make a successor; the old key works on for the overlap',
    access: manageKeys,
    status: 201,
    body: z.strictObject({ overlapSeconds: z.int().min(0).max(2_592_000).optional() }),
    response: NewKey,
    problems: ['reauthentication_required', 'conflict'],
  },
  'DELETE /v1/keys/:key': {
    id: 'revokeKey',
    summary: 'Revoke a key at once',
    access: manageKeys,
    status: 204,
  },

  'GET /v1/namespaces': {
    id: 'listNamespaces',
    summary: 'Namespaces that you are a member of',
    access: 'account',
    response: z.strictObject({ namespaces: z.array(Namespace) }),
  },
  'POST /v1/namespaces': {
    id: 'createNamespace',
    summary: 'Make a namespace',
    access: 'session',
    status: 201,
    body: z.strictObject({ name: Name }),
    response: Namespace,
    problems: ['name_taken', 'conflict'],
  },
  'PATCH /v1/namespaces/:namespace': {
    id: 'renameNamespace',
    summary: 'Rename a namespace; the addresses of its agents stay as they are',
    access: 'session',
    body: z.strictObject({ name: Name }),
    response: Namespace,
    problems: ['name_taken'],
  },
  'DELETE /v1/namespaces/:namespace': {
    id: 'deleteNamespace',
    summary: 'Delete an empty namespace',
    access: 'session',
    status: 204,
    problems: ['namespace_not_empty', 'conflict'],
  },
  'GET /v1/namespaces/:namespace/members': {
    id: 'listMembers',
    summary: 'Members of a namespace',
    access: 'account',
    response: z.strictObject({ members: z.array(Member) }),
  },
  'POST /v1/namespaces/:namespace/invitations': {
    id: 'inviteMember',
    summary: 'Make an invitation code for one new member',
    access: 'session',
    status: 201,
    body: z.strictObject({ role: RoleName }),
    response: z.strictObject({ id: z.string(), code: z.string(), role: RoleName, expiresAt: Time }),
    problems: ['conflict'],
  },
  'POST /v1/invitations/accept': {
    id: 'acceptInvitation',
    summary: 'Become a member by an invitation code',
    access: 'session',
    body: z.strictObject({ code: z.string().max(128) }),
    response: Namespace,
    problems: ['invitation_invalid', 'conflict'],
  },
  'PATCH /v1/namespaces/:namespace/members/:account': {
    id: 'setRole',
    summary: 'Give a member another role',
    access: 'session',
    body: z.strictObject({ role: RoleName }),
    response: Member,
    problems: ['last_owner', 'conflict'],
  },
  'DELETE /v1/namespaces/:namespace/members/:account': {
    id: 'removeMember',
    summary: 'Remove a member, or leave',
    access: 'session',
    status: 204,
    problems: ['last_owner', 'conflict'],
  },
  'GET /v1/notices': {
    id: 'listNotices',
    summary: 'Service messages of your account, newest first',
    access: 'account',
    query: z.strictObject({ unread: z.enum(['true', 'false']).optional() }),
    response: z.strictObject({ notices: z.array(Notice) }),
  },
  'PUT /v1/account/webhook': {
    id: 'setWebhook',
    summary:
      'Have service messages from now on sent to an address, signed; the secret is shown here and never again',
    access: 'session',
    body: z.strictObject({ url: z.string().max(1000) }),
    response: NoticeWebhook.extend({ secret: z.string() }),
    problems: ['reauthentication_required', 'conflict'],
  },
  'GET /v1/account/webhook': {
    id: 'showWebhook',
    summary: 'Where service messages are sent to, and how that goes',
    access: 'session',
    response: z.strictObject({ webhook: NoticeWebhook.nullable() }),
  },
  'POST /v1/account/webhook/test': {
    id: 'testWebhook',
    summary: 'Leave a message that is sent like any other',
    access: 'session',
    response: NoticeWebhook,
    problems: ['conflict'],
  },
  'DELETE /v1/account/webhook': {
    id: 'removeWebhook',
    summary: 'Have no more service messages sent',
    access: 'session',
    status: 204,
  },
  'POST /v1/notices/read': {
    id: 'readNotices',
    summary: 'Say that service messages were read',
    access: 'account',
    body: z.strictObject({ ids: z.array(z.string().max(64)).min(1).max(200) }),
    response: z.strictObject({ read: z.int() }),
  },
})

import { z } from 'zod'
import { sizes } from './agent-config.ts'
import { defineEndpoints } from './endpoint.ts'

const Time = z.iso.datetime()
const Micros = z.string().regex(/^-?\d{1,19}$/)
const AccountId = z.string().regex(/^acc_[0-9a-z]{20}$/, 'an id of an account, such as acc_…')
const TxHash = z.string().regex(/^0x[0-9a-fA-F]{64}$/, 'a transaction hash is 0x and 64 hexadecimal digits')

/** suspended: nothing runs, and its people may log in. banned: they may not, and make no other account. */
export const standingStates = ['good', 'suspended', 'banned'] as const
export type StandingState = (typeof standingStates)[number]

const REASON = 'a reason is a line of text, of three characters or more'

/** Why, as the account is told; it stays in the log of acts. What would name a person does not belong there. */
const Reason = z
  .string()
  .min(3, REASON)
  .max(300, 'a reason has at most 300 characters')
  .refine((text) => text.trim().length >= 3 && !/\p{C}/u.test(text), REASON)
  .refine(
    (text) => !/@|\d[\d ()-]{5,}\d/.test(text),
    'a reason has no addresses of mail and no phone numbers: it is kept for a year',
  )
const Cap = z
  .string()
  .regex(/^\d{1,15}$/)
  .nullable()

/** A payment on chain as operators see it. */
export const ChainPayment = z.strictObject({
  /** Chain, transaction, and the place of the transfer in its receipt. */
  id: z.string(),
  chain: z.string(),
  txHash: z.string(),
  sender: z.string(),
  amountMicros: Micros,
  /** unclaimed: final, and nobody's. refunding: taken from its account again, and still to be sent back. */
  state: z.enum(['confirming', 'credited', 'unclaimed', 'refunding', 'returned', 'orphaned']),
  /** Whose it is, or was; null for nobody's, and for an account that has been deleted. */
  account: z.string().nullable(),
  returnedBy: z.string().nullable(),
  seenAt: Time,
})
export type ChainPayment = z.infer<typeof ChainPayment>

/** A payment by card as operators see it. */
export const CardPayment = z.strictObject({
  id: z.string(),
  checkout: z.string(),
  account: z.string().nullable(),
  /** mismatched: paid, and not what was asked for; not credited. */
  state: z.enum(['credited', 'mismatched']),
  askedMicros: Micros,
  /** For mismatched: what came, in the smallest unit of its currency. */
  received: z.strictObject({ amount: z.string(), currency: z.string() }).nullable(),
  /** What operators have given back; null for nothing. `amountMicros` is null for all of it. */
  refund: z
    .strictObject({ state: z.enum(['intended', 'made', 'refused']), amountMicros: Micros.nullable() })
    .nullable(),
  paidAt: Time,
})
export type CardPayment = z.infer<typeof CardPayment>

export const FoundAccount = z.strictObject({
  id: z.string(),
  createdAt: Time,
  creditsMicros: Micros,
  loginMethods: z.array(z.enum(['phone', 'wallet'])),
  /** What operators have decided about it; null for nothing. */
  standing: z
    .strictObject({
      state: z.enum(standingStates),
      reason: z.string(),
      since: Time,
      machinesMax: z.int().nullable(),
      hourlyMaxMicros: Micros.nullable(),
      monthlyMaxMicros: Micros.nullable(),
    })
    .nullable(),
})

export type FoundAccount = z.infer<typeof FoundAccount>

/** Blank machines that wait for first deploys. Nobody but the operator pays for them. */
export const WarmMachines = z.strictObject({
  sizes: z.array(
    z.strictObject({
      size: z.enum(sizes),
      /** As configured. */
      wanted: z.int(),
      warm: z.int(),
      making: z.int(),
      /** Outdated, or going away. */
      leaving: z.int(),
      /** What those that are there cost in a whole month. */
      monthlyMicros: Micros,
      /** Why none are made now, and until when. */
      held: z.strictObject({ reason: z.string(), until: Time }).nullable(),
    }),
  ),
  /** What they have cost in this calendar month, without what became of them since agents had them. */
  spentMicros: Micros,
  /** What they may cost in a month; null for no such limit. */
  budgetMicros: Micros.nullable(),
})
export type WarmMachines = z.infer<typeof WarmMachines>
/** A request about personal data that came by mail, by post or on the phone; what was written is not kept. */
export const RightsRequest = z.strictObject({
  id: z.string(),
  kind: z.enum(['access', 'correct', 'delete', 'export', 'other']),
  cameBy: z.enum(['mail', 'post', 'phone']),
  /** Null while it is not known whose account it is about, and when that has been deleted. */
  account: z.string().nullable(),
  receivedAt: Time,
  dueAt: Time,
  isOverdue: z.boolean(),
  answeredAt: Time.nullable(),
  outcome: z.enum(['done', 'refused']).nullable(),
})
export type RightsRequest = z.infer<typeof RightsRequest>

/** Metadata of one request; nothing else of it is kept. */
export const LoggedRequest = z.strictObject({
  at: Time,
  requestId: z.string(),
  /** The endpoint; empty for an address that is none. */
  route: z.string(),
  status: z.int(),
  durationMs: z.int(),
  /** The session or key that asked. */
  credentialId: z.string().nullable(),
})

/** For the people who run the service. Every call is written into a log of its own. */
export const operatorEndpoints = defineEndpoints({
  'POST /v1/operator/accounts/find': {
    id: 'findAccount',
    summary: 'The account of a phone, a wallet or an id',
    access: 'operator',
    // In the body: addresses of requests end up in logs.
    body: z.union([
      z.strictObject({ phone: z.string().max(32) }),
      z.strictObject({ wallet: z.string().regex(/^0x[0-9a-fA-F]{40}$/, 'a wallet is 0x and 40 digits') }),
      z.strictObject({ account: AccountId }),
    ]),
    response: FoundAccount,
  },
  'POST /v1/operator/accounts/:account/standing': {
    id: 'setStanding',
    summary: 'Suspend or ban an account, or take that back; its people are told why',
    access: 'operator',
    body: z.strictObject({ state: z.enum(standingStates), reason: Reason }),
    response: FoundAccount,
  },
  'POST /v1/operator/accounts/:account/caps': {
    id: 'capAccount',
    summary: 'Bound what an account may run and spend; null takes a cap away. Its people are told',
    access: 'operator',
    body: z.strictObject({
      machinesMax: z.int().min(0).max(1000).nullable(),
      hourlyMaxMicros: Cap,
      monthlyMaxMicros: Cap,
      reason: Reason,
    }),
    response: FoundAccount,
  },
  'POST /v1/operator/accounts/:account/credits': {
    id: 'creditAccount',
    summary:
      'Give credits that were charged back to an account; once for each id, which is made by whoever asks',
    access: 'operator',
    body: z.strictObject({
      id: z.string().regex(/^gbk_[0-9a-z]{20}$/, 'an id is gbk_ and 20 random small letters and digits'),
      /** At most $1,000 at once. */
      amountMicros: z.string().regex(/^(?:[1-9]\d{0,8}|1000000000)$/, 'an amount is from 1 to 1000000000'),
      reason: Reason,
    }),
    response: FoundAccount,
    problems: ['idempotency_mismatch'],
  },
  'GET /v1/operator/payments': {
    id: 'listPayments',
    summary: 'Payments on chain that wait for an operator, oldest first, or the newest of an account',
    access: 'operator',
    query: z.strictObject({ account: AccountId.optional() }),
    response: z.strictObject({ payments: z.array(ChainPayment) }),
  },
  'POST /v1/operator/payments/:payment/resolve': {
    id: 'resolvePayment',
    summary: 'Credit an unclaimed payment to an account, or note the transaction that returned it',
    access: 'operator',
    body: z.union([z.strictObject({ account: AccountId }), z.strictObject({ returnedBy: TxHash })]),
    response: ChainPayment,
    problems: ['conflict', 'provider_unavailable'],
  },
  'POST /v1/operator/payments/:payment/refund': {
    id: 'refundPayment',
    summary: 'Take a credited payment from its account again; then it waits to be sent back',
    access: 'operator',
    body: z.strictObject({ reason: Reason }),
    response: ChainPayment,
    problems: ['conflict', 'insufficient_credits'],
  },
  'GET /v1/operator/card-payments': {
    id: 'listCardPayments',
    summary: 'Payments by card that are not what was asked for, oldest first, or the newest of an account',
    access: 'operator',
    query: z.strictObject({ account: AccountId.optional() }),
    response: z.strictObject({ payments: z.array(CardPayment) }),
  },
  'POST /v1/operator/card-payments/:payment/credit': {
    id: 'creditCardPayment',
    summary: 'Credit what came by card, although something else was asked for',
    access: 'operator',
    response: CardPayment,
    problems: ['conflict', 'cards_unavailable'],
  },
  'POST /v1/operator/card-payments/:payment/refund': {
    id: 'refundCardPayment',
    summary: 'Give a payment by card back, once, whole or in part',
    access: 'operator',
    body: z.strictObject({
      amountMicros: z
        .string()
        .regex(/^[1-9]\d{0,18}$/)
        .optional(),
      reason: Reason,
    }),
    response: CardPayment,
    problems: ['conflict', 'insufficient_credits', 'cards_unavailable'],
  },
  'GET /v1/operator/warm-machines': {
    id: 'showWarmMachines',
    summary: 'Blank machines that are kept ready, and what they cost',
    access: 'operator',
    response: WarmMachines,
  },
  'GET /v1/operator/rights-requests': {
    id: 'listRightsRequests',
    summary:
      'Requests about personal data that wait for an answer, the first due first; or the newest of all',
    access: 'operator',
    query: z.strictObject({ all: z.enum(['true', 'false']).optional() }),
    response: z.strictObject({ overdue: z.int(), requests: z.array(RightsRequest) }),
  },
  'POST /v1/operator/rights-requests': {
    id: 'noteRightsRequest',
    summary:
      'Note a request about personal data that came by another way than the service; it is due in ten days',
    access: 'operator',
    status: 201,
    body: z.strictObject({
      kind: RightsRequest.shape.kind,
      cameBy: RightsRequest.shape.cameBy,
      account: AccountId.optional(),
      /** When it came; now unless told. */
      receivedAt: Time.optional(),
    }),
    response: RightsRequest,
  },
  'POST /v1/operator/rights-requests/:request/answer': {
    id: 'answerRightsRequest',
    summary: 'Note that a request about personal data has been answered',
    access: 'operator',
    body: z.strictObject({ outcome: z.enum(['done', 'refused']) }),
    response: RightsRequest,
    problems: ['conflict'],
  },
  'GET /v1/operator/operations': {
    id: 'listStuckOperations',
    summary: 'Durable work that has failed again and again, oldest first',
    access: 'operator',
    response: z.strictObject({
      operations: z.array(
        z.strictObject({
          id: z.string(),
          kind: z.string(),
          subject: z.string(),
          step: z.string(),
          attempts: z.int(),
          lastError: z.string().nullable(),
          createdAt: Time,
        }),
      ),
    }),
  },
  'POST /v1/operator/operations/:operation/retry': {
    id: 'retryOperation',
    summary: 'Try durable work again now instead of when its pause ends',
    access: 'operator',
    body: z.strictObject({ reason: Reason }),
    response: z.strictObject({ id: z.string(), kind: z.string(), subject: z.string() }),
  },
  'GET /v1/operator/requests': {
    id: 'listRequests',
    summary: 'The newest requests of an account to the API: metadata of the last 90 days',
    access: 'operator',
    query: z.strictObject({ account: AccountId }),
    response: z.strictObject({ requests: z.array(LoggedRequest) }),
  },
  'GET /v1/operator/acts': {
    id: 'listActs',
    summary: 'What operators have done and looked at, newest first',
    access: 'operator',
    response: z.strictObject({
      acts: z.array(
        z.strictObject({
          id: z.string(),
          operator: z.string(),
          act: z.string(),
          subject: z.string(),
          outcome: z.string(),
          /** Null for what only looks, and for what needs none. */
          reason: z.string().nullable(),
          at: Time,
        }),
      ),
    }),
  },
})

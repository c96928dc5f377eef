import { z } from 'zod'
import { defineEndpoints } from './endpoint.ts'
import { RECEIPT_FORMAT } from './erasure-receipt.ts'

const Time = z.iso.datetime()
const Micros = z.string().regex(/^-?\d{1,19}$/)
const Count = z.int().min(0)

/** What deleting the account would take away, what is kept and why, and what stands in its way. */
export const ErasurePlan = z.strictObject({
  account: z.strictObject({ id: z.string() }),
  agents: z.array(
    z.strictObject({ name: z.string(), namespace: z.string(), status: z.string(), url: z.string() }),
  ),
  domains: z.array(z.string()),
  machines: Count,
  snapshots: Count,
  files: z.strictObject({ count: Count, bytes: Count }),
  secrets: Count,
  keys: Count,
  sessions: Count,
  notices: Count,
  namespaces: z.strictObject({
    deleted: z.array(z.string()),
    /** To another owner of it; nothing of an agent is in these. */
    handedOver: z.array(z.string()),
    /** Of others, whose member this account is. */
    left: z.array(z.string()),
  }),
  credits: z.strictObject({
    /** Lost with the account, unless they are refunded before. */
    leftMicros: Micros,
    owedMicros: Micros,
  }),
  /** Billing records that the law makes us keep, apart and no longer anybody's. */
  kept: z.strictObject({ records: Count, legalBasis: z.string(), until: Time }),
  /** What has to come to an end first; empty when nothing does. */
  blockers: z.array(z.strictObject({ reason: z.string(), message: z.string(), fix: z.string() })),
})
export type ErasurePlan = z.infer<typeof ErasurePlan>

const Receipt = z.strictObject({
  format: z.literal(RECEIPT_FORMAT),
  erasure: z.string(),
  requestedAt: Time,
  finishedAt: Time,
  erased: z.record(z.string(), Count),
  files: Count,
  retained: z.strictObject({ records: Count, legalBasis: z.string(), until: Time }).nullable(),
  forfeitedMicros: Micros,
  keyId: z.string(),
  publicKey: z.string(),
  signature: z.string(),
})

export const Erasure = z.strictObject({
  id: z.string(),
  /** running: nobody can act for the account any more, and what it had is being taken away. */
  status: z.enum(['running', 'done']),
  requestedAt: Time,
  receipt: Receipt.nullable(),
})
export type Erasure = z.infer<typeof Erasure>

const ErasureToken = z.string().regex(/^[0-9a-f]{64}$/, 'a token is 64 random hexadecimal digits')

export const privacyEndpoints = defineEndpoints({
  'GET /v1/account/export': {
    id: 'exportAccount',
    summary: 'Everything that is held about the account',
    access: 'session',
    rawResponse: 'application/json',
    problems: ['reauthentication_required'],
  },
  'GET /v1/account/erasure-plan': {
    id: 'planErasure',
    summary: 'What deleting the account would take away, what is kept and why',
    access: 'session',
    response: ErasurePlan,
  },
  'POST /v1/account/erasure': {
    id: 'startErasure',
    summary:
      'Delete the account. Every session and key ends at once; what it had is taken away durably. The id and the token are ' +
      'made by whoever asks, who so has them whatever becomes of the answer: they alone read the receipt',
    access: 'session',
    status: 202,
    body: z.strictObject({
      id: z.string().regex(/^era_[0-9a-z]{20}$/, 'an id is era_ and 20 random small letters and digits'),
      token: ErasureToken,
      /** That credits which are left are lost. */
      forfeit: z.boolean().optional(),
    }),
    response: Erasure,
    problems: ['reauthentication_required', 'erasure_blocked', 'credits_left', 'conflict'],
  },
  'POST /v1/erasures/:erasure': {
    id: 'showErasure',
    summary: 'How far an erasure is, and its signed receipt',
    access: 'public',
    body: z.strictObject({ token: ErasureToken }),
    response: Erasure,
  },
})

import { z } from 'zod'
import { Name, sizes } from './agent-config.ts'
import { defineEndpoints } from './endpoint.ts'

const Time = z.iso.datetime()
const Micros = z.string().regex(/^-?\d{1,19}$/)
/** An amount that somebody wants to move: positive, whole micro-USD. */
const PositiveMicros = z
  .string()
  .regex(/^[1-9]\d{0,18}$/, 'a positive whole number of micro-USD, as a string')
const TxHash = z.string().regex(/^0x[0-9a-fA-F]{64}$/, 'a transaction hash is 0x and 64 hexadecimal digits')

export const Balance = z.strictObject({
  creditsMicros: Micros,
  heldMicros: Micros,
  /** What burns at this moment, over all agents that the account pays. */
  hourlyMicros: Micros,
  /** Null while nothing burns. */
  runwaySeconds: z.int().nullable(),
  suspendsAt: Time.nullable(),
})
export type Balance = z.infer<typeof Balance>

export const DepositStatus = z.enum(['pending', 'seen', 'confirming', 'credited', 'rejected'])

export const Deposit = z.strictObject({
  id: z.string(),
  status: DepositStatus,
  /** For rejected: why. An unknown transaction and somebody else's look the same: `not_found`. */
  reason: z.string().nullable(),
  chain: z.string(),
  txHash: z.string(),
  /** Null while the payment has not been seen. */
  creditsMicros: Micros.nullable(),
  /** Which block the chain must reach for the credit: `safe` for small exposure, `finalized` above. */
  countsAt: z.enum(['safe', 'finalized']).nullable(),
  createdAt: Time,
  creditedAt: Time.nullable(),
})
export type Deposit = z.infer<typeof Deposit>

export const Checkout = z.strictObject({
  id: z.string(),
  /** open: waits for the card. processing: the bank has not said yet. paid: credited. */
  status: z.enum(['open', 'processing', 'paid', 'expired', 'failed']),
  /** The payment processor's own page; card details never reach this service. */
  url: z.string(),
  amountMicros: Micros,
  creditsMicros: Micros.nullable(),
  createdAt: Time,
  expiresAt: Time,
})
export type Checkout = z.infer<typeof Checkout>

export const HistoryEntry = z.strictObject({
  id: z.string(),
  at: Time,
  kind: z.string(),
  /** What it is about, in words. */
  description: z.string(),
  reference: z.string(),
  amountMicros: Micros,
  balanceMicros: Micros,
})

export const Limits = z.strictObject({
  /** Notice when what burns an hour, or was spent this month, passes it; null for none. */
  softHourlyMicros: Micros.nullable(),
  softMonthlyMicros: Micros.nullable(),
  /** Refuse what would pass it (hourly); stop agents when it is reached (monthly); null for none. */
  hardHourlyMicros: Micros.nullable(),
  hardMonthlyMicros: Micros.nullable(),
})
export type Limits = z.infer<typeof Limits>

const readBilling = { scope: 'billing:read', role: 'owner' } as const
const writeBilling = { scope: 'billing:write', role: 'owner' } as const

/** Billing is of the caller's own account; a namespace is only a filter of its usage. */
export const billingEndpoints = defineEndpoints({
  'GET /v1/billing/balance': {
    id: 'showBalance',
    summary: 'Credits, what burns, and how long they last',
    access: readBilling,
    response: Balance,
  },
  'GET /v1/billing/prices': {
    id: 'listPrices',
    summary: 'What each size costs an hour',
    access: 'public',
    response: z.strictObject({
      currency: z.literal('USD'),
      prices: z.array(
        z.strictObject({
          size: z.enum([...sizes, 'stopped', 'suspended']),
          hourlyMicros: Micros,
          vcpus: z.int().nullable(),
          memoryMegabytes: z.int().nullable(),
          diskGigabytes: z.int().nullable(),
          transferTerabytes: z.int().nullable(),
        }),
      ),
      graceDays: z.int(),
    }),
  },
  'GET /v1/billing/history': {
    id: 'listHistory',
    summary: 'Ledger entries, newest first',
    access: readBilling,
    query: z.strictObject({
      since: Time.optional(),
      until: Time.optional(),
      kind: z.string().max(32).optional(),
      limit: z.coerce.number().int().min(1).max(1000).optional(),
      /** From the answer before. */
      cursor: z.string().max(64).optional(),
    }),
    response: z.strictObject({ entries: z.array(HistoryEntry), nextCursor: z.string().nullable() }),
  },
  'GET /v1/billing/ledger': {
    id: 'exportLedger',
    summary: 'The whole ledger with a signed head, for offline verification (contract/ledger-export.ts)',
    access: readBilling,
    rawResponse: 'application/json',
  },
  'GET /v1/billing/ledger-keys': {
    id: 'listLedgerKeys',
    summary: 'Public keys that sign the heads of exported ledgers, oldest first',
    access: 'public',
    response: z.strictObject({ keys: z.array(z.strictObject({ keyId: z.string(), publicKey: z.string() })) }),
  },
  'GET /v1/billing/usage': {
    id: 'showUsage',
    summary: 'What was charged, by namespace, agent and day, with a forecast for the month',
    access: readBilling,
    query: z.strictObject({ since: Time.optional(), until: Time.optional(), namespace: Name.optional() }),
    response: z.strictObject({
      since: Time,
      until: Time,
      totalMicros: Micros,
      /** What the month will come to if everything goes on as it is, as far as the credits last. */
      forecastMicros: Micros,
      /** When they end at this rate; null where that is not in this month. */
      creditsEndAt: Time.nullable(),
      rows: z.array(
        z.strictObject({
          day: z.iso.date(),
          subject: z.string(),
          agent: z.string().nullable(),
          namespace: z.string().nullable(),
          seconds: z.int(),
          chargedMicros: Micros,
        }),
      ),
    }),
  },
  'GET /v1/billing/limits': {
    id: 'showLimits',
    summary: 'Spend limits',
    access: readBilling,
    response: Limits,
  },
  'PATCH /v1/billing/limits': {
    id: 'setLimits',
    summary: 'Change spend limits; absent ones stay as they are',
    access: writeBilling,
    body: Limits.partial(),
    response: Limits,
  },
  'GET /v1/billing/deposit-addresses': {
    id: 'listDepositAddresses',
    summary: 'Where to pay on chain, and from which wallets',
    access: readBilling,
    response: z.strictObject({
      chains: z.array(
        z.strictObject({
          chain: z.string(),
          chainId: z.int(),
          rpcUrl: z.string(),
          token: z.strictObject({ symbol: z.string(), address: z.string(), decimals: z.int() }),
          address: z.string(),
        }),
      ),
      /** What comes from these wallets is the account's; anything else would wait for an operator. */
      wallets: z.array(z.string()),
    }),
  },
  'POST /v1/billing/deposits': {
    id: 'claimDeposit',
    summary: 'Claim a payment on chain by its transaction',
    access: writeBilling,
    status: 202,
    body: z.strictObject({ chain: z.string().max(32).optional(), txHash: TxHash }),
    response: Deposit,
    idempotencyKey: true,
    problems: ['deposits_unavailable'],
  },
  'GET /v1/billing/deposits': {
    id: 'listDeposits',
    summary: 'Payments on chain, newest first',
    access: readBilling,
    response: z.strictObject({ deposits: z.array(Deposit) }),
  },
  'GET /v1/billing/deposits/:deposit': {
    id: 'showDeposit',
    summary: 'One payment; with ?waitSeconds= answers when it changes from ?status= or the time is up',
    access: readBilling,
    query: z.strictObject({
      waitSeconds: z.coerce.number().int().min(0).max(25).optional(),
      status: DepositStatus.optional(),
    }),
    response: Deposit,
  },
  'POST /v1/billing/checkouts': {
    id: 'startCheckout',
    summary: 'Open a page of the payment processor to pay by card',
    access: writeBilling,
    status: 201,
    body: z.strictObject({ amountMicros: PositiveMicros }),
    response: Checkout,
    idempotencyKey: true,
    problems: ['provider_unavailable', 'cards_unavailable', 'conflict'],
  },
  'GET /v1/billing/checkouts/:checkout': {
    id: 'showCheckout',
    summary:
      'One payment by card; with ?waitSeconds= answers when it changes from ?status= or the time is up',
    access: readBilling,
    query: z.strictObject({
      waitSeconds: z.coerce.number().int().min(0).max(25).optional(),
      status: Checkout.shape.status.optional(),
    }),
    response: Checkout,
  },
  'GET /checkout/done': {
    id: 'showCheckoutDone',
    summary: 'Where the payment processor sends somebody who has paid; credits nothing',
    access: 'public',
    rawResponse: 'text/html',
  },
  'GET /checkout/canceled': {
    id: 'showCheckoutCanceled',
    summary: 'Where the payment processor sends somebody who has not paid',
    access: 'public',
    rawResponse: 'text/html',
  },
  'POST /v1/webhooks/stripe': {
    id: 'stripeWebhook',
    summary: 'What the payment processor tells, signed by it',
    access: 'public',
    rawBody: 'application/json',
    response: z.strictObject({ received: z.literal(true) }),
    problems: ['cards_unavailable'],
  },
})

import { randomUUID } from 'node:crypto'
import type { Deposit } from '@agentctl/contract/billing.ts'
import type { Context } from '../context.ts'
import { Failure } from '../failure.ts'
import { dollars } from '../money.ts'
import { printable } from '../output.ts'
import { waitUntilSettled } from './state-wait.ts'
import { forgetPayment, type UnsettledPayment } from './unsettled-payments.ts'

/** Until a block is final on the slowest chain takes twenty minutes; a transaction that nobody knows is given up after ten. */
const DEFAULT_WAIT_SECONDS = 40 * 60

export interface DepositDocument {
  /** Null while the service has not been told. */
  id: string | null
  status: Deposit['status']
  reason: string | null
  chain: string
  txHash: string
  creditsMicros: string | null
}

export const documentOf = ({ id, status, reason, chain, txHash, creditsMicros }: DepositDocument) => ({
  id,
  status,
  reason,
  chain,
  txHash,
  creditsMicros,
})

/** The document of a payment that the service has not heard of. */
export const unclaimed = ({ chain, hash }: Pick<UnsettledPayment, 'chain' | 'hash'>): DepositDocument => ({
  id: null,
  status: 'pending',
  reason: null,
  chain,
  txHash: hash,
  creditsMicros: null,
})

interface Claim {
  txHash: string
  chain: string | undefined
  /** The payment, if it was made from this machine. */
  payment: UnsettledPayment | undefined
  wait: boolean
  timeoutSeconds: number | undefined
}

/** Tells the service of a payment, and waits until it is credited. */
export async function claimAndWait(ctx: Context, claim: Claim): Promise<void> {
  const { txHash, payment } = claim
  const resume = `agentctl billing deposit --tx ${txHash}`
  const deposit = await tell(ctx, claim, resume)
  if (!claim.wait) {
    if (deposit.status === 'pending') ctx.out.note(`It goes on: ${resume}`)
    ctx.out.result(documentOf(deposit), deposit.txHash)
    return
  }
  const settled = await waitUntilSettled<Deposit>(ctx, {
    first: deposit,
    subject: 'The payment',
    timeoutSeconds: claim.timeoutSeconds ?? DEFAULT_WAIT_SECONDS,
    goesOn: ({ status }) => status !== 'credited' && status !== 'rejected',
    ask: ({ id, status }, waitSeconds) =>
      ctx.api('GET /v1/billing/deposits/:deposit', {
        params: { deposit: id },
        query: { waitSeconds, status },
        timeoutSeconds: waitSeconds + 15,
      }),
    tells: (now) => stepOf(now, payment),
    resume,
    document: documentOf,
  })
  const isLost = settled.reason === 'not_found' || settled.reason === 'dropped'
  // What the service did not find may still be mined: that payment stays remembered.
  if (payment && !isLost) forgetPayment(ctx.configDirectory, payment)
  if (settled.status === 'rejected') throw rejection(settled, isLost, payment)
  ctx.out.result(
    documentOf(settled),
    `Credited ${dollars(settled.creditsMicros ?? '0')}, paid on ${printable(settled.chain)}.`,
  )
}

async function tell(ctx: Context, { txHash, chain, payment }: Claim, resume: string): Promise<Deposit> {
  try {
    return await ctx.api('POST /v1/billing/deposits', {
      body: { txHash, ...(chain === undefined ? {} : { chain }) },
      idempotencyKey: randomUUID(),
    })
  } catch (error) {
    if (!(error instanceof Failure) || payment === undefined || error.code === 'interrupted') throw error
    throw new Failure(error.code, `The payment was sent, but the service was not told: ${error.message}`, {
      fix: `It is found and credited all the same. To see it through: ${resume}`,
      next: [resume],
      requestId: error.requestId ?? undefined,
      document: unclaimed(payment),
      cause: error,
    })
  }
}

const stepOf = ({ status, chain, countsAt }: Deposit, sent: UnsettledPayment | undefined): string =>
  ({
    pending: sent
      ? `Sent; waiting for its block on ${printable(chain)}`
      : `Looking for it on ${printable(chain)}; not seen yet`,
    seen: `Seen on ${printable(chain)}; waiting for the chain to confirm it`,
    confirming: `Confirming on ${printable(chain)}${countsAt === null ? '' : `; it counts once its block is ${countsAt}`}`,
    credited: 'Credited',
    rejected: 'Rejected',
  })[status]

/** Why a payment was not credited, as the service says it in one word. */
const reasons: Record<string, string> = {
  not_found: 'no payment of yours by this transaction was found',
  wrong_token: 'it moved another token than the one that is taken',
  wrong_recipient: 'it did not pay to our address',
  reverted: 'the transaction failed on the chain, so nothing was moved',
  refunded: 'it was taken back, to be sent back to whoever paid',
  dropped: 'the chain dropped the transaction, so nothing was moved',
}

function rejection(deposit: Deposit, isLost: boolean, payment: UnsettledPayment | undefined): Failure {
  const reason = deposit.reason ?? 'without a reason'
  const resume = `agentctl billing deposit --tx ${deposit.txHash}`
  return new Failure(
    'deposit_rejected',
    `The payment was not credited: ${reasons[reason] ?? printable(reason)}`,
    {
      fix: isLost
        ? payment
          ? `It can be sent again without paying twice: ${resume}`
          : `Check the hash and its chain (--chain), and that the paying wallet is linked: agentctl account show`
        : 'See where and what to pay: agentctl billing deposit --address',
      next: isLost && payment ? [resume] : [],
      document: documentOf(deposit),
    },
  )
}

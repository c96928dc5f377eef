import type { Context } from '../context.ts'
import { Failure } from '../failure.ts'
import { dollars } from '../money.ts'
import { printable } from '../output.ts'
import { relative } from '../times.ts'
import { openLocalSigner, type WalletFlags } from '../wallet/signer.ts'
import { type ChainNode, type Hex, openNode, type PayableChain } from './chain-node.ts'
import { documentOf, unclaimed } from './deposit-wait.ts'
import { broadcast, isKnown, isPlaceTaken, isSuperseded, offerOf, prepareTransfer } from './token-transfer.ts'
import { findUnsettled, forgetPayment, keepUnsettled, type UnsettledPayment } from './unsettled-payments.ts'

interface Payment {
  amountMicros: string
  /** Those of the account. */
  linkedWallets: readonly string[]
  /** Pay although an earlier payment is not settled. */
  again: boolean
  /** Do not ask. */
  yes: boolean
  wallet: Pick<WalletFlags, 'keystore' | 'passwordFile'>
}

export const resumeOf = ({ hash }: Pick<UnsettledPayment, 'hash'>): string =>
  `agentctl billing deposit --tx ${hash}`

/** Pays from the wallet of this machine, once, and answers what was sent. */
export async function payFromWallet(
  ctx: Context,
  chain: PayableChain,
  { amountMicros, linkedWallets, again, yes, wallet }: Payment,
): Promise<UnsettledPayment> {
  ctx.onInterrupt('Nothing was paid.')
  const node = await whileAsking(ctx, chain, () => openNode(ctx, chain))
  const signer = await openLocalSigner(ctx, wallet)
  const from = signer.address
  const place = { apiUrl: ctx.address().url, chainId: chain.chainId, from }
  const earlier = await findOpenPayment(ctx, node, place)
  if (earlier !== undefined && !again) throw alreadyPaying(earlier)
  requireLinked(linkedWallets, from)

  // With the same number only one of the two can ever be mined; once the number is used up, this is a second payment.
  const replaces = earlier !== undefined && !(await isPlaceTaken(node, earlier)) ? earlier : undefined
  const transaction = await whileAsking(ctx, chain, () =>
    prepareTransfer(node, {
      chain,
      from,
      amountMicros: BigInt(amountMicros),
      replaces: replaces && {
        nonce: replaces.nonce,
        offer: { tip: BigInt(replaces.gasOffer.tip), cap: BigInt(replaces.gasOffer.cap) },
      },
    }),
  )
  const what = printable(
    `${dollars(amountMicros)} in ${chain.token.symbol} on ${chain.chain} from ${from} to ${chain.address}`,
  )
  if (ctx.prompt.interactive && !yes) {
    const goOn = await ctx.prompt.confirm({ message: `Pay ${what}?`, flag: '--yes', initial: true })
    if (!goOn) throw new Failure('interrupted', 'Nothing was paid', { fix: '' })
  }
  const raw = await signer.signTransaction(transaction)
  const { keccak256 } = await import('ox/Hash')
  const { tip, cap } = offerOf(transaction)
  const payment: UnsettledPayment = {
    ...place,
    chain: chain.chain,
    amountMicros,
    nonce: transaction.nonce,
    gasOffer: { tip: String(tip), cap: String(cap) },
    hash: keccak256(raw),
    raw,
    signedAt: new Date().toISOString(),
  }
  if (!keepUnsettled(ctx.configDirectory, payment, earlier)) {
    const other = findUnsettled(ctx.configDirectory, place)
    throw other
      ? alreadyPaying(other)
      : new Failure('conflict', 'Another deposit from this wallet just ended')
  }
  const resume = resumeOf(payment)
  ctx.onInterrupt(`The payment may have been sent. Go on with it, without paying twice: ${resume}`, [resume])
  await send(ctx, node, payment)
  ctx.out.note(`Paid ${what}.`)
  ctx.out.note(`Transaction ${payment.hash}`)
  return payment
}

/** A node that is slow to answer is asked for most of a minute: silence would look like a hang. */
async function whileAsking<T>(ctx: Context, { chain }: PayableChain, ask: () => Promise<T>): Promise<T> {
  const progress = ctx.progress(`Asking the node of ${chain}`)
  try {
    return await ask()
  } finally {
    progress.stop()
  }
}

async function send(ctx: Context, node: ChainNode, payment: UnsettledPayment): Promise<void> {
  const { chain } = payment
  const progress = ctx.progress(`Sending the payment on ${chain}`)
  try {
    if ((await broadcast(ctx, node, chain, payment)) === 'sent') return
  } catch (error) {
    if (!(error instanceof Failure) || error.code === 'interrupted') throw error
    if (error.code === 'wallet_underfunded') {
      forgetPayment(ctx.configDirectory, payment)
      throw error
    }
    const resume = resumeOf(payment)
    throw new Failure(error.code, `${error.message}; the payment may have been sent or not`, {
      fix: `Go on with it, without paying twice: ${resume}`,
      next: [resume],
      document: documentOf(unclaimed(payment)),
      cause: error,
    })
  } finally {
    progress.stop()
  }
  forgetPayment(ctx.configDirectory, payment)
  throw new Failure('conflict', 'Another transaction of this wallet came in between', {
    fix: 'Nothing was paid. See what your wallet does elsewhere, then run the command again.',
  })
}

/** Sends a payment of this machine again if its chain does not know it: what was cut off before it was sent. */
export async function sendAgain(ctx: Context, chain: PayableChain, payment: UnsettledPayment): Promise<void> {
  const node = await openNode(ctx, chain)
  if (await isKnown(node, payment.hash)) return
  const sent = await broadcast(ctx, node, chain.chain, payment)
  if (sent === 'sent') ctx.out.note(`The payment was sent on ${chain.chain}.`)
  else
    ctx.out.notice(
      'Another transaction of the wallet took the place of this one; the service decides what it was.',
    )
}

/** An earlier payment of the same wallet whose end is still open; what the service or the chain settled is forgotten. */
async function findOpenPayment(
  ctx: Context,
  node: ChainNode,
  place: Parameters<typeof findUnsettled>[1],
): Promise<UnsettledPayment | undefined> {
  const earlier = findUnsettled(ctx.configDirectory, place)
  if (earlier === undefined) return undefined
  const { deposits } = await ctx.api('GET /v1/billing/deposits')
  const known = deposits.find(({ txHash }) => txHash.toLowerCase() === earlier.hash.toLowerCase())
  const isSettled =
    known?.status === 'credited' ||
    // What the service did not find may still be mined, so that is not the end of it.
    (known?.status === 'rejected' && known.reason !== 'not_found' && known.reason !== 'dropped') ||
    (await isSuperseded(node, earlier))
  if (!isSettled) return earlier
  forgetPayment(ctx.configDirectory, earlier)
  return undefined
}

function alreadyPaying(earlier: UnsettledPayment): Failure {
  const resume = resumeOf(earlier)
  return new Failure(
    'conflict',
    `A payment of ${dollars(earlier.amountMicros)} on ${earlier.chain} from ${earlier.from}, signed ` +
      `${relative(earlier.signedAt, new Date())}, is not settled yet`,
    {
      fix:
        `Go on with it, without paying twice: ${resume}\n` +
        'Or repeat with --again: that takes its place if it was not mined yet, else it is a second payment.',
      next: [resume],
      document: documentOf(unclaimed(earlier)),
    },
  )
}

/** Only what comes from a linked wallet is credited; anything else would wait for an operator. */
function requireLinked(wallets: readonly string[], from: Hex): void {
  if (wallets.some((address) => address.toLowerCase() === from.toLowerCase())) return
  throw new Failure(
    'wallet_not_linked',
    `${from} is not linked to your account, so its payment would not be credited`,
    {
      fix: 'Nothing was paid. Link it first: agentctl account update --wallet',
      next: ['agentctl account update --wallet'],
    },
  )
}

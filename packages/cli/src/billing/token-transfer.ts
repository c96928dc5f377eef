import type { Context } from '../context.ts'
import { Failure } from '../failure.ts'
import { dollars } from '../money.ts'
import { printable } from '../output.ts'
import type { UnsignedTransaction } from '../wallet/signer.ts'
import { type ChainNode, type Hex, isRecord, NodeRefusal, type PayableChain } from './chain-node.ts'

export const isAddress = (text: string): text is Hex => /^0x[0-9a-fA-F]{40}$/.test(text)

const word = (value: bigint): string => value.toString(16).padStart(64, '0')

/** Calls of an ERC-20 token, by the first four bytes of the hash of their signature. */
const balanceOfCall = (holder: Hex): Hex => `0x70a08231${word(BigInt(holder))}`
const transferCall = (to: Hex, units: bigint): Hex => `0xa9059cbb${word(BigInt(to))}${word(units)}`

/** Units of the token that make this many micro-USD; its decimals are configured, never asked of the chain. */
function unitsOf(micros: bigint, { token, chain }: PayableChain): bigint {
  if (token.decimals >= 6) return micros * 10n ** BigInt(token.decimals - 6)
  const divisor = 10n ** BigInt(6 - token.decimals)
  if (micros % divisor === 0n) return micros / divisor
  throw new Failure('usage', `${token.symbol} on ${chain} has only ${token.decimals} decimals`, {
    fix: 'Pay an amount with fewer decimals.',
  })
}

/** An amount in the token, as people write it. */
function tokens(units: bigint, decimals: number): string {
  const digits = units.toString().padStart(decimals + 1, '0')
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, '')
  return digits.slice(0, digits.length - decimals) + (fraction === '' ? '' : `.${fraction}`)
}

/** What a transaction pays for a unit of gas: to whoever mines it, and at most in all. */
export interface GasOffer {
  tip: bigint
  cap: bigint
}

export interface Transfer {
  chain: PayableChain
  from: Hex
  amountMicros: bigint
  /** A payment that this one takes the place of: of two with the same number only one can ever happen. */
  replaces?: { nonce: number; offer: GasOffer } | undefined
}

/** Looks whether the wallet can pay, and makes the transaction; nothing is signed here. */
export async function prepareTransfer(node: ChainNode, transfer: Transfer): Promise<UnsignedTransaction> {
  const { chain, from, amountMicros, replaces } = transfer
  const { token } = chain
  if (!isAddress(token.address) || !isAddress(chain.address) || BigInt(chain.address) === 0n) {
    throw new Failure('deposits_unavailable', `The service names no usable address on ${chain.chain}`, {
      fix: 'Nothing was paid. Check --api-url: agentctl doctor',
    })
  }
  const units = unitsOf(amountMicros, chain)
  const held = await holdings(node, chain, token.address, from)
  if (held < units) {
    throw new Failure(
      'wallet_underfunded',
      `${from} holds ${tokens(held, token.decimals)} ${token.symbol} on ${chain.chain}; ` +
        `a deposit of ${dollars(String(amountMicros))} needs ${tokens(units, token.decimals)}`,
      {
        fix:
          `Nothing was paid. Send ${tokens(units - held, token.decimals)} ${token.symbol} on ${chain.chain} to ` +
          `this wallet, or pay by card: agentctl billing deposit --card ${tokens(amountMicros, 6)}`,
      },
    )
  }
  const call = { to: token.address, data: transferCall(chain.address, units) }
  const gas = await estimate(node, chain, { from, ...call })
  const fees = await currentFees(node, replaces?.offer)
  const price = 'gasPrice' in fees ? fees.gasPrice : fees.maxFeePerGas
  const coins = await node.number('eth_getBalance', [from, 'latest'])
  if (coins < gas * price) {
    throw new Failure(
      'wallet_underfunded',
      `${from} holds ${tokens(coins, 18)} of the coin that pays for gas on ${chain.chain} (chain ${chain.chainId}); ` +
        `the payment needs up to ${tokens(gas * price, 18)}`,
      { fix: `Nothing was paid. Send a little of that coin on ${chain.chain} to this wallet.` },
    )
  }
  const nonce = replaces?.nonce ?? Number(await node.number('eth_getTransactionCount', [from, 'pending']))
  return { chainId: chain.chainId, nonce, ...call, gas, fees }
}

async function holdings(node: ChainNode, chain: PayableChain, token: Hex, holder: Hex): Promise<bigint> {
  const call = { to: token, data: balanceOfCall(holder) }
  const answer = await node.ask('eth_call', [call, 'latest']).catch((error: unknown) => {
    if (error instanceof NodeRefusal) return '0x'
    throw error
  })
  if (typeof answer === 'string' && /^0x[0-9a-fA-F]{64}$/.test(answer)) return BigInt(answer)
  throw new Failure('provider_unavailable', `The node of ${chain.chain} knows no token at ${token}`, {
    fix: 'Nothing was paid. Try again later, or pay from elsewhere: agentctl billing deposit --address',
  })
}

async function estimate(
  node: ChainNode,
  { chain, token }: PayableChain,
  call: { from: Hex; to: Hex; data: Hex },
): Promise<bigint> {
  try {
    // Of the chain as it is: with what waits, an earlier payment that this one replaces would seem to be made already,
    // and a second one to the same address takes less gas.
    const estimated = await node.number('eth_estimateGas', [call, 'latest'])
    // The state may change until it is mined: should the receiver be emptied, the first payment to it takes 17,100 gas
    // more. What is not used is not paid.
    return (estimated * 5n) / 4n + 20_000n
  } catch (error) {
    if (!(error instanceof NodeRefusal)) throw error
    throw new Failure(
      'deposit_rejected',
      `${token.symbol} on ${chain} refuses the transfer: ${printable(error.message)}`,
      {
        fix: 'Nothing was paid. The token may have blocked this wallet; use another one.',
        cause: error,
      },
    )
  }
}

/** Room for the base fee to double; against an earlier payment, enough more for nodes to prefer the new one. */
async function currentFees(
  node: ChainNode,
  earlier: GasOffer = { tip: 0n, cap: 0n },
): Promise<UnsignedTransaction['fees']> {
  // Nodes want a tenth more, of both.
  const above = (fee: bigint, least: bigint) => (fee > (least * 9n) / 8n ? fee : (least * 9n) / 8n + 1n)
  const block = await node.ask('eth_getBlockByNumber', ['latest', false])
  const base = isRecord(block) && typeof block.baseFeePerGas === 'string' ? block.baseFeePerGas : undefined
  if (base === undefined) return { gasPrice: above(await node.number('eth_gasPrice', []), earlier.cap) }
  const usual = await node.number('eth_maxPriorityFeePerGas', []).catch((error: unknown) => {
    if (error instanceof NodeRefusal) return 1_000_000n
    throw error
  })
  const maxPriorityFeePerGas = above(usual, earlier.tip)
  return { maxFeePerGas: above(BigInt(base) * 2n + maxPriorityFeePerGas, earlier.cap), maxPriorityFeePerGas }
}

export const offerOf = ({ fees }: UnsignedTransaction): GasOffer =>
  'gasPrice' in fees
    ? { tip: fees.gasPrice, cap: fees.gasPrice }
    : { tip: fees.maxPriorityFeePerGas, cap: fees.maxFeePerGas }

export type Sent =
  /** The chain's nodes know it. */
  | 'sent'
  /** It can never happen: another transaction of the wallet has its place. */
  | 'superseded'

/**
 * Hands a signed transaction to the node. Sending the same one again is harmless, so this may be repeated; what
 * throws here leaves open whether it was sent.
 */
export async function broadcast(
  ctx: Context,
  node: ChainNode,
  chain: string,
  { raw, hash }: { raw: Hex; hash: Hex },
): Promise<Sent> {
  try {
    await node.ask('eth_sendRawTransaction', [raw])
    return 'sent'
  } catch (error) {
    if (!(error instanceof NodeRefusal)) {
      // Often only the answer was lost; what the node has, it has.
      if (!ctx.signal.aborted && (await isKnown(node, hash).catch(() => false))) return 'sent'
      throw error
    }
    ctx.out.debug(`the node refuses the payment: ${error.message}`)
    if (await isKnown(node, hash)) return 'sent'
    if (
      /nonce too low|nonce has already been used|replacement transaction underpriced/i.test(error.message)
    ) {
      return 'superseded'
    }
    if (/insufficient funds/i.test(error.message)) {
      throw new Failure(
        'wallet_underfunded',
        `The wallet cannot pay for gas on ${chain}: ${printable(error.message)}`,
        {
          fix: `Nothing was paid. Send a little of the chain's own coin on ${chain} to this wallet.`,
          cause: error,
        },
      )
    }
    throw new Failure(
      'provider_unavailable',
      `The node of ${chain} did not take the payment: ${printable(error.message)}`,
      {
        cause: error,
      },
    )
  }
}

/** Whether the node has the transaction, mined or waiting. */
export async function isKnown(node: ChainNode, hash: Hex): Promise<boolean> {
  return (await node.ask('eth_getTransactionByHash', [hash])) !== null
}

/** Whether its place in the wallet's order is taken, by itself or by another transaction. */
export async function isPlaceTaken(node: ChainNode, payment: { from: Hex; nonce: number }): Promise<boolean> {
  return (await node.number('eth_getTransactionCount', [payment.from, 'latest'])) > BigInt(payment.nonce)
}

/** Whether it can never be mined any more, beyond any reorganisation: its place in the wallet's order is taken. */
export async function isSuperseded(
  node: ChainNode,
  payment: { from: Hex; nonce: number; hash: Hex },
): Promise<boolean> {
  try {
    const used = await node.number('eth_getTransactionCount', [payment.from, 'finalized'])
    return used > BigInt(payment.nonce) && !(await isKnown(node, payment.hash))
  } catch (error) {
    // A chain without finality: nothing is certain, so the payment stays as it was.
    if (error instanceof NodeRefusal) return false
    throw error
  }
}

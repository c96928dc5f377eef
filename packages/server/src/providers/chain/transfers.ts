import {
  type Address,
  BaseError,
  BlockNotFoundError,
  createPublicClient,
  getAddress,
  type Hex,
  HttpRequestError,
  http,
  parseAbiItem,
  parseEventLogs,
  RpcRequestError,
  TransactionNotFoundError,
  type TransactionReceipt,
  TransactionReceiptNotFoundError,
} from 'viem'
import type { DepositChain } from '../../platform/config.ts'
import { fetchOver, type Transport } from '../transport.ts'

export interface BlockRef {
  number: bigint
  hash: string
}

/** One Transfer log of a token, as its receipt has it. Addresses and hashes in lower case. */
export interface Transfer {
  txHash: string
  /** Place among the logs of its receipt: fixed, while the log index moves when the block is built anew. */
  ordinal: number
  logIndex: number
  contract: string
  from: string
  to: string
  amount: bigint
  block: BlockRef
}

export type TransactionView =
  /** This node knows of no such transaction. */
  | { state: 'unknown' }
  /** Sent, in no block yet. */
  | { state: 'pending'; sender: string }
  | { state: 'reverted'; sender: string }
  /** `coinTo`: who received the chain's own coin by it, if anybody. */
  | { state: 'mined'; sender: string; coinTo: string | undefined; transfers: Transfer[] }

/** What a chain says about payments to us. It is asked nothing before its node has named the configured chain. */
export interface Transfers {
  readonly chain: DepositChain
  /** The last blocks of each kind of certainty. Throws when the node is on another chain. */
  heads(): Promise<{ latest: BlockRef; safe: BlockRef; finalized: BlockRef }>
  /** Hash of the block at this height; undefined when this node has none there. */
  blockHash(number: bigint): Promise<string | undefined>
  /**
   * Payments of the token to our address in these blocks, both ends included, and the hash of the last block as the
   * node that answered has it. Undefined: it does not have that block, and its list says nothing.
   */
  incoming(from: bigint, to: bigint): Promise<{ payments: Transfer[]; endHash: string | undefined }>
  transaction(txHash: string): Promise<TransactionView>
}

/** The node answers for another chain: nothing it says counts. */
export class WrongChain extends Error {
  override name = 'WrongChain'
}

/** The node will not answer for so many blocks at once; each provider has its own limit, and its own words for it. */
export class RangeRefused extends Error {
  override name = 'RangeRefused'
}

const RANGE_REFUSALS: ReadonlySet<number | undefined> = new Set([400, 413])
const TIMEOUT_MS = 10_000
const transferEvent = parseAbiItem('event Transfer(address indexed from, address indexed to, uint256 value)')

export function openTransfers(chain: DepositChain, transport: Transport, timeoutMs = TIMEOUT_MS): Transfers {
  const client = createPublicClient({
    transport: http(chain.rpcUrl, {
      retryCount: 0,
      timeout: timeoutMs,
      fetchFn: fetchOver(transport, timeoutMs),
      // Questions that belong together travel together, and so reach one node behind a balancer.
      batch: { batchSize: 50 },
    }),
  })
  const onChain = async <T>(question: Promise<T>): Promise<T> => {
    const [named, answer] = await Promise.allSettled([client.getChainId(), question])
    if (named.status === 'fulfilled' && named.value !== chain.chainId) {
      throw new WrongChain(`The chain's node is on chain ${named.value}, not ${chain.chainId}.`)
    }
    if (answer.status === 'rejected') throw answer.reason
    if (named.status === 'rejected') throw named.reason
    return answer.value
  }
  const blockAt = async (blockTag: 'latest' | 'safe' | 'finalized'): Promise<BlockRef> => {
    const block = await client.getBlock({ blockTag })
    if (block.number === null || block.hash === null) throw new Error(`The node has no ${blockTag} block.`)
    return { number: block.number, hash: lower(block.hash) }
  }
  const blockNumbered = (blockNumber: bigint) =>
    client.getBlock({ blockNumber }).catch(undefinedOn(BlockNotFoundError))
  const receiptOf = (hash: Hex) =>
    client.getTransactionReceipt({ hash }).catch(undefinedOn(TransactionReceiptNotFoundError))
  return {
    chain,
    async heads() {
      const [latest, safe, finalized] = await onChain(
        Promise.all([blockAt('latest'), blockAt('safe'), blockAt('finalized')]),
      )
      return { latest, safe, finalized }
    },
    async blockHash(blockNumber) {
      const block = await onChain(blockNumbered(blockNumber))
      return block && lower(block.hash)
    },
    async incoming(fromBlock, toBlock) {
      const [logs, end] = await onChain(
        Promise.all([
          client
            .getLogs({
              address: chain.token.address as Address,
              event: transferEvent,
              args: { to: chain.address as Address },
              fromBlock,
              toBlock,
            })
            .catch((error: unknown) => {
              throw isRangeRefusal(error)
                ? new RangeRefused('Too many blocks at once.', { cause: error })
                : error
            }),
          blockNumbered(toBlock),
        ]),
      )
      const hashes = [...new Set(logs.map((log) => log.transactionHash))]
      const found = await Promise.all(
        hashes.map(async (hash) => {
          const receipt = await receiptOf(hash)
          // The log is there and its receipt is not: the node is between two states. Asked again, it will agree.
          if (!receipt) throw new Error('The node has a log without its receipt.')
          return receipt.status === 'success' ? transfersIn(receipt) : []
        }),
      )
      const payments = found.flat().filter((transfer) => isPayment(chain, transfer))
      return { payments, endHash: end && lower(end.hash) }
    },
    async transaction(txHash) {
      const hash = txHash as Hex
      const [receipt, transaction] = await onChain(
        Promise.all([
          receiptOf(hash),
          client.getTransaction({ hash }).catch(undefinedOn(TransactionNotFoundError)),
        ]),
      )
      if (!transaction) return { state: 'unknown' }
      const sender = lower(transaction.from)
      if (!receipt) return { state: 'pending', sender }
      if (receipt.status !== 'success') return { state: 'reverted', sender }
      const coinTo = transaction.value > 0n && transaction.to ? lower(transaction.to) : undefined
      return { state: 'mined', sender, coinTo, transfers: transfersIn(receipt) }
    },
  }
}

/**
 * Whether a transfer pays us: by the configured token and to our address. What a contract calls itself counts for
 * nothing; anybody can write a token named USDC, or a log that says Transfer.
 */
export function isPayment(chain: DepositChain, transfer: Transfer): boolean {
  return (
    transfer.contract === chain.token.address &&
    transfer.to === chain.address &&
    transfer.from !== chain.address &&
    creditMicros(chain, transfer.amount) > 0n
  )
}

/** An address as people and wallets compare it: with the checksum in its capitals. */
export function checksummed(address: string): string {
  return getAddress(address)
}

/** Micro-USD for an amount of the token's smallest unit; less than one is dust. */
export function creditMicros(chain: DepositChain, amount: bigint): bigint {
  const { decimals } = chain.token
  return decimals >= 6 ? amount / 10n ** BigInt(decimals - 6) : amount * 10n ** BigInt(6 - decimals)
}

function transfersIn(receipt: TransactionReceipt): Transfer[] {
  const block = { number: receipt.blockNumber, hash: lower(receipt.blockHash) }
  return receipt.logs.flatMap((log, ordinal) => {
    const [event] = parseEventLogs({ abi: [transferEvent], logs: [log] })
    if (!event) return []
    return {
      txHash: lower(receipt.transactionHash),
      ordinal,
      logIndex: log.logIndex,
      contract: lower(log.address),
      from: lower(event.args.from),
      to: lower(event.args.to),
      amount: event.args.value,
      block,
    }
  })
}

function isRangeRefusal(error: unknown): boolean {
  if (!(error instanceof BaseError)) return false
  const cause = error.walk((one) => one instanceof RpcRequestError || one instanceof HttpRequestError)
  return (
    cause instanceof RpcRequestError ||
    (cause instanceof HttpRequestError && RANGE_REFUSALS.has(cause.status))
  )
}

function lower(text: string): string {
  return text.toLowerCase()
}

/** Turns one kind of error into undefined, and leaves every other what it is. */
function undefinedOn(kind: abstract new (...args: never[]) => Error): (error: unknown) => undefined {
  return (error) => {
    if (error instanceof kind) return undefined
    throw error
  }
}

import type { Deps } from '../deps.ts'
import { type Lease, type Operation, type Outcome, wakeOperation } from '../platform/operations.ts'
import { type BlockRef, RangeRefused, type Transfer, type Transfers } from '../providers/chain/transfers.ts'
import { confirmationSubject } from './confirm-operation.ts'
import * as store from './deposit-store.ts'
import { recordTransfers } from './payments.ts'

type Parts = Pick<Deps, 'db' | 'clock'>

/** Windows of one visit; then others have their turn. */
const WINDOWS_MAX = 20
/** Scanned blocks that are remembered, to find where two chains part. */
const BLOCKS_KEPT = 1000
const ANCESTORS_AT_ONCE = 20

/** The chain under the scan changed while it was read: nothing of it counts, the next visit reads it again. */
class ChainMoved extends Error {
  override name = 'ChainMoved'
}

/** Finds payments that nobody told us about. Rows and cursor are written together. */
export async function visitScan(
  deps: Parts,
  transfers: Transfers,
  operation: Pick<Operation, 'attempts'>,
  lease: Lease,
): Promise<Outcome> {
  const { chain } = transfers
  // A range that is too large may also end in a timeout: after each visit that failed, half as much is asked for.
  const windowBlocks = Math.max(1, chain.windowBlocks >> Math.max(0, operation.attempts - 1))
  const heads = await transfers.heads()
  const cursor = await currentCursor(deps, transfers, lease, heads.finalized.number)
  const atHead = await scan(deps, transfers, lease, {
    windowBlocks,
    upto: heads.latest.number,
    from: cursor.nextBlock,
    advance: (nextBlock) => ({ ...cursor, nextBlock }),
  })
  // A second look at what is final. A node behind a balancer may have answered the first one for blocks that it did
  // not have yet, and an empty answer looks like no payment.
  const seen = { ...cursor, nextBlock: atHead.next }
  const finalized = heads.finalized.number < seen.nextBlock ? heads.finalized.number : seen.nextBlock - 1n
  const verified = await scan(deps, transfers, lease, {
    windowBlocks,
    upto: finalized,
    from: cursor.verifiedBlock,
    advance: (verifiedBlock) => ({ ...seen, verifiedBlock }),
  })
  const isBehind = !atHead.done || !verified.done
  return { state: 'again', afterSeconds: isBehind ? 0 : chain.pollSeconds }
}

/** Where to go on, after a reorganisation has been walked back. */
async function currentCursor(
  { db }: Parts,
  transfers: Transfers,
  lease: Lease,
  finalized: bigint,
): Promise<store.Cursor> {
  const { chainId, startBlock } = transfers.chain
  const known = await store.findCursor(db.jobs, chainId)
  if (!known) {
    const start = startBlock ?? finalized
    const first = { nextBlock: start, verifiedBlock: start }
    await lease.write((tx) => store.saveCursor(tx, chainId, first))
    return first
  }
  const ancestor = await commonAncestor({ db }, transfers, known.nextBlock - 1n)
  if (ancestor === known.nextBlock - 1n) return known
  const rewound = {
    nextBlock: ancestor + 1n,
    verifiedBlock: known.verifiedBlock > ancestor ? ancestor + 1n : known.verifiedBlock,
  }
  await lease.write(async (tx) => {
    await wakeOperation(tx, confirmationSubject(chainId))
    await store.dropBlocksAbove(tx, chainId, ancestor)
    await store.reopenPayments(tx, chainId, ancestor)
    await store.saveCursor(tx, chainId, rewound)
  })
  return rewound
}

/**
 * The highest scanned block that the chain still has. A node that has no block at that height only lags, or its chain
 * has become shorter and will grow again: both are waited for, and no block counts as gone until another has its place.
 */
async function commonAncestor(
  { db }: Pick<Deps, 'db'>,
  transfers: Transfers,
  scanned: bigint,
): Promise<bigint> {
  const { chainId } = transfers.chain
  let below = scanned
  for (;;) {
    const blocks = await store.listBlocks(db.jobs, chainId, below, ANCESTORS_AT_ONCE)
    for (const block of blocks) {
      const hash = await transfers.blockHash(block.number)
      if (hash === undefined) return scanned
      if (hash === block.hash) return block.number
      below = block.number - 1n
    }
    if (blocks.length < ANCESTORS_AT_ONCE) return below
  }
}

/** Reads blocks window by window, and writes what it found together with how far it came. */
async function scan(
  { clock }: Parts,
  transfers: Transfers,
  lease: Lease,
  range: {
    windowBlocks: number
    from: bigint
    upto: bigint
    advance: (next: bigint) => store.Cursor
  },
): Promise<{ next: bigint; done: boolean }> {
  const { chain } = transfers
  const payments: Transfer[] = []
  let last: BlockRef | undefined
  let next = range.from
  let size = BigInt(range.windowBlocks)
  let failure: unknown
  for (let window = 0; window < WINDOWS_MAX && next <= range.upto; window++) {
    const end = next + size - 1n < range.upto ? next + size - 1n : range.upto
    try {
      const read = await readWindow(transfers, next, end)
      payments.push(...read.payments)
      last = read.end
      next = end + 1n
    } catch (error) {
      if (end > next && error instanceof RangeRefused) {
        size = (end - next + 1n) / 2n
        continue
      }
      failure = error
      break
    }
  }
  const scanned = last
  if (scanned) {
    await lease.write(async (tx) => {
      // First: whoever confirms holds the row of its operation while it waits for a payment's.
      if (payments.length > 0) await wakeOperation(tx, confirmationSubject(chain.chainId))
      await recordTransfers(tx, chain, payments, clock.now())
      await store.saveBlock(tx, chain.chainId, scanned, BLOCKS_KEPT)
      await store.saveCursor(tx, chain.chainId, range.advance(next))
    })
  }
  // What was read before the failure is kept: the next visit goes on from there.
  if (failure !== undefined) throw failure
  return { next, done: next > range.upto }
}

async function readWindow(transfers: Transfers, from: bigint, to: bigint) {
  const { payments, endHash } = await transfers.incoming(from, to)
  if (endHash === undefined) throw new ChainMoved('The node does not have these blocks yet, or not any more.')
  if (payments.length > 0 && (await transfers.blockHash(to)) !== endHash) {
    throw new ChainMoved('The chain was reorganised during a scan.')
  }
  const end: BlockRef = { number: to, hash: endHash }
  return { payments, end }
}

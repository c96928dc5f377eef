import { gunzipSync } from 'node:zlib'
import { callRpcForHex } from './json-rpc.ts'
import { keepFile } from './kept-file.ts'

/** Blocks without transactions are worth little; they are kept this often, and at a clean stop. */
const IDLE_MS = 30_000
const BUSY_MS = 1_000

/**
 * Keeps what the chain holds on disk. The node can write its state itself, but neither at once after a transaction nor
 * so that a kill in the middle leaves a whole file.
 */
export class ChainState {
  private readonly rpcUrl: string
  private readonly file: string
  private lastBlock = -1
  private keptAt = performance.now()
  private costMs = 0
  private changed = false

  constructor(rpcUrl: string, file: string) {
    this.rpcUrl = rpcUrl
    this.file = file
  }

  /** Keeps the state if a transaction was mined, or if nothing was kept for long. */
  async keepIfDue(): Promise<void> {
    const block = Number(await callRpcForHex(this.rpcUrl, 'eth_blockNumber'))
    if (block < this.lastBlock) this.changed = true
    for (let number = Math.max(this.lastBlock + 1, block - 50); number <= block && !this.changed; number++) {
      const count = await callRpcForHex(this.rpcUrl, 'eth_getBlockTransactionCountByNumber', [
        `0x${number.toString(16)}`,
      ])
      if (Number(count) > 0) this.changed = true
    }
    this.lastBlock = block
    // A long chain takes long to write, so the pause grows with the cost.
    const pauseMs = this.changed ? Math.max(BUSY_MS, 10 * this.costMs) : Math.max(IDLE_MS, 100 * this.costMs)
    if (performance.now() - this.keptAt >= pauseMs) await this.keep()
  }

  async keep(): Promise<void> {
    const begun = performance.now()
    const dump = await callRpcForHex(this.rpcUrl, 'anvil_dumpState')
    keepFile(this.file, gunzipSync(Buffer.from(dump.slice(2), 'hex')).toString())
    this.changed = false
    this.keptAt = performance.now()
    this.costMs = this.keptAt - begun
  }
}

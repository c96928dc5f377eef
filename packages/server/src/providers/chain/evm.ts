import { type Address, createPublicClient, type Hex, http, recoverMessageAddress } from 'viem'
import type { Config } from '../../platform/config.ts'
import { faultOf } from '../../platform/fault.ts'
import type { Log } from '../../platform/log.ts'
import { fetchOver, type Transport } from '../transport.ts'

/** The chain as far as we trust it: every question is asked only after its node has named the configured chain. */
export interface Chain {
  readonly id: number
  /** Whether the key of this address made the signature; needs no node. */
  signedByKey(signed: SignedMessage): Promise<boolean>
  /** Whether the contract at this address accepts the signature (EIP-1271, and EIP-6492 before it is deployed). */
  acceptedByContract(signed: SignedMessage): Promise<boolean>
}

export interface SignedMessage {
  address: Address
  message: string
  signature: Hex
}

/** A login waits for it, so a slow node counts as one that says no. */
const SIGNATURE_TIMEOUT_MS = 3_000
const KEY_SIGNATURE_CHARACTERS = 132

export function openChain(deps: { config: Pick<Config, 'chain'>; transport: Transport; log: Log }): Chain {
  const { id, rpcUrl } = deps.config.chain
  const client = createPublicClient({
    transport: http(rpcUrl, {
      retryCount: 0,
      timeout: SIGNATURE_TIMEOUT_MS,
      fetchFn: fetchOver(deps.transport, SIGNATURE_TIMEOUT_MS),
    }),
  })
  let named: Promise<void> | undefined
  const nameChain = async (): Promise<void> => {
    const told = await client.getChainId()
    if (told !== id)
      throw new Error(`The chain's node is on chain ${told}, not ${id}. Correct CHAIN_RPC_URL.`)
  }
  /** Asked again as long as it fails: a node that was down or wrong at the start may be mended. */
  const onChain = (): Promise<void> => {
    named ??= nameChain().catch((error: unknown) => {
      named = undefined
      throw error
    })
    return named
  }
  return {
    id,
    async signedByKey({ address, message, signature }) {
      if (signature.length !== KEY_SIGNATURE_CHARACTERS) return false
      try {
        return (await recoverMessageAddress({ message, signature })) === address
      } catch {
        return false
      }
    },
    async acceptedByContract(signed) {
      try {
        await onChain()
        return await client.verifyMessage(signed)
      } catch (error) {
        deps.log.warn('A signature could not be checked on chain', {
          provider: 'chain',
          fault: faultOf(error),
        })
        return false
      }
    },
  }
}

import { readFileSync } from 'node:fs'
import { callRpc, callRpcForHex } from '../json-rpc.ts'
import { waitUntil } from '../wait-until.ts'

/** The deployer that development nodes have from their first block: sends what follows the salt to CREATE2. */
export const CREATE2_DEPLOYER = '0x4e59b44847b379578588920cA78FbF26c0B4956C'
export const SALT = `0x${'00'.repeat(32)}` as const
/** Pays for the deployment, so that the development accounts begin with nonce 0. */
const SENDER = '0x000000000000000000000000000000000a6e7c71'

/**
 * Deploys the token unless it is there, and returns its address. The address depends on the contract and its holders
 * only, so it is the same on every machine; the constructor hands out all the money, so nobody gets it twice.
 */
export async function deployToken(rpcUrl: string): Promise<`0x${string}`> {
  const { address, initCode }: { address: `0x${string}`; initCode: string } = JSON.parse(
    readFileSync(new URL('usd-coin.json', import.meta.url), 'utf8'),
  )
  const isThere = async () => (await callRpcForHex(rpcUrl, 'eth_getCode', [address, 'latest'])) !== '0x'
  if (await isThere()) return address

  await callRpc(rpcUrl, 'anvil_setBalance', [SENDER, '0xde0b6b3a7640000'])
  await callRpc(rpcUrl, 'anvil_impersonateAccount', [SENDER])
  await callRpc(rpcUrl, 'eth_sendTransaction', [
    { from: SENDER, to: CREATE2_DEPLOYER, data: `${SALT}${initCode.slice(2)}`, gas: '0x4c4b40' },
  ])
  // Otherwise the first start would wait for the next block.
  await callRpc(rpcUrl, 'evm_mine')
  if (!(await waitUntil(isThere, { withinMs: 10_000 }))) throw new Error('The test token was not deployed.')
  await callRpc(rpcUrl, 'anvil_stopImpersonatingAccount', [SENDER])
  return address
}

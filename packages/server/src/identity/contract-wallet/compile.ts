import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const source = new URL('ContractWallet.sol', import.meta.url)
export const compiledWalletFile = fileURLToPath(new URL('contract-wallet.json', import.meta.url))

interface CompilerOutput {
  contracts: Record<string, Record<string, { evm: { bytecode: { object: string } } }>>
}

/** The text that contract-wallet.json must hold. */
export function compileWallet(): string {
  const solc: { compile(input: string): string } = require('solc')
  const output: CompilerOutput = JSON.parse(
    solc.compile(
      JSON.stringify({
        language: 'Solidity',
        sources: { wallet: { content: readFileSync(source, 'utf8') } },
        settings: {
          evmVersion: 'cancun',
          optimizer: { enabled: true, runs: 200 },
          metadata: { bytecodeHash: 'none', appendCBOR: false },
          outputSelection: { wallet: { ContractWallet: ['evm.bytecode.object'] } },
        },
      }),
    ),
  )
  const bytecode = output.contracts.wallet?.ContractWallet?.evm.bytecode.object
  if (!bytecode) throw new Error('The compiler returned no contract.')
  return `${JSON.stringify({ bytecode: `0x${bytecode}` }, null, 1)}\n`
}

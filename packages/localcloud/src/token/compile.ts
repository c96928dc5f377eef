import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { type Abi, encodeDeployData, getCreate2Address, type Hex } from 'viem'
import { DEVELOPMENT_ACCOUNTS } from '../development-accounts.ts'
import { CREATE2_DEPLOYER, SALT } from './deploy.ts'

const require = createRequire(import.meta.url)
const ONE_MILLION = 1_000_000_000_000n

interface CompilerOutput {
  errors?: { severity: string; formattedMessage: string }[]
  contracts: Record<string, Record<string, { abi: Abi; evm: { bytecode: { object: string } } }>>
}

/**
 * The text that usd-coin.json must hold: the contract compiled by the pinned compiler, with its first holders, and the
 * address that follows from that. Computed here, so that starting the local cloud loads no library for it.
 */
export function compileToken(): string {
  const solc: { compile(input: string, callbacks: object): string } = require('solc')
  const input = {
    language: 'Solidity',
    sources: { 'UsdCoin.sol': { content: readFileSync(new URL('UsdCoin.sol', import.meta.url), 'utf8') } },
    settings: {
      evmVersion: 'cancun',
      optimizer: { enabled: true, runs: 200 },
      // Without the hash of the sources at its end, the bytecode depends on what the contract does only.
      metadata: { bytecodeHash: 'none', appendCBOR: false },
      outputSelection: { 'UsdCoin.sol': { UsdCoin: ['abi', 'evm.bytecode.object'] } },
    },
  }
  const findImport = (path: string) => ({ contents: readFileSync(require.resolve(path), 'utf8') })
  const output: CompilerOutput = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }))
  const errors = (output.errors ?? []).filter((error) => error.severity === 'error')
  if (errors.length > 0) throw new Error(errors.map((error) => error.formattedMessage).join('\n'))
  const contract = output.contracts['UsdCoin.sol']?.UsdCoin
  if (!contract) throw new Error('The compiler returned no contract.')
  const initCode = encodeDeployData({
    abi: contract.abi,
    bytecode: `0x${contract.evm.bytecode.object}`,
    args: [DEVELOPMENT_ACCOUNTS.map((account) => account.address), ONE_MILLION],
  })
  const address: Hex = getCreate2Address({ from: CREATE2_DEPLOYER, salt: SALT, bytecode: initCode })
  return `${JSON.stringify({ address, abi: contract.abi, initCode }, null, 1)}\n`
}

export const compiledTokenFile = fileURLToPath(new URL('usd-coin.json', import.meta.url))

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import {
  type Abi,
  createTestClient,
  type Hex,
  http,
  parseAbi,
  parseSignature,
  publicActions,
  walletActions,
} from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { foundry } from 'viem/chains'
import { expect, onTestFinished, test } from 'vitest'
import { type Chain, startChain } from './chain.ts'
import { startKillable } from './killable.ts'
import { isRunning } from './process-identity.ts'
import { temporaryDataDir } from './temporary-data-dir.ts'
import { compiledTokenFile } from './token/compile.ts'
import { waitUntil } from './wait-until.ts'

const ERC20 = parseAbi([
  'function balanceOf(address) view returns (uint256)',
  'function transfer(address to, uint256 value) returns (bool)',
  'function decimals() view returns (uint8)',
  'function symbol() view returns (string)',
])
const MILLION = 1_000_000_000_000n

async function start(dataDir: string, log: (line: string) => void = () => undefined): Promise<Chain> {
  const chain = await startChain({ dataDir, blockSeconds: 1, log })
  onTestFinished(() => chain.stop())
  return chain
}

function clientOf(chain: Chain) {
  return createTestClient({
    chain: foundry,
    mode: 'anvil',
    transport: http(chain.rpcUrl),
    pollingInterval: 50,
    cacheTime: 0,
  })
    .extend(publicActions)
    .extend(walletActions)
}

function accountOf(chain: Chain, index: number) {
  const account = chain.accounts[index]
  if (!account) throw new Error(`There is no account ${index}.`)
  return privateKeyToAccount(account.privateKey)
}

/** Pays one USDC from the first account to the second. */
async function pay(chain: Chain): Promise<Hex> {
  const client = clientOf(chain)
  const hash = await client.writeContract({
    account: accountOf(chain, 0),
    address: chain.token.address,
    abi: ERC20,
    functionName: 'transfer',
    args: [accountOf(chain, 1).address, 1_000_000n],
  })
  await client.waitForTransactionReceipt({ hash })
  return hash
}

function balance(chain: Chain, index: number): Promise<bigint> {
  const { address } = accountOf(chain, index)
  return clientOf(chain).readContract({
    address: chain.token.address,
    abi: ERC20,
    functionName: 'balanceOf',
    args: [address],
  })
}

test('ten accounts hold gas and a million test USDC with 6 decimals each, and have sent nothing yet', async () => {
  const chain = await start(temporaryDataDir())
  const client = clientOf(chain)
  expect(await client.getChainId()).toBe(31337)
  const token = { address: chain.token.address, abi: ERC20 } as const
  expect(await client.readContract({ ...token, functionName: 'symbol' })).toBe('USDC')
  expect(await client.readContract({ ...token, functionName: 'decimals' })).toBe(6)
  expect(chain.accounts).toHaveLength(10)
  for (const [index, { address }] of chain.accounts.entries()) {
    expect(await balance(chain, index)).toBe(MILLION)
    expect(await client.getBalance({ address })).toBeGreaterThan(10n ** 18n)
    expect(await client.getTransactionCount({ address })).toBe(0)
  }
})

test('a payment by signature (EIP-3009) is sent by somebody else, once', async () => {
  const chain = await start(temporaryDataDir())
  const client = clientOf(chain)
  const { abi }: { abi: Abi } = JSON.parse(readFileSync(compiledTokenFile, 'utf8'))
  const payer = accountOf(chain, 0)
  const authorization = {
    from: payer.address,
    to: accountOf(chain, 1).address,
    value: 5_000_000n,
    validAfter: 0n,
    validBefore: 2n ** 40n,
    nonce: `0x${randomBytes(32).toString('hex')}` as const,
  }
  const signature = await payer.signTypedData({
    domain: { name: 'USD Coin', version: '2', chainId: 31337, verifyingContract: chain.token.address },
    types: {
      TransferWithAuthorization: [
        { name: 'from', type: 'address' },
        { name: 'to', type: 'address' },
        { name: 'value', type: 'uint256' },
        { name: 'validAfter', type: 'uint256' },
        { name: 'validBefore', type: 'uint256' },
        { name: 'nonce', type: 'bytes32' },
      ],
    },
    primaryType: 'TransferWithAuthorization',
    message: authorization,
  })
  const { r, s, yParity } = parseSignature(signature)
  const call = {
    account: accountOf(chain, 2),
    address: chain.token.address,
    abi,
    functionName: 'transferWithAuthorization',
    args: [...Object.values(authorization), 27 + yParity, r, s],
  }
  await client.waitForTransactionReceipt({ hash: await client.writeContract(call) })
  expect(await balance(chain, 0)).toBe(MILLION - 5_000_000n)
  expect(await balance(chain, 1)).toBe(MILLION + 5_000_000n)
  await expect(client.simulateContract(call)).rejects.toThrow('ERC3009UsedAuthorization')
})

test('blocks become safe and final while the head goes on', async () => {
  const chain = await start(temporaryDataDir())
  const client = clientOf(chain)
  const head = await client.getBlockNumber()
  const isFinal = async () => (await client.getBlock({ blockTag: 'finalized' })).number > head
  expect(await waitUntil(isFinal, { withinMs: 20_000, everyMs: 100 })).toBe(true)
  const [safe, finalized] = await Promise.all([
    client.getBlock({ blockTag: 'safe' }),
    client.getBlock({ blockTag: 'finalized' }),
  ])
  expect(safe.number - finalized.number).toBe(2n)
})

test('payments, receipts, address and token are the same after a stop and a start', async () => {
  const dataDir = temporaryDataDir()
  const first = await start(dataDir)
  const hash = await pay(first)
  const receipt = await clientOf(first).getTransactionReceipt({ hash })
  await first.stop()

  const second = await start(dataDir)
  expect(second.rpcUrl).toBe(first.rpcUrl)
  expect(second.token).toEqual(first.token)
  expect(await balance(second, 1)).toBe(MILLION + 1_000_000n)
  const kept = await clientOf(second).getTransactionReceipt({ hash })
  expect([kept.blockHash, kept.blockNumber, kept.logs]).toEqual([
    receipt.blockHash,
    receipt.blockNumber,
    receipt.logs,
  ])
})

test('after kill -9, a payment of more than a moment ago is kept and the old chain does not live on', async () => {
  const dataDir = temporaryDataDir()
  const killed = await startKillable<Chain>('chain', dataDir)
  const hash = await pay(killed.part)
  const stateFile = join(dataDir, 'chain', 'state.json')
  const isKept = () => readFileSync(stateFile, 'utf8').includes(hash)
  expect(await waitUntil(isKept, { withinMs: 20_000 })).toBe(true)
  const { node } = JSON.parse(readFileSync(join(dataDir, 'chain', 'chain.json'), 'utf8'))
  await killed.kill()
  expect(isRunning(node)).toBe(true)

  const chain = await start(dataDir)
  expect(isRunning(node)).toBe(false)
  expect(chain.rpcUrl).toBe(killed.part.rpcUrl)
  expect(await balance(chain, 1)).toBe(MILLION + 1_000_000n)
})

test('the time of the chain follows the clock of the local cloud, also over a restart', async () => {
  const dataDir = temporaryDataDir()
  const first = await start(dataDir)
  const day = 24 * 60 * 60
  writeFileSync(join(dataDir, 'clock'), String(10 * day * 1000))
  const tenDaysAhead = (chain: Chain) => async () => {
    const { timestamp } = await clientOf(chain).getBlock()
    return Math.abs(Number(timestamp) - (Date.now() / 1000 + 10 * day)) < 60
  }
  expect(await waitUntil(tenDaysAhead(first), { withinMs: 20_000, everyMs: 100 })).toBe(true)
  await first.stop()

  const second = await start(dataDir)
  const head = await clientOf(second).getBlockNumber()
  const hasNext = async () => (await clientOf(second).getBlockNumber()) > head
  expect(await waitUntil(hasNext, { withinMs: 20_000, everyMs: 100 })).toBe(true)
  expect(await tenDaysAhead(second)()).toBe(true)
})

test('when its port is taken it chooses another and says so', async () => {
  const dataDir = temporaryDataDir()
  const first = await start(dataDir)
  await first.stop()
  const port = Number(new URL(first.rpcUrl).port)
  const squatter = createServer().listen(port, '127.0.0.1')
  await once(squatter, 'listening')
  onTestFinished(() => {
    squatter.close()
  })

  const said: string[] = []
  const second = await start(dataDir, (line) => said.push(line))
  expect(second.rpcUrl).not.toBe(first.rpcUrl)
  expect(said).toEqual([`port ${port} is taken; the chain listens on ${new URL(second.rpcUrl).port}`])
})

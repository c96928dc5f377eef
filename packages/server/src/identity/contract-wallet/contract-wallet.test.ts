import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startChain } from '@agentctl/localcloud/chain.ts'
import {
  type Address,
  concat,
  createWalletClient,
  encodeDeployData,
  getCreate2Address,
  type Hex,
  http,
  publicActions,
  serializeErc6492Signature,
  zeroHash,
} from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { foundry } from 'viem/chains'
import { afterAll, expect, test } from 'vitest'
import { silentLog } from '../../platform/log.ts'
import { openChain } from '../../providers/chain/evm.ts'
import { openTransport } from '../../providers/transport.ts'
import { newAddress, testIdentity } from '../test-identity.ts'
import { compiledWalletFile, compileWallet } from './compile.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'agentctl-contract-wallet-'))
const localChain = await startChain({ dataDir, blockSeconds: 1, log: () => {} })
afterAll(async () => {
  await localChain.stop()
  rmSync(dataDir, { recursive: true, force: true })
})
const { call } = await testIdentity({ rpcUrl: localChain.rpcUrl })

/** The factory that every development chain has at the same address. */
const CREATE2_FACTORY = '0x4e59b44847b379578588920ca78fbf26c0b4956c'
const compiled: { bytecode: Hex } = JSON.parse(readFileSync(compiledWalletFile, 'utf8'))
const [rich] = localChain.accounts
if (!rich) throw new Error('The chain has no accounts.')
const payer = privateKeyToAccount(rich.privateKey)
const client = createWalletClient({
  account: payer,
  chain: foundry,
  transport: http(localChain.rpcUrl),
  pollingInterval: 100,
}).extend(publicActions)

/** A wallet of a new key; `factoryData` makes it exist. */
function contractWallet() {
  const owner = privateKeyToAccount(generatePrivateKey())
  const abi = [{ type: 'constructor', inputs: [{ type: 'address' }] }]
  const bytecode = encodeDeployData({ abi, bytecode: compiled.bytecode, args: [owner.address] })
  const address = getCreate2Address({ from: CREATE2_FACTORY, salt: zeroHash, bytecode })
  return { owner, address, factoryData: concat([zeroHash, bytecode]) }
}

async function messageFor(address: Address): Promise<string> {
  const { json } = await call('POST /v1/logins/wallet', { body: { address }, from: newAddress() })
  return String(json.message)
}

const verify = (message: string, signature: Hex) =>
  call('POST /v1/logins/wallet/verify', {
    body: { message, signature, acceptTerms: true },
    from: newAddress(),
  })

test('the committed contract is the one that its source compiles to', () => {
  expect(readFileSync(compiledWalletFile, 'utf8')).toBe(compileWallet())
})

test('a wallet that is a contract logs in by what its owner signed, and by nothing else', async () => {
  const { owner, address, factoryData } = contractWallet()
  const hash = await client.sendTransaction({ to: CREATE2_FACTORY, data: factoryData })
  await client.waitForTransactionReceipt({ hash })

  const message = await messageFor(address)
  const login = await verify(message, await owner.signMessage({ message }))
  expect(login.json).toMatchObject({ status: 'logged_in', created: true })
  const account = await call('GET /v1/account', { token: String(login.json.token) })
  expect(account.json.wallets).toMatchObject([{ address }])

  const other = await messageFor(address)
  const stranger = await verify(other, await payer.signMessage({ message: other }))
  expect(stranger.json.code).toBe('login_failed')
})

test('a contract wallet logs in before it exists on chain', async () => {
  const { owner, address, factoryData } = contractWallet()
  const message = await messageFor(address)
  const wrapped = (signature: Hex) =>
    serializeErc6492Signature({ address: CREATE2_FACTORY, data: factoryData, signature })
  expect((await verify(message, wrapped(await owner.signMessage({ message })))).status).toBe(200)
  expect(await client.getCode({ address })).toBeUndefined()

  const other = await messageFor(address)
  const stranger = await verify(other, wrapped(await payer.signMessage({ message: other })))
  expect(stranger.json.code).toBe('login_failed')
})

test('a node of another chain vouches for nobody', async () => {
  const { owner, address, factoryData } = contractWallet()
  const hash = await client.sendTransaction({ to: CREATE2_FACTORY, data: factoryData })
  await client.waitForTransactionReceipt({ hash })
  const transport = openTransport({ processors: [], infrastructure: [localChain.rpcUrl] })
  const config = (id: number) => ({ chain: { id, rpcUrl: localChain.rpcUrl } })
  const signed = { address, message: 'hello', signature: await owner.signMessage({ message: 'hello' }) }
  const right = openChain({ config: config(31337), transport, log: silentLog })
  const wrong = openChain({ config: config(8453), transport, log: silentLog })
  expect(await right.acceptedByContract(signed)).toBe(true)
  expect(await wrong.acceptedByContract(signed)).toBe(false)
  await transport.close()
})

test('a node that does not answer refuses a login within seconds', async () => {
  const silent = createServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const rpcUrl = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
  const transport = openTransport({ processors: [], infrastructure: [rpcUrl] })
  const chain = openChain({ config: { chain: { id: 31337, rpcUrl } }, transport, log: silentLog })
  const startedAt = performance.now()
  const { address } = contractWallet()
  expect(await chain.acceptedByContract({ address, message: 'hello', signature: '0x00' })).toBe(false)
  expect(performance.now() - startedAt).toBeLessThan(10_000)
  silent.closeAllConnections()
  silent.close()
  await transport.close()
})

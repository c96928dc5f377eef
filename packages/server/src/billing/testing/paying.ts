import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { startChain } from '@agentctl/localcloud/chain.ts'
import {
  type Address,
  concat,
  createPublicClient,
  createTestClient,
  createWalletClient,
  encodeFunctionData,
  type Hex,
  http,
  keccak256,
  numberToHex,
  padHex,
  parseAbi,
  size,
  slice,
  toEventSelector,
} from 'viem'
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { foundry } from 'viem/chains'

export const tokenAbi = parseAbi([
  'function transfer(address to, uint256 value) returns (bool)',
  'function approve(address spender, uint256 value) returns (bool)',
  'function transferFrom(address from, address to, uint256 value) returns (bool)',
  'function balanceOf(address holder) view returns (uint256)',
  'function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)',
])

const GAS = { gas: 3_000_000n, maxFeePerGas: 20_000_000_000n, maxPriorityFeePerGas: 1_000_000_000n }

export interface Call {
  to: Address
  data: Hex
}

/** A real chain that mines when it is told to, with people on it who pay. It follows the clock of the given folder. */
export async function payingChain(given?: { dataDir: string }) {
  const dataDir = given?.dataDir ?? mkdtempSync(`${tmpdir()}/agentctl-paying-`)
  const local = await startChain({ dataDir, log: () => {} })
  const transport = http(local.rpcUrl)
  const chain = { ...foundry, id: local.chainId }
  const client = createPublicClient({ chain, transport })
  const node = createTestClient({ chain, transport, mode: 'anvil' })
  const rpc = (method: string, params: unknown[]): Promise<unknown> =>
    client.request({ method, params } as never)
  await rpc('evm_setIntervalMining', [0])
  await node.setAutomine(false)
  const [rich] = local.accounts
  if (!rich) throw new Error('The chain has no development account.')
  const bank = privateKeyToAccount(rich.privateKey)

  const mine = (blocks = 1): Promise<void> => node.mine({ blocks })
  const send = async (
    from: PrivateKeyAccount,
    call: { to?: Address; data?: Hex; value?: bigint; nonce?: number; outbid?: boolean },
  ): Promise<{ hash: Hex; raw: Hex }> => {
    const wallet = createWalletClient({ account: from, chain, transport })
    const nonce =
      call.nonce ?? (await client.getTransactionCount({ address: from.address, blockTag: 'pending' }))
    const raw = await wallet.signTransaction({
      ...GAS,
      ...(call.outbid
        ? { maxFeePerGas: 2n * GAS.maxFeePerGas, maxPriorityFeePerGas: 2n * GAS.maxPriorityFeePerGas }
        : {}),
      nonce,
      ...(call.to ? { to: call.to } : {}),
      ...(call.data ? { data: call.data } : {}),
      value: call.value ?? 0n,
    })
    return { hash: await client.sendRawTransaction({ serializedTransaction: raw }), raw }
  }
  const transferCall = (to: Address, micros: bigint, token: Address = local.token.address): Call => ({
    to: token,
    data: encodeFunctionData({ abi: tokenAbi, functionName: 'transfer', args: [to, micros] }),
  })
  return {
    local,
    client,
    node,
    rpc,
    bank,
    mine,
    send,
    transferCall,
    pay: (from: PrivateKeyAccount, to: Address, micros: bigint, token?: Address) =>
      send(from, transferCall(to, micros, token)),
    /** Somebody new, with gas and this much money. */
    async somebody(micros: bigint): Promise<PrivateKeyAccount> {
      const account = privateKeyToAccount(generatePrivateKey())
      await node.setBalance({ address: account.address, value: 10n ** 18n })
      if (micros > 0n) {
        await send(bank, transferCall(account.address, micros))
        await mine()
      }
      return account
    },
    /** Another token with the same face, deployed by `from`, who then holds all of it. */
    async fakeToken(from: PrivateKeyAccount): Promise<Address> {
      const { initCode }: { initCode: Hex } = JSON.parse(
        readFileSync(new URL('../../../../localcloud/src/token/usd-coin.json', import.meta.url), 'utf8'),
      )
      const { hash } = await send(from, { data: initCode })
      await mine()
      const { contractAddress } = await client.getTransactionReceipt({ hash })
      if (!contractAddress) throw new Error('The fake token was not deployed.')
      return contractAddress
    },
    async stop(): Promise<void> {
      await local.stop()
      if (!given) rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

export type PayingChain = Awaited<ReturnType<typeof payingChain>>

/** Code that, sent as a creation, makes these calls one after another, or reverts. */
export function callsInOne(calls: readonly Call[]): Hex {
  // Every jump goes to the end, whose place is known only when all is written: two passes of the same length.
  const write = (end: number): Hex =>
    concat([
      ...calls.flatMap(({ to, data }) => [
        ...storeInMemory(data),
        // return size, return offset, size, offset, value, address, gas
        concat(['0x6000', '0x6000', push2(size(data)), '0x6000', '0x6000', '0x73', to, '0x5a', '0xf1']),
        // if it failed, jump to the end
        concat(['0x15', push2(end), '0x57']),
      ]),
      '0x00',
      '0x5b60006000fd',
    ])
  return write(size(write(0)) - 6)
}

/** Code that, sent as a creation, writes a log that says Transfer without moving anything. */
export function forgedTransfer(from: Address, to: Address, micros: bigint): Hex {
  const topic = toEventSelector('Transfer(address,address,uint256)')
  return concat([
    ...storeInMemory(numberToHex(micros, { size: 32 })),
    concat(['0x7f', padHex(to, { size: 32 })]),
    concat(['0x7f', padHex(from, { size: 32 })]),
    concat(['0x7f', topic]),
    '0x60206000a300',
  ])
}

function storeInMemory(bytes: Hex): Hex[] {
  const words: Hex[] = []
  for (let at = 0; at < size(bytes); at += 32) {
    const word = padHex(slice(bytes, at, Math.min(at + 32, size(bytes))), { size: 32, dir: 'right' })
    words.push(concat(['0x7f', word, push2(at), '0x52']))
  }
  return words
}

function push2(value: number): Hex {
  return concat(['0x61', numberToHex(value, { size: 2 })])
}

/**
 * What a node between us and the chain may do to one call; undefined: passes it on. `asked` are the methods of all
 * calls that travel together, the same array for each of them; an error, a lost connection or silence is that of all.
 */
export type Fault = (
  method: string,
  params: unknown[],
  asked: readonly string[],
) => { status: number; body: string } | { result: unknown } | 'drop' | 'hang' | undefined

interface RpcCall {
  id: unknown
  method: string
  params?: unknown[]
}

/** Stands between the server and a node, and misbehaves on request. */
export async function faultyNode(rpcUrl: string) {
  let fault: Fault | undefined
  let calls = 0
  const answerOne = async (call: RpcCall, asked: readonly string[]) => {
    calls++
    const wrong = fault?.(call.method, call.params ?? [], asked)
    if (typeof wrong === 'string' || (wrong && 'status' in wrong)) return wrong
    if (wrong) return { jsonrpc: '2.0', id: call.id, ...wrong }
    const answer = await fetch(rpcUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(call),
    })
    return answer.json() as Promise<object>
  }
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const body: RpcCall | RpcCall[] = JSON.parse(Buffer.concat(parts).toString())
    const asked = [body].flat().map(({ method }) => method)
    const answers = await Promise.all([body].flat().map((call) => answerOne(call, asked)))
    if (answers.includes('hang')) return
    if (answers.includes('drop')) {
      response.destroy()
      return
    }
    const refused = answers.find((answer) => typeof answer === 'object' && 'status' in answer)
    if (typeof refused === 'object' && 'status' in refused) {
      response.writeHead(Number(refused.status)).end('body' in refused ? String(refused.body) : '')
      return
    }
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(Array.isArray(body) ? answers : answers[0]))
  }
  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    misbehave(next: Fault | undefined): void {
      fault = next
    },
    /** Calls so far. */
    calls: () => calls,
    stop: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

/** A payment by signature: the owner signs, and whoever likes sends it. */
export async function authorizedTransfer(
  chain: PayingChain,
  owner: PrivateKeyAccount,
  to: Address,
  value: bigint,
): Promise<Call> {
  const nonce = keccak256(generatePrivateKey())
  const message = { from: owner.address, to, value, validAfter: 0n, validBefore: 2n ** 48n, nonce }
  const signature = await owner.signTypedData({
    domain: {
      name: 'USD Coin',
      version: '2',
      chainId: chain.local.chainId,
      verifyingContract: chain.local.token.address,
    },
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
    message,
  })
  return {
    to: chain.local.token.address,
    data: encodeFunctionData({
      abi: tokenAbi,
      functionName: 'transferWithAuthorization',
      args: [
        message.from,
        message.to,
        message.value,
        message.validAfter,
        message.validBefore,
        nonce,
        Number.parseInt(slice(signature, 64, 65), 16),
        slice(signature, 0, 32),
        slice(signature, 32, 64),
      ],
    }),
  }
}

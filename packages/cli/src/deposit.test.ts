import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Deposit } from '@agentctl/contract/billing.ts'
import { type Chain, startChain } from '@agentctl/localcloud/chain.ts'
import { createTestClient, createWalletClient, type Hex, http, parseAbi, publicActions } from 'viem'
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { foundry } from 'viem/chains'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Answers, type Asked, type FakeApi, refusal, startFakeApi } from './testing/fake-api.ts'
import { BREAK_OFF, type NodeProxy, startNodeProxy } from './testing/node-proxy.ts'
import { type Machine, newMachine, type Ran } from './testing/run-cli.ts'
import { writeKeystore } from './testing/write-keystore.ts'

const ERC20 = parseAbi([
  'function balanceOf(address) view returns (uint256)',
  'function transfer(address to, uint256 value) returns (bool)',
])
const key = `actl_k_${'A'.repeat(36)}`

const dataDir = mkdtempSync(join(tmpdir(), 'agentctl-deposit-'))
let chain: Chain
beforeAll(async () => {
  chain = await startChain({ dataDir, blockSeconds: 1, log: () => {} })
})
afterAll(async () => {
  await chain.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

const node = () =>
  createTestClient({ chain: foundry, mode: 'anvil', transport: http(chain.rpcUrl), cacheTime: 0 }).extend(
    publicActions,
  )

/** Signs and sends, and waits until it is mined. */
async function transfer(from: PrivateKeyAccount, to: Hex, micros: bigint, nonce?: number): Promise<Hex> {
  const wallet = createWalletClient({ account: from, chain: foundry, transport: http(chain.rpcUrl) })
  const hash = await wallet.writeContract({
    address: chain.token.address,
    abi: ERC20,
    functionName: 'transfer',
    args: [to, micros],
    ...(nonce === undefined ? {} : { nonce }),
  })
  await node().waitForTransactionReceipt({ hash, pollingInterval: 50 })
  return hash
}

/** Somebody new with this much of the token, and of the coin for gas. */
async function newWallet(micros: bigint, gas = 10n ** 18n) {
  const privateKey = generatePrivateKey()
  const account = privateKeyToAccount(privateKey)
  await node().setBalance({ address: account.address, value: gas })
  const [rich] = chain.accounts
  if (rich && micros > 0n) await transfer(privateKeyToAccount(rich.privateKey), account.address, micros)
  return { privateKey, account }
}

let machine: Machine
let api: FakeApi
let proxy: NodeProxy
let answers: Answers
let treasury: Hex
/** What the service knows, by transaction. */
let claims: Map<string, Deposit>
let linked: string[]
beforeEach(async () => {
  machine = await newMachine()
  proxy = await startNodeProxy(chain.rpcUrl)
  treasury = privateKeyToAccount(generatePrivateKey()).address
  claims = new Map()
  linked = []
  answers = {
    'GET /v1/billing/deposit-addresses': () => ({
      chains: [
        {
          chain: 'local',
          chainId: chain.chainId,
          rpcUrl: proxy.url,
          token: { ...chain.token },
          address: treasury,
        },
      ],
      wallets: linked,
    }),
    'GET /v1/billing/deposits': () => ({ deposits: [...claims.values()] }),
    'POST /v1/billing/deposits': ({ body }: Asked) => {
      const { txHash } = body as { txHash: string }
      const known = claims.get(txHash)
      if (known) return known
      const made: Deposit = {
        id: `dep_${claims.size + 1}`,
        status: 'pending',
        reason: null,
        chain: 'local',
        txHash,
        creditsMicros: null,
        countsAt: null,
        createdAt: new Date().toISOString(),
        creditedAt: null,
      }
      claims.set(txHash, made)
      return made
    },
    'GET /v1/billing/deposits/:deposit': async ({ params }) => {
      const found = [...claims.values()].find(({ id }) => id === params.deposit)
      if (!found) return refusal('not_found', 'You have no such deposit.')
      const paid = await amountPaid(found.txHash)
      if (paid === undefined || found.status === 'rejected') return found
      const now: Deposit = { ...found, ...nextOf(found), creditsMicros: String(paid) }
      claims.set(found.txHash, now)
      return now
    },
  }
  api = await startFakeApi(answers)
})
afterEach(async () => {
  await api.close()
  await proxy.close()
  machine.remove()
})

const nextOf = ({ status }: Deposit): Pick<Deposit, 'status' | 'countsAt' | 'creditedAt'> =>
  status === 'pending'
    ? { status: 'seen', countsAt: null, creditedAt: null }
    : status === 'seen'
      ? { status: 'confirming', countsAt: 'safe', creditedAt: null }
      : { status: 'credited', countsAt: 'safe', creditedAt: new Date().toISOString() }

async function amountPaid(hash: string): Promise<bigint | undefined> {
  const receipt = await node()
    .getTransactionReceipt({ hash: hash as Hex })
    .catch(() => undefined)
  const [log] = receipt?.logs ?? []
  return log && receipt?.status === 'success' ? BigInt(log.data) : undefined
}

const arrived = (): Promise<bigint> =>
  node().readContract({
    address: chain.token.address,
    abi: ERC20,
    functionName: 'balanceOf',
    args: [treasury],
  })
/** After this many blocks everything that was sent has been mined, or never will be. */
async function blocksLater(count = 2): Promise<void> {
  const until = (await node().getBlockNumber()) + BigInt(count)
  await expect.poll(() => node().getBlockNumber(), { timeout: 20_000 }).toBeGreaterThanOrEqual(until)
}

const env = (wallet: { privateKey: Hex }) => ({
  AGENTCTL_API_URL: api.url,
  AGENTCTL_API_KEY: key,
  AGENTCTL_PRIVATE_KEY: wallet.privateKey,
})
async function payer(micros: bigint, gas?: bigint) {
  const wallet = await newWallet(micros, gas)
  linked.push(wallet.account.address)
  return wallet
}
const sentToNode = (): number =>
  proxy.calls.filter(({ method }) => method === 'eth_sendRawTransaction').length
const remembered = (): string[] => {
  try {
    return readdirSync(join(machine.home, 'config', 'payments'))
  } catch {
    return []
  }
}
const errorOf = ({ stderr }: Ran) => JSON.parse(stderr).error
const hashIn = (text: string): string => /0x[0-9a-f]{64}/.exec(text)?.[0] ?? ''

describe('a deposit from the wallet', () => {
  test('pays once, waits until it is credited, and forgets what it had to remember', async () => {
    const wallet = await payer(100_000_000n)
    const ran = await machine.run(['billing', 'deposit', '25.5', '--json'], { env: env(wallet) })
    expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(ran.stdout)).toEqual({
      id: 'dep_1',
      status: 'credited',
      reason: null,
      chain: 'local',
      txHash: expect.stringMatching(/^0x[0-9a-f]{64}$/),
      creditsMicros: '25500000',
    })
    expect(await arrived()).toBe(25_500_000n)
    expect(remembered()).toEqual([])
    expect(sentToNode()).toBe(1)

    const people = await machine.run(['billing', 'deposit', '1', '--chain', 'local'], { env: env(wallet) })
    const told = (text: string) =>
      text
        .replaceAll(wallet.account.address, 'WALLET')
        .replaceAll(treasury, 'TREASURY')
        .replace(/0x[0-9a-f]{64}/g, 'HASH')
        .replace(/^(Sending|Sent|Seen|Confirming).*\n/gm, '')
    expect({ ...people, stderr: told(people.stderr) }).toMatchInlineSnapshot(`
      {
        "code": 0,
        "stderr": "Paid $1.00 in USDC on local from WALLET to TREASURY.
      Transaction HASH
      ",
        "stdout": "Credited $1.00, paid on local.
      ",
      }
    `)
    expect(await arrived()).toBe(26_500_000n)
  })

  test('is not made when the wallet holds too little of the token, and says what is missing', async () => {
    const wallet = await payer(3_500_000n)
    const ran = await machine.run(['billing', 'deposit', '25'], { env: env(wallet) })
    expect(ran.code).toBe(5)
    expect(ran.stderr.replaceAll(wallet.account.address, 'WALLET')).toMatchInlineSnapshot(`
      "error: WALLET holds 3.5 USDC on local; a deposit of $25.00 needs 25
      Nothing was paid. Send 21.5 USDC on local to this wallet, or pay by card: agentctl billing deposit --card 25
      "
    `)
    expect(sentToNode()).toBe(0)
    expect(remembered()).toEqual([])
  })

  test('is not made when the wallet cannot pay for gas, and says what is missing', async () => {
    const wallet = await payer(30_000_000n, 1_000_000_000n)
    const ran = await machine.run(['billing', 'deposit', '25'], { env: env(wallet) })
    expect(ran.code).toBe(5)
    expect(
      ran.stderr.replaceAll(wallet.account.address, 'WALLET').replace(/up to [\d.]+/, 'up to N'),
    ).toMatchInlineSnapshot(`
      "error: WALLET holds 0.000000001 of the coin that pays for gas on local (chain 31337); the payment needs up to N
      Nothing was paid. Send a little of that coin on local to this wallet.
      "
    `)
    expect(sentToNode()).toBe(0)
  })

  test('is not signed when another chain answers behind the address', async () => {
    const wallet = await payer(30_000_000n)
    proxy.between.set('eth_chainId', async () => ({ jsonrpc: '2.0', id: 1, result: '0x1' }))
    const ran = await machine.run(['billing', 'deposit', '25'], { env: env(wallet) })
    expect(ran.code).toBe(7)
    expect(ran.stderr.replace(/127[.\d:]+/, 'HOST')).toMatchInlineSnapshot(`
      "error: The node at HOST is on chain 1, but local is chain 31337
      Nothing was signed or paid. Try again later, or pay from elsewhere: agentctl billing deposit --address
      "
    `)
    expect(proxy.calls.map(({ method }) => method)).toEqual(['eth_chainId'])
    expect(remembered()).toEqual([])
  })

  test('is exit 7 when nothing answers for the chain', async () => {
    const wallet = await payer(30_000_000n)
    await proxy.close()
    const ran = await machine.run(['billing', 'deposit', '25', '--json'], { env: env(wallet) })
    expect({ code: ran.code, stdout: ran.stdout }).toEqual({ code: 7, stdout: '' })
    expect(errorOf(ran)).toMatchObject({
      code: 'provider_unavailable',
      message: expect.stringMatching(/^The node of local is in trouble: .*nothing listens there$/),
    })
    expect(remembered()).toEqual([])
    proxy = await startNodeProxy(chain.rpcUrl)
  })

  test('outlives a node that limits rates for a moment', async () => {
    const wallet = await payer(30_000_000n)
    let refusals = 0
    proxy.between.set('eth_estimateGas', async (_, pass) =>
      refusals++ < 2 ? { jsonrpc: '2.0', id: 1, error: { code: -32005, message: 'limit exceeded' } } : pass(),
    )
    const { code, stderr } = await machine.run(['billing', 'deposit', '25'], { env: env(wallet) })
    expect(code).toBe(0)
    expect(stderr).toContain('Asking the node of local…\n')
    expect(await arrived()).toBe(25_000_000n)
  })

  test('is not made when the token refuses it', async () => {
    const wallet = await payer(30_000_000n)
    const refused = {
      jsonrpc: '2.0',
      id: 1,
      error: { code: 3, message: 'execution reverted: Blacklistable' },
    }
    proxy.between.set('eth_estimateGas', async () => refused)
    const ran = await machine.run(['billing', 'deposit', '25', '--json'], { env: env(wallet) })
    expect(ran.code).toBe(1)
    expect(errorOf(ran)).toMatchObject({
      code: 'deposit_rejected',
      message: 'USDC on local refuses the transfer: execution reverted: Blacklistable',
    })
    expect(sentToNode()).toBe(0)
  })

  test('that the chain does not take for want of coins is forgotten, so that it can be repeated', async () => {
    const wallet = await payer(30_000_000n)
    const refused = { code: -32000, message: 'insufficient funds for gas * price + value' }
    proxy.between.set('eth_sendRawTransaction', async () => ({ jsonrpc: '2.0', id: 1, error: refused }))
    expect((await machine.run(['billing', 'deposit', '25'], { env: env(wallet) })).code).toBe(5)
    expect(remembered()).toEqual([])
    proxy.between.clear()
    expect((await machine.run(['billing', 'deposit', '25'], { env: env(wallet) })).code).toBe(0)
    expect(await arrived()).toBe(25_000_000n)
  })

  test('works on a chain without a base fee, and from a keystore', async () => {
    const wallet = await payer(30_000_000n)
    proxy.between.set('eth_getBlockByNumber', async (_, pass) => {
      const { result, ...rest } = (await pass()) as { result: Record<string, unknown> }
      return { ...rest, result: { ...result, baseFeePerGas: undefined } }
    })
    writeFileSync(
      join(machine.home, 'keystore.json'),
      writeKeystore(Buffer.from(wallet.privateKey.slice(2), 'hex'), 'secret word'),
    )
    const ran = await machine.run(['billing', 'deposit', '25', '--keystore', 'keystore.json', '--json'], {
      env: {
        AGENTCTL_API_URL: api.url,
        AGENTCTL_API_KEY: key,
        AGENTCTL_KEYSTORE_PASSWORD: 'secret word',
      },
    })
    expect(ran.code).toBe(0)
    const { type } = await node().getTransaction({ hash: JSON.parse(ran.stdout).txHash })
    expect(type).toBe('legacy')
    expect(await arrived()).toBe(25_000_000n)
  })

  test('is not made from a wallet whose payment would not be credited', async () => {
    const wallet = await newWallet(30_000_000n)
    const ran = await machine.run(['billing', 'deposit', '25', '--json'], { env: env(wallet) })
    expect(ran.code).toBe(1)
    expect(errorOf(ran)).toMatchObject({
      code: 'wallet_not_linked',
      next: ['agentctl account update --wallet'],
    })
    expect(sentToNode()).toBe(0)
  })

  test('without a wallet is exit 2 and names where one can come from', async () => {
    const ran = await machine.run(['billing', 'deposit', '25', '--json'], {
      env: { AGENTCTL_API_URL: api.url, AGENTCTL_API_KEY: key },
    })
    expect(ran.code).toBe(2)
    expect(errorOf(ran)).toMatchObject({
      code: 'missing_answer',
      fix: 'Give --keystore NAME or AGENTCTL_PRIVATE_KEY in the environment',
    })
  })
})

describe('nothing is paid twice', () => {
  test('by a deposit that was interrupted before it was sent: it is gone on with', async () => {
    const wallet = await payer(100_000_000n)
    const held = new Promise<void>((resolve) => {
      proxy.between.set('eth_sendRawTransaction', () => {
        resolve()
        return new Promise(() => {})
      })
    })
    const running = machine.start(['billing', 'deposit', '25'], { env: env(wallet), input: '' })
    await held
    running.child.kill('SIGINT')
    const interrupted = await running.ended
    expect(interrupted.code).toBe(130)
    const hash = hashIn(interrupted.stderr)
    expect(interrupted.stderr).toContain(
      `Go on with it, without paying twice: agentctl billing deposit --tx ${hash}`,
    )
    proxy.between.clear()

    const second = await machine.run(['billing', 'deposit', '25', '--json'], { env: env(wallet) })
    expect(second.code).toBe(1)
    expect(JSON.parse(second.stdout)).toMatchObject({ id: null, status: 'pending', txHash: hash })
    expect(errorOf(second)).toMatchObject({
      code: 'conflict',
      fix: expect.stringContaining('--again'),
      next: [`agentctl billing deposit --tx ${hash}`],
    })
    await blocksLater()
    expect(await arrived()).toBe(0n)

    const resumed = await machine.run(['billing', 'deposit', '--tx', hash, '--json'], { env: env(wallet) })
    expect({ code: resumed.code, ...JSON.parse(resumed.stdout) }).toMatchObject({
      code: 0,
      status: 'credited',
      txHash: hash,
      creditsMicros: '25000000',
    })
    expect(await arrived()).toBe(25_000_000n)
    expect(remembered()).toEqual([])
  })

  test('when the node took it and its answer was lost: it is asked whether it has it', async () => {
    const wallet = await payer(100_000_000n)
    proxy.between.set('eth_sendRawTransaction', async (_, pass) => {
      await pass()
      return BREAK_OFF
    })
    expect((await machine.run(['billing', 'deposit', '25'], { env: env(wallet) })).code).toBe(0)
    expect(await arrived()).toBe(25_000_000n)
  })

  test('when the node took it and went away: exit 7 with the transaction, which can be gone on with', async () => {
    const wallet = await payer(100_000_000n)
    let isAway = false
    proxy.between.set('eth_sendRawTransaction', async (_, pass) => {
      isAway = true
      await pass()
      return BREAK_OFF
    })
    proxy.between.set('eth_getTransactionByHash', async (_, pass) => (isAway ? BREAK_OFF : pass()))
    const lost = await machine.run(['billing', 'deposit', '25', '--json'], { env: env(wallet) })
    expect(lost.code).toBe(7)
    const { txHash } = JSON.parse(lost.stdout)
    expect(errorOf(lost).next).toEqual([`agentctl billing deposit --tx ${txHash}`])
    proxy.between.clear()
    const resumed = await machine.run(['billing', 'deposit', '--tx', txHash, '--json'], { env: env(wallet) })
    expect(resumed.code).toBe(0)
    expect(await arrived()).toBe(25_000_000n)
  })

  test('by two programs at once', async () => {
    const wallet = await payer(100_000_000n)
    const ran = await Promise.all(
      [1, 2, 3].map(() =>
        machine.run(['billing', 'deposit', '25', '--no-wait', '--json'], { env: env(wallet) }),
      ),
    )
    expect(ran.map(({ code }) => code).sort()).toEqual([0, 1, 1])
    await blocksLater()
    expect(await arrived()).toBe(25_000_000n)
  })

  test('while the earlier payment waits; once that is credited, the next one goes on', async () => {
    const wallet = await payer(100_000_000n)
    const first = await machine.run(['billing', 'deposit', '25', '--no-wait', '--json'], { env: env(wallet) })
    expect(first.code).toBe(0)
    const { txHash, status } = JSON.parse(first.stdout)
    expect(status).toBe('pending')
    expect((await machine.run(['billing', 'deposit', '5'], { env: env(wallet) })).code).toBe(1)
    const made = claims.get(txHash)
    if (!made) throw new Error('it was not claimed')
    claims.set(txHash, { ...made, status: 'credited', creditsMicros: '25000000' })
    expect((await machine.run(['billing', 'deposit', '5'], { env: env(wallet) })).code).toBe(0)
    expect(await arrived()).toBe(30_000_000n)
  })

  test('with --again, as long as the earlier one was not mined: it takes its place', async () => {
    const wallet = await payer(100_000_000n)
    await node().setIntervalMining({ interval: 0 })
    try {
      const first = await machine.run(['billing', 'deposit', '25', '--no-wait', '--json'], {
        env: env(wallet),
      })
      const again = await machine.run(['billing', 'deposit', '30', '--again', '--no-wait', '--json'], {
        env: env(wallet),
      })
      expect([first.code, again.code]).toEqual([0, 0])
      await node().mine({ blocks: 1 })
      expect(await arrived()).toBe(30_000_000n)
      const old = JSON.parse(first.stdout).txHash
      expect(await amountPaid(old)).toBeUndefined()
    } finally {
      await node().setIntervalMining({ interval: 1 })
    }
  })

  test('with --again after it was mined it is a second payment, as asked', async () => {
    const wallet = await payer(100_000_000n)
    await machine.run(['billing', 'deposit', '25', '--no-wait'], { env: env(wallet) })
    await blocksLater()
    const again = await machine.run(['billing', 'deposit', '25', '--again', '--json'], { env: env(wallet) })
    expect(again.code).toBe(0)
    expect(await arrived()).toBe(50_000_000n)
  })

  test('when another transaction of the wallet comes in between, nothing is paid and it says so', async () => {
    const wallet = await payer(100_000_000n)
    proxy.between.set('eth_sendRawTransaction', async (_, pass) => {
      await transfer(wallet.account, wallet.account.address, 1n)
      return pass()
    })
    const ran = await machine.run(['billing', 'deposit', '25'], { env: env(wallet) })
    expect(ran.code).toBe(1)
    expect(ran.stderr).toContain('Another transaction of this wallet came in between')
    expect(ran.stderr).toContain('Nothing was paid')
    expect(remembered()).toEqual([])
    proxy.between.clear()
    expect((await machine.run(['billing', 'deposit', '25'], { env: env(wallet) })).code).toBe(0)
    expect(await arrived()).toBe(25_000_000n)
  })

  test('after an earlier one that the chain can never mine any more: that one is forgotten', async () => {
    const wallet = await payer(100_000_000n)
    const held = new Promise<void>((resolve) => {
      proxy.between.set('eth_sendRawTransaction', () => {
        resolve()
        return new Promise(() => {})
      })
    })
    const running = machine.start(['billing', 'deposit', '25'], { env: env(wallet), input: '' })
    await held
    running.child.kill('SIGKILL')
    await running.ended
    proxy.between.clear()
    await transfer(wallet.account, wallet.account.address, 1n)
    expect((await machine.run(['billing', 'deposit', '5'], { env: env(wallet) })).code).toBe(1)
    await blocksLater(6)
    expect((await machine.run(['billing', 'deposit', '5'], { env: env(wallet) })).code).toBe(0)
    expect(await arrived()).toBe(5_000_000n)
  })
})

describe('what was paid is not lost', () => {
  test('when the service is away just then: the document carries the transaction', async () => {
    const wallet = await payer(100_000_000n)
    answers['POST /v1/billing/deposits'] = () => refusal('unavailable', 'The service is in trouble')
    const ran = await machine.run(['billing', 'deposit', '25', '--json'], { env: env(wallet) })
    expect(ran.code).toBe(7)
    const { txHash } = JSON.parse(ran.stdout)
    expect(errorOf(ran)).toMatchObject({
      message: 'The payment was sent, but the service was not told: The service is in trouble',
      next: [`agentctl billing deposit --tx ${txHash}`],
    })
    await blocksLater()
    expect(await arrived()).toBe(25_000_000n)
    expect(remembered()).toHaveLength(1)
  })

  test('when it takes longer than the wait: exit 8 with the document', async () => {
    const wallet = await payer(100_000_000n)
    answers['GET /v1/billing/deposits/:deposit'] = () =>
      [...claims.values()][0] ?? refusal('not_found', 'none')
    const ran = await machine.run(['billing', 'deposit', '25', '--timeout', '1s', '--json'], {
      env: env(wallet),
    })
    expect(ran.code).toBe(8)
    expect(JSON.parse(ran.stdout)).toMatchObject({ id: 'dep_1', status: 'pending' })
    expect(errorOf(ran).code).toBe('still_in_progress')
  })

  test('a rejected claim is exit 1 and says why', async () => {
    const txHash = `0x${'ab'.repeat(32)}`
    answers['POST /v1/billing/deposits'] = () => ({
      id: 'dep_9',
      status: 'rejected',
      reason: 'not_found',
      chain: 'local',
      txHash,
      creditsMicros: null,
      countsAt: null,
      createdAt: new Date().toISOString(),
      creditedAt: null,
    })
    const ran = await machine.run(['billing', 'deposit', '--tx', txHash, '--json'], {
      env: { AGENTCTL_API_URL: api.url, AGENTCTL_API_KEY: key },
    })
    expect(ran.code).toBe(1)
    expect(JSON.parse(ran.stdout)).toEqual({
      id: 'dep_9',
      status: 'rejected',
      reason: 'not_found',
      chain: 'local',
      txHash,
      creditsMicros: null,
    })
    expect(errorOf(ran)).toMatchObject({
      code: 'deposit_rejected',
      message: 'The payment was not credited: no payment of yours by this transaction was found',
    })
  })
})

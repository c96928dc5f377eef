import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { ChainState } from './chain-state.ts'
import { clockFromFile } from './clock.ts'
import {
  DEVELOPMENT_ACCOUNTS,
  DEVELOPMENT_MNEMONIC,
  type DevelopmentAccount,
} from './development-accounts.ts'
import { lockFolder } from './folder-lock.ts'
import { isFree } from './free-port.ts'
import { callRpc } from './json-rpc.ts'
import { keepFile, readKeptFile } from './kept-file.ts'
import { identifyProcess, isRunning, type ProcessIdentity, signal } from './process-identity.ts'
import { deployToken } from './token/deploy.ts'
import { waitUntil } from './wait-until.ts'

export const CHAIN_ID = 31337
const TICK_MS = 250

export interface Chain {
  rpcUrl: string
  chainId: typeof CHAIN_ID
  token: { address: `0x${string}`; symbol: 'USDC'; decimals: 6 }
  accounts: readonly DevelopmentAccount[]
  stop(): Promise<void>
}

export interface ChainOptions {
  /** Data directory of the local cloud; the chain lives in its folder `chain` and follows its file `clock`. */
  dataDir: string
  blockSeconds?: number
  log: (line: string) => void
}

interface Kept {
  port: number
  node: ProcessIdentity | undefined
}

/** Starts the local chain where an earlier start left it, with the test token and accounts that hold it. */
export async function startChain(options: ChainOptions): Promise<Chain> {
  const folder = resolve(options.dataDir, 'chain')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const lock = await lockFolder(folder)
  try {
    const chain = await start(folder, options)
    return {
      ...chain,
      stop: async () => {
        await chain.stop()
        await lock.release()
      },
    }
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function start(folder: string, { dataDir, blockSeconds = 2, log }: ChainOptions): Promise<Chain> {
  const keptFile = join(folder, 'chain.json')
  const stateFile = join(folder, 'state.json')
  const keptText = readKeptFile(keptFile)
  const kept: Kept | undefined = keptText === undefined ? undefined : JSON.parse(keptText)
  if (kept?.node) await endOrphan(kept.node)

  const wanted = kept?.port && (await isFree(kept.port)) ? kept.port : 0
  const child = spawn(
    anvilBinary(),
    [
      ...['--host', '127.0.0.1', '--port', String(wanted), '--chain-id', String(CHAIN_ID)],
      ...['--mnemonic', DEVELOPMENT_MNEMONIC, '--accounts', String(DEVELOPMENT_ACCOUNTS.length)],
      // Two slots to an epoch: safe is two blocks behind the head and finalized four, so that both advance.
      ...['--block-time', String(blockSeconds), '--slots-in-an-epoch', '2'],
      ...(existsSync(stateFile) ? ['--load-state', stateFile] : []),
    ],
    { detached: true, cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  child.on('error', () => undefined)
  const endWithUs = () => child.kill('SIGKILL')
  process.once('exit', endWithUs)
  child.once('exit', () => process.removeListener('exit', endWithUs))
  const node = child.pid === undefined ? undefined : identifyProcess(child.pid)
  // Kept before it listens: whatever happens to us now, the next start knows whom to end.
  keepFile(keptFile, JSON.stringify({ port: kept?.port ?? 0, node } satisfies Kept))
  const port = await listening(child)
  keepFile(keptFile, JSON.stringify({ port, node } satisfies Kept))
  if (kept?.port && kept.port !== port) log(`port ${kept.port} is taken; the chain listens on ${port}`)

  const rpcUrl = `http://127.0.0.1:${port}`
  const clock = followClock(rpcUrl, join(dataDir, 'clock'))
  // Before the first block of this start: its time must not lie before that of the last block.
  await clock()
  const address = await deployToken(rpcUrl)
  const state = new ChainState(rpcUrl, stateFile)
  await state.keep()

  let stopping = false
  let failing = false
  const ticks = (async () => {
    while (!stopping) {
      await waitUntil(() => stopping, { withinMs: TICK_MS, everyMs: 25 })
      if (stopping) return
      try {
        await clock()
        await state.keepIfDue()
        failing = false
      } catch (error) {
        if (!failing && !stopping)
          log(`the chain does not answer: ${error instanceof Error ? error.message : error}`)
        failing = true
      }
    }
  })()
  return {
    rpcUrl,
    chainId: CHAIN_ID,
    token: { address, symbol: 'USDC', decimals: 6 },
    accounts: DEVELOPMENT_ACCOUNTS,
    stop: async () => {
      stopping = true
      await ticks
      const isAlive = child.exitCode === null && child.signalCode === null
      if (isAlive) {
        const ended = once(child, 'exit')
        await state.keep().catch((error) => log(`the last state of the chain was not kept: ${error}`))
        child.kill('SIGKILL')
        await ended
      }
      keepFile(keptFile, JSON.stringify({ port } satisfies Omit<Kept, 'node'>))
    },
  }
}

/** The platform's binary itself: the package's wrapper would leave it running when the wrapper is killed. */
function anvilBinary(): string {
  const cpu = process.arch === 'x64' ? 'amd64' : process.arch
  const name = `@foundry-rs/anvil-${process.platform}-${cpu}`
  const require = createRequire(import.meta.url)
  try {
    const wrapper = require.resolve('@foundry-rs/anvil/package.json')
    return join(dirname(createRequire(wrapper).resolve(`${name}/package.json`)), 'bin', 'anvil')
  } catch {
    throw new Error(
      `There is no local chain for ${process.platform}-${process.arch} (${name} is not installed).`,
    )
  }
}

async function endOrphan(node: ProcessIdentity): Promise<void> {
  if (!isRunning(node)) return
  signal(node.pid, 'SIGKILL')
  if (!(await waitUntil(() => !isRunning(node), { withinMs: 5_000 }))) {
    throw new Error(`The chain of an earlier start, process ${node.pid}, does not end.`)
  }
}

/** The port on which the node says that it listens. */
async function listening(child: ChildProcess): Promise<number> {
  const { stdout, stderr } = child
  if (!stdout || !stderr) throw new Error('The chain was started without its output.')
  let said = ''
  stderr.on('data', (part) => {
    said = (said + part.toString()).slice(-2_000)
  })
  const lines = createInterface({ input: stdout })
  const ready = new Promise<number | undefined>((resolve) => {
    lines.on('line', (line) => {
      const port = /^Listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1]
      if (port) resolve(Number(port))
    })
    child.once('close', () => resolve(undefined))
    child.once('error', () => resolve(undefined))
  })
  const tooLate = setTimeout(() => child.kill('SIGKILL'), 60_000)
  const port = await ready
  clearTimeout(tooLate)
  lines.close()
  // It goes on printing every block; unread output would stop it in the end.
  stdout.resume()
  if (port === undefined) throw new Error(`The local chain did not start:\n${said.trim()}`)
  return port
}

/** Moves the chain's time as far ahead as the clock of the local cloud is. */
function followClock(rpcUrl: string, clockFile: string): () => Promise<void> {
  const clock = clockFromFile(clockFile)
  let aheadSeconds = 0
  return async () => {
    const wanted = Math.floor(clock.aheadMs() / 1_000)
    if (wanted <= aheadSeconds) return
    await callRpc(rpcUrl, 'evm_increaseTime', [wanted - aheadSeconds])
    aheadSeconds = wanted
  }
}

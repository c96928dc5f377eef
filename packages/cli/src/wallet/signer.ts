import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { option } from '../command.ts'
import type { Context } from '../context.ts'
import { Failure } from '../failure.ts'
import { readKeystore } from './keystore.ts'
import { findKeystore } from './keystore-path.ts'

export interface Signer {
  address: `0x${string}`
  sign(message: string): Promise<`0x${string}`>
}

/** A call of a contract that moves no coin of the chain itself. */
export interface UnsignedTransaction {
  chainId: number
  nonce: number
  to: `0x${string}`
  data: `0x${string}`
  gas: bigint
  fees: { maxFeePerGas: bigint; maxPriorityFeePerGas: bigint } | { gasPrice: bigint }
}

/** A signer whose key is in this program, so that it can sign transactions too. */
export interface LocalSigner extends Signer {
  signTransaction(transaction: UnsignedTransaction): Promise<`0x${string}`>
}

/** Where the key is; the key itself is never an argument, since everybody on the machine can read those. */
export const walletOptions = {
  keystore: option('--keystore <name>', 'keystore file, or its name in ~/.foundry/keystores'),
  passwordFile: option('--password-file <path>', 'file whose first line is its password'),
  signerCommand: option('--signer-cmd <command>', 'command: message on stdin, signature on stdout'),
  address: option('--address <address>', 'address that --signer-cmd signs for'),
}

export interface WalletFlags {
  keystore: string | undefined
  passwordFile: string | undefined
  signerCommand: string | undefined
  address: string | undefined
}

type Hex = `0x${string}`
const isAddress = (text: string): text is Hex => /^0x[0-9a-fA-F]{40}$/.test(text)
const isHex = (text: string): text is Hex => /^0x[0-9a-fA-F]+$/.test(text)

export async function openSigner(ctx: Context, flags: WalletFlags): Promise<Signer> {
  if (flags.signerCommand !== undefined) return commandSigner(ctx, flags.signerCommand, flags.address)
  return openLocalSigner(ctx, flags, ', --signer-cmd COMMAND with --address,')
}

/** The wallet whose key is on this machine: --keystore, else AGENTCTL_PRIVATE_KEY, else by asking. */
export async function openLocalSigner(
  ctx: Context,
  flags: Pick<WalletFlags, 'keystore' | 'passwordFile'>,
  alternatives = '',
): Promise<LocalSigner> {
  if (flags.keystore !== undefined) return keystoreSigner(ctx, flags.keystore, flags.passwordFile)
  if (ctx.env.AGENTCTL_PRIVATE_KEY) {
    const key = ctx.env.AGENTCTL_PRIVATE_KEY.trim().replace(/^(0x)?/, '0x')
    if (!/^0x[0-9a-fA-F]{64}$/.test(key) || !isHex(key)) {
      throw new Failure(
        'usage',
        'AGENTCTL_PRIVATE_KEY is not a private key: it has to be 64 hexadecimal digits',
        {
          fix: 'Correct the variable, or use --keystore.',
        },
      )
    }
    return localSigner(key)
  }
  if (!ctx.prompt.interactive) {
    throw new Failure('missing_answer', 'Which wallet is to sign?', {
      fix: `Give --keystore NAME${alternatives} or AGENTCTL_PRIVATE_KEY in the environment`,
    })
  }
  const name = await ctx.prompt.text({ message: 'Keystore (name or path):', flag: '--keystore' })
  return keystoreSigner(ctx, name, flags.passwordFile)
}

async function localSigner(privateKey: Hex): Promise<LocalSigner> {
  const { privateKeyToAccount } = await import('viem/accounts')
  let account: ReturnType<typeof privateKeyToAccount>
  try {
    account = privateKeyToAccount(privateKey)
  } catch (error) {
    throw new Failure('usage', 'This is not a valid private key of a wallet', {
      fix: 'Use another wallet.',
      cause: error,
    })
  }
  return {
    address: account.address,
    sign: (message) => account.signMessage({ message }),
    signTransaction: ({ fees, ...call }) =>
      'gasPrice' in fees
        ? account.signTransaction({ type: 'legacy', ...call, ...fees })
        : account.signTransaction({ type: 'eip1559', ...call, ...fees }),
  }
}

async function keystoreSigner(
  ctx: Context,
  name: string,
  passwordFile: string | undefined,
): Promise<LocalSigner> {
  const keystore = readKeystore(readFileSync(findKeystore(name, ctx.env, ctx.cwd), 'utf8'))
  const password = await readPassword(ctx, passwordFile)
  const progress = ctx.progress('Opening the keystore')
  try {
    return await localSigner(await keystore.decrypt(password))
  } finally {
    progress.stop()
  }
}

async function readPassword(ctx: Context, passwordFile: string | undefined): Promise<string> {
  if (passwordFile !== undefined) {
    return readFileSync(resolve(ctx.cwd, passwordFile), 'utf8').split(/\r?\n/, 1)[0] ?? ''
  }
  if (ctx.env.AGENTCTL_KEYSTORE_PASSWORD !== undefined) return ctx.env.AGENTCTL_KEYSTORE_PASSWORD
  return ctx.prompt.hidden({
    message: 'Password of the keystore:',
    flag: '--password-file PATH, or AGENTCTL_KEYSTORE_PASSWORD in the environment',
  })
}

function commandSigner(ctx: Context, command: string, address: string | undefined): Signer {
  if (address === undefined || !isAddress(address)) {
    throw new Failure('missing_answer', '--signer-cmd needs to know for which address it signs', {
      fix: 'Give --address 0x…',
    })
  }
  return {
    address,
    sign: (message) =>
      new Promise((resolvePromise, reject) => {
        const child = spawn(command, {
          shell: true,
          cwd: ctx.cwd,
          stdio: ['pipe', 'pipe', 'inherit'],
          signal: ctx.signal,
        })
        let said = ''
        child.stdout.setEncoding('utf8').on('data', (part: string) => {
          if (said.length < 16_384) said += part
        })
        const refuse = (message: string, cause?: unknown) =>
          reject(new Failure('usage', message, { fix: 'Correct --signer-cmd.', cause }))
        child.on('error', (error) =>
          ctx.signal.aborted
            ? reject(ctx.interruption())
            : refuse(`The signing command did not start: ${error.message}`, error),
        )
        child.on('close', (status) => {
          const signature = said.trim()
          if (status !== 0) refuse(`The signing command ended with status ${status}`)
          else if (!isHex(signature))
            refuse('The signing command did not print a signature (0x and hexadecimal digits)')
          else resolvePromise(signature)
        })
        // A command that does not read its input closes the pipe; what it prints decides.
        child.stdin.on('error', () => {})
        child.stdin.end(message)
      }),
  }
}

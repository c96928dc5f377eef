import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../failure.ts'
import { type Hex, isRecord } from './chain-node.ts'

/**
 * A payment that was signed and whose end is not known yet. It is on disk before anybody else hears of it, so that
 * neither Ctrl-C nor a crash lets the same deposit be paid twice, or be forgotten.
 */
export interface UnsettledPayment {
  apiUrl: string
  chain: string
  chainId: number
  from: Hex
  amountMicros: string
  nonce: number
  /** What it offers for a unit of gas; its replacement has to offer more. */
  gasOffer: { tip: string; cap: string }
  hash: Hex
  /** The signed transaction: to send it again is safe, since it can be mined only once. */
  raw: Hex
  signedAt: string
}

type Place = Pick<UnsettledPayment, 'apiUrl' | 'chainId' | 'from'>

const folderOf = (configDirectory: string): string => join(configDirectory, 'payments')

/** One file for each wallet on each chain at each API. */
function fileOf(configDirectory: string, { apiUrl, chainId, from }: Place): string {
  const api = apiUrl.replace(/^https?:\/\//, '').replace(/[^A-Za-z0-9.]+/g, '-')
  return join(folderOf(configDirectory), `${api}-${chainId}-${from.toLowerCase()}.json`)
}

/** The payment of this wallet that is not settled yet. */
export function findUnsettled(configDirectory: string, place: Place): UnsettledPayment | undefined {
  return read(fileOf(configDirectory, place))
}

/** The payment that was made from this machine by this transaction, whichever wallet it was. */
export function findByHash(
  configDirectory: string,
  apiUrl: string,
  hash: string,
): UnsettledPayment | undefined {
  let files: string[]
  try {
    files = readdirSync(folderOf(configDirectory))
  } catch {
    return undefined
  }
  return files
    .filter((file) => file.endsWith('.json'))
    .map((file) => read(join(folderOf(configDirectory), file)))
    .find((payment) => payment?.apiUrl === apiUrl && payment.hash.toLowerCase() === hash.toLowerCase())
}

/**
 * Keeps a payment before it is sent. Answers false, and keeps nothing, when another one is in its place already:
 * of two programs that pay at once, one goes on. `instead` is the payment that this one is known to replace.
 */
export function keepUnsettled(
  configDirectory: string,
  payment: UnsettledPayment,
  instead: UnsettledPayment | undefined,
): boolean {
  mkdirSync(folderOf(configDirectory), { recursive: true, mode: 0o700 })
  const file = fileOf(configDirectory, payment)
  const fresh = `${file}.${process.pid}`
  const descriptor = openSync(fresh, 'w', 0o600)
  try {
    writeSync(descriptor, `${JSON.stringify(payment, null, 2)}\n`)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  try {
    if (instead !== undefined && read(file)?.hash === instead.hash) renameSync(fresh, file)
    else linkSync(fresh, file)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(fresh, { force: true })
  }
  syncFolder(folderOf(configDirectory))
  return true
}

/** Forgets a payment whose end is known. */
export function forgetPayment(configDirectory: string, payment: UnsettledPayment): void {
  const file = fileOf(configDirectory, payment)
  // Another run may have put a newer one in its place.
  if (read(file)?.hash === payment.hash) rmSync(file, { force: true })
}

/** A name in a folder survives a loss of power only once the folder itself was written. */
function syncFolder(folder: string): void {
  if (process.platform === 'win32') return
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function read(file: string): UnsettledPayment | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  try {
    const value: unknown = JSON.parse(text)
    if (isPayment(value)) return value
  } catch {
    // Told below, the same for JSON that is no payment.
  }
  throw new Failure('conflict', `${file} is there to remember a payment, and cannot be read`, {
    fix: `Look at your wallet for a payment without credits (agentctl billing deposit --tx 0x…), then remove ${file}`,
  })
}

const isPayment = (value: unknown): value is UnsettledPayment =>
  isRecord(value) &&
  ['apiUrl', 'chain', 'amountMicros', 'signedAt'].every((name) => typeof value[name] === 'string') &&
  ['from', 'hash', 'raw'].every((name) => /^0x[0-9a-fA-F]+$/.test(String(value[name]))) &&
  isRecord(value.gasOffer) &&
  /^\d+ \d+$/.test(`${value.gasOffer.tip} ${value.gasOffer.cap}`) &&
  ['chainId', 'nonce'].every((name) => Number.isSafeInteger(value[name]))

import { isSignedBy } from './signed-text.ts'

// Read by the CLI offline and by anybody who wants to check their own books: no library, WebCrypto only.

export const LEDGER_FORMAT = 'agentctl.ledger.1'

export interface LedgerEntry {
  /** 1, 2, 3… without a gap. */
  sequence: number
  at: string
  kind: string
  /** What it is about, such as a deposit's id. */
  reference: string
  /** Name of the transaction, unique in the whole ledger. */
  transaction: string
  /** Positive: credited. */
  amountMicros: string
  /** Balance after it. */
  balanceMicros: string
  /** Hex of SHA-256 over the hash before and `entryText`. */
  hash: string
}

/** What the server vouches for: how many entries there are, and which is the last. */
export interface LedgerHead {
  entries: number
  hash: string
  balanceMicros: string
  signedAt: string
  keyId: string
  /** Base64 of the 32 bytes of the Ed25519 public key that made the signature. */
  publicKey: string
  /** Base64 of the Ed25519 signature over `headText`. */
  signature: string
}

export interface LedgerExport {
  format: typeof LEDGER_FORMAT
  ledgerAccount: string
  entries: LedgerEntry[]
  head: LedgerHead
}

export type LedgerFault =
  /** Not an export at all. */
  | 'malformed'
  /** An entry is not what its hash says, or a balance does not add up. */
  | 'changed'
  /** An entry between others is not there. */
  | 'missing'
  /** The head names more entries than there are. */
  | 'cut'
  /** The signature of the head is not that of the key. */
  | 'unsigned'
  /** The key is none of those that the reader trusts. */
  | 'untrusted'

export type LedgerVerdict =
  | { valid: true; entries: number; balanceMicros: string; signedAt: string; keyId: string }
  | { valid: false; fault: LedgerFault; sequence: number | null; message: string }

export const GENESIS_HASH: string = '00'.repeat(32)

/** The text that an entry's hash covers, after the bytes of the hash before it. */
export function entryText(ledgerAccount: string, entry: Omit<LedgerEntry, 'hash'>): string {
  return [
    ledgerAccount,
    entry.sequence,
    entry.transaction,
    entry.kind,
    entry.reference,
    entry.amountMicros,
    entry.balanceMicros,
    entry.at,
  ].join('\n')
}

/** The text that the signature of the head covers. */
export function headText(ledgerAccount: string, head: Omit<LedgerHead, 'signature' | 'publicKey'>): string {
  return [
    LEDGER_FORMAT,
    ledgerAccount,
    head.entries,
    head.hash,
    head.balanceMicros,
    head.signedAt,
    head.keyId,
  ].join('\n')
}

/**
 * Checks an export without asking anybody: each entry against its hash, the chain against gaps, the balances against
 * the amounts, the end against the signed head. `trustedKeys` are base64 public keys of the service, kept from an
 * earlier visit; without them the key in the export itself is taken, and whoever can write an export can sign one.
 */
export async function verifyLedger(
  document: unknown,
  trustedKeys?: readonly string[],
): Promise<LedgerVerdict> {
  if (!isExport(document)) {
    return refuse('malformed', null, 'This is not an exported ledger.')
  }
  const { ledgerAccount, entries, head } = document
  let hash = GENESIS_HASH
  let balance = 0n
  for (const [index, entry] of entries.entries()) {
    const expected = index + 1
    if (entry.sequence !== expected) {
      return refuse(
        'missing',
        expected,
        `Entry ${expected} is missing; entry ${entry.sequence} comes instead.`,
      )
    }
    const digest = await sha256(fromHex(hash), entryText(ledgerAccount, entry))
    if (digest !== entry.hash) {
      return refuse('changed', expected, `Entry ${expected} was changed: it does not match its hash.`)
    }
    balance += BigInt(entry.amountMicros)
    if (balance !== BigInt(entry.balanceMicros)) {
      return refuse('changed', expected, `The balance after entry ${expected} is not the sum of the amounts.`)
    }
    hash = digest
  }
  if (trustedKeys && !trustedKeys.includes(head.publicKey)) {
    return refuse('untrusted', null, `The head is signed by key ${head.keyId}, which is not the service's.`)
  }
  if (!(await isSignedBy(headText(ledgerAccount, head), head.publicKey, head.signature))) {
    return refuse('unsigned', null, 'The head does not carry a valid signature.')
  }
  if (entries.length < head.entries) {
    return refuse(
      'cut',
      entries.length + 1,
      `The end was cut off: the head names ${head.entries} entries, here are ${entries.length}.`,
    )
  }
  if (entries.length > head.entries || hash !== head.hash || head.balanceMicros !== String(balance)) {
    return refuse('changed', entries.length, 'The last entry is not the one that the head names.')
  }
  return {
    valid: true,
    entries: entries.length,
    balanceMicros: head.balanceMicros,
    signedAt: head.signedAt,
    keyId: head.keyId,
  }
}

function refuse(fault: LedgerFault, sequence: number | null, message: string): LedgerVerdict {
  return { valid: false, fault, sequence, message }
}

async function sha256(before: Uint8Array<ArrayBuffer>, text: string): Promise<string> {
  const tail = new TextEncoder().encode(text)
  const whole = new Uint8Array(before.length + tail.length)
  whole.set(before)
  whole.set(tail, before.length)
  return toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', whole)))
}

const MICROS = /^(0|-?[1-9]\d{0,18})$/
const HASH = /^[0-9a-f]{64}$/

function isExport(value: unknown): value is LedgerExport {
  return (
    isRecord(value) &&
    value.format === LEDGER_FORMAT &&
    isText(value.ledgerAccount) &&
    Array.isArray(value.entries) &&
    value.entries.every(isEntry) &&
    isHead(value.head)
  )
}

function isEntry(value: unknown): value is LedgerEntry {
  return (
    isRecord(value) &&
    Number.isSafeInteger(value.sequence) &&
    [value.at, value.kind, value.reference, value.transaction].every(isText) &&
    matches(value.amountMicros, MICROS) &&
    matches(value.balanceMicros, MICROS) &&
    matches(value.hash, HASH)
  )
}

function isHead(value: unknown): value is LedgerHead {
  return (
    isRecord(value) &&
    Number.isSafeInteger(value.entries) &&
    matches(value.hash, HASH) &&
    matches(value.balanceMicros, MICROS) &&
    [value.signedAt, value.keyId, value.publicKey, value.signature].every(isText)
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

/** One line: a line break within a field would let two different entries have one text. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && !value.includes('\n')
}

function matches(value: unknown, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value)
}

function fromHex(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length / 2)
  for (let at = 0; at < bytes.length; at++) bytes[at] = Number.parseInt(text.slice(at * 2, at * 2 + 2), 16)
  return bytes
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

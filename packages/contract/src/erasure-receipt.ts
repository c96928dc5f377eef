import { isSignedBy } from './signed-text.ts'

export const RECEIPT_FORMAT = 'agentctl.erasure.1'

/** What became of an account that was erased: counts only, nothing that says whose it was. */
export interface ErasureReceipt {
  format: typeof RECEIPT_FORMAT
  /** Id of the erasure. */
  erasure: string
  requestedAt: string
  finishedAt: string
  /** Rows that were deleted, by each class of data that their table is for; of two classes, they count for both. */
  erased: Record<string, number>
  /** Uploaded contents that were deleted from the store. */
  files: number
  /** Billing records that the law makes us keep, no longer anybody's; null when there were none. */
  retained: { records: number; legalBasis: string; until: string } | null
  /** Credits that were left and are lost. */
  forfeitedMicros: string
  keyId: string
  /** Base64 of the 32 bytes of the Ed25519 public key that made the signature. */
  publicKey: string
  /** Base64 of the Ed25519 signature over `receiptText`. */
  signature: string
}

/** The text that the signature covers: a line for each fact. */
export function receiptText(receipt: Omit<ErasureReceipt, 'signature' | 'publicKey'>): string {
  const { retained } = receipt
  return [
    RECEIPT_FORMAT,
    receipt.erasure,
    receipt.requestedAt,
    receipt.finishedAt,
    ...Object.keys(receipt.erased)
      .sort()
      .map((name) => `${name} ${receipt.erased[name]}`),
    `files ${receipt.files}`,
    retained ? `retained ${retained.records} ${retained.until} ${retained.legalBasis}` : 'retained 0',
    `forfeited ${receipt.forfeitedMicros}`,
    receipt.keyId,
  ].join('\n')
}

export type ReceiptVerdict =
  | { valid: true }
  | { valid: false; fault: 'malformed' | 'unsigned' | 'untrusted'; message: string }

/** Checks a receipt without asking anybody. Without `trustedKeys` the key in the receipt itself is taken. */
export async function verifyReceipt(
  document: unknown,
  trustedKeys?: readonly string[],
): Promise<ReceiptVerdict> {
  if (!isReceipt(document)) {
    return { valid: false, fault: 'malformed', message: 'This is no receipt of an erasure.' }
  }
  if (trustedKeys && !trustedKeys.includes(document.publicKey)) {
    const message = `It is signed by key ${document.keyId}, which is not the service's.`
    return { valid: false, fault: 'untrusted', message }
  }
  if (!(await isSignedBy(receiptText(document), document.publicKey, document.signature))) {
    return { valid: false, fault: 'unsigned', message: 'It does not carry a valid signature.' }
  }
  return { valid: true }
}

function isReceipt(value: unknown): value is ErasureReceipt {
  return (
    isRecord(value) &&
    value.format === RECEIPT_FORMAT &&
    ['erasure', 'requestedAt', 'finishedAt', 'forfeitedMicros', 'keyId', 'publicKey', 'signature'].every(
      (name) => isLine(value[name]),
    ) &&
    isCount(value.files) &&
    isRecord(value.erased) &&
    Object.entries(value.erased).every(([name, count]) => isLine(name) && isCount(count)) &&
    (value.retained === null ||
      (isRecord(value.retained) &&
        isCount(value.retained.records) &&
        isLine(value.retained.legalBasis) &&
        isLine(value.retained.until)))
  )
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isCount = (value: unknown): boolean => Number.isSafeInteger(value)
/** One line: a line break within a field would let two different receipts have one text. */
const isLine = (value: unknown): boolean => typeof value === 'string' && !value.includes('\n')

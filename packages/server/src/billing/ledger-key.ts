import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { readKeyFile } from '../platform/keyring.ts'

/** Signs the heads of exported ledgers. The newest key signs; the public half of every one is served. */
export interface LedgerKey {
  keyId: string
  /** Base64 of the 32 bytes. */
  publicKey: string
  /** Base64 of the Ed25519 signature. */
  sign(text: string): string
  /** All of them, oldest first: exports of years ago stay checkable. */
  publicKeys: readonly { keyId: string; publicKey: string }[]
}

/** What comes before the 32 bytes of an Ed25519 private key in PKCS #8. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

export function openLedgerKey(path: string): LedgerKey {
  const keys = readKeyFile(path, 'l1').keys.map(({ id, key }) => {
    const privateKey = createPrivateKey({
      key: Buffer.concat([PKCS8_PREFIX, Buffer.from(key, 'base64')]),
      format: 'der',
      type: 'pkcs8',
    })
    const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
    return { keyId: id, publicKey: spki.subarray(-32).toString('base64'), privateKey }
  })
  const newest = keys.at(-1)
  if (!newest) throw new Error(`The ledger's key file ${path} is empty. Restore it from its backup.`)
  return {
    keyId: newest.keyId,
    publicKey: newest.publicKey,
    sign: (text) => sign(null, Buffer.from(text), newest.privateKey).toString('base64'),
    publicKeys: keys.map(({ keyId, publicKey }) => ({ keyId, publicKey })),
  }
}

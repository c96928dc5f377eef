import { createDecipheriv, pbkdf2Sync, scryptSync, timingSafeEqual } from 'node:crypto'
import { Failure } from '../failure.ts'

interface Kdf {
  derive(password: Buffer): Promise<Buffer>
}

/** A read keystore file: its address is known before the password is. */
export interface Keystore {
  address: `0x${string}` | undefined
  decrypt(password: string): Promise<`0x${string}`>
}

const refuse = (message: string, cause?: unknown) =>
  new Failure('usage', message, { fix: 'Give another file with --keystore.', cause })

/** Memory that scrypt takes is 128·n·r bytes; geth's default is 256 MiB. A file may not ask for more than twice that. */
const SCRYPT_MEMORY_MAX = 512 * 1024 * 1024
/** Work is n·r·p; geth's default is 2^21. */
const SCRYPT_WORK_MAX = 2 ** 22
const PBKDF2_ROUNDS_MAX = 10_000_000

type Fields = Record<string, unknown>
const fields = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : {}
/** The specification writes keys in lower case; early files wrote "Crypto". */
const lowerCased = (value: Fields): Fields =>
  Object.fromEntries(Object.entries(value).map(([name, field]) => [name.toLowerCase(), field]))

function hex(value: unknown, name: string, length?: number): Buffer {
  const text = typeof value === 'string' ? value.replace(/^0x/, '') : ''
  const bytes = Buffer.from(text, 'hex')
  if (text === '' || bytes.length * 2 !== text.length || (length !== undefined && bytes.length !== length)) {
    throw refuse(`This keystore is damaged: ${name} is not ${length ?? 'whole'} bytes of hexadecimal`)
  }
  return bytes
}

function whole(value: unknown, name: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value
  throw refuse(`This keystore is damaged: ${name} is not a positive whole number`)
}

const keccak = async (...parts: Buffer[]): Promise<Buffer> => {
  const { keccak256 } = await import('ox/Hash')
  return Buffer.from(keccak256(new Uint8Array(Buffer.concat(parts)), { as: 'Bytes' }))
}

/**
 * Every parameter is checked before any work: a file is input from others, and its parameters say how much memory
 * and time it takes.
 */
function readKdf(kdf: unknown, parameters: Fields): Kdf {
  if (parameters.dklen !== 32) throw refuse('This keystore asks for a key of a length other than 32 bytes')
  const salt = hex(parameters.salt, 'the salt')
  if (kdf === 'pbkdf2') {
    const rounds = whole(parameters.c, 'c')
    if (rounds > PBKDF2_ROUNDS_MAX)
      throw refuse(`This keystore asks for ${rounds} rounds, too many to be honest`)
    if (parameters.prf !== 'hmac-sha256') throw refuse('This keystore uses a function other than hmac-sha256')
    return { derive: async (password) => pbkdf2Sync(password, salt, rounds, 32, 'sha256') }
  }
  if (kdf !== 'scrypt') throw refuse(`This keystore uses '${String(kdf)}'; scrypt and pbkdf2 are known`)
  const n = whole(parameters.n, 'n')
  const r = whole(parameters.r, 'r')
  const p = whole(parameters.p, 'p')
  if (n < 2 || (n & (n - 1)) !== 0 || n > 2 ** 30)
    throw refuse('This keystore is damaged: n is not a power of two')
  if (n * r * p > SCRYPT_WORK_MAX || 128 * r * (n + p) > SCRYPT_MEMORY_MAX) {
    throw refuse('This keystore asks for more memory or work than an honest one does')
  }
  return {
    async derive(password) {
      // OpenSSL follows RFC 7914, which wants n < 2^(16·r). The specification's own example breaks that rule.
      if (n < 2 ** (16 * r)) {
        return scryptSync(password, salt, 32, { N: n, r, p, maxmem: 128 * r * (n + p) + 65_536 })
      }
      const { scryptAsync } = await import('ox/Keystore')
      const [key] = await scryptAsync({
        password: password.toString('utf8'),
        salt: new Uint8Array(salt),
        n,
        r,
        p,
      })
      return Buffer.from(key().replace(/^0x/, ''), 'hex')
    },
  }
}

/** Reads a Web3 Secret Storage file of version 3, as geth, Foundry and most wallets write it. */
export function readKeystore(text: string): Keystore {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw refuse('This file is not a keystore: it is not JSON', error)
  }
  const file = lowerCased(fields(parsed))
  if (file.version !== 3) throw refuse('This file is not a keystore of version 3')
  const crypto = lowerCased(fields(file.crypto))
  if (crypto.cipher !== 'aes-128-ctr')
    throw refuse(`This keystore uses '${String(crypto.cipher)}'; aes-128-ctr is known`)
  const iv = hex(fields(crypto.cipherparams).iv, 'the iv', 16)
  const ciphertext = hex(crypto.ciphertext, 'the ciphertext')
  const mac = hex(crypto.mac, 'the mac', 32)
  if (ciphertext.length > 32) throw refuse('This keystore holds more than a key')
  const kdf = readKdf(crypto.kdf, fields(crypto.kdfparams))
  const address = typeof file.address === 'string' ? file.address.replace(/^0x/, '').toLowerCase() : ''

  return {
    address: /^[0-9a-f]{40}$/.test(address) ? `0x${address}` : undefined,
    async decrypt(password) {
      const derived = await kdf.derive(Buffer.from(password, 'utf8'))
      const found = await keccak(derived.subarray(16, 32), ciphertext)
      if (!timingSafeEqual(found, mac)) {
        throw new Failure('usage', 'The password does not open this keystore', {
          fix: 'Try again; letters in upper and lower case differ.',
        })
      }
      const decipher = createDecipheriv('aes-128-ctr', derived.subarray(0, 16), iv)
      const key = Buffer.concat([decipher.update(ciphertext), decipher.final()])
      // Some old wallets dropped leading zeros of the key.
      return `0x${key.toString('hex').padStart(64, '0')}`
    },
  }
}

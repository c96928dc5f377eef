import { createCipheriv, randomBytes, scryptSync } from 'node:crypto'
import { keccak256 } from 'ox/Hash'

/** A keystore as Foundry writes it: scrypt with n = 8192. */
export function writeKeystore(key: Buffer, password: string, { n = 8192, r = 8, p = 1 } = {}): string {
  const salt = randomBytes(32)
  const iv = randomBytes(16)
  const derived = scryptSync(password, salt, 32, { N: n, r, p, maxmem: 256 * 1024 * 1024 })
  const cipher = createCipheriv('aes-128-ctr', derived.subarray(0, 16), iv)
  const ciphertext = Buffer.concat([cipher.update(key), cipher.final()])
  const mac = keccak256(new Uint8Array(Buffer.concat([derived.subarray(16, 32), ciphertext])), { as: 'Hex' })
  return JSON.stringify({
    crypto: {
      cipher: 'aes-128-ctr',
      cipherparams: { iv: iv.toString('hex') },
      ciphertext: ciphertext.toString('hex'),
      kdf: 'scrypt',
      kdfparams: { dklen: 32, n, p, r, salt: salt.toString('hex') },
      mac: mac.slice(2),
    },
    id: '3198bc9c-6672-5ab3-d995-4942343ae5b6',
    version: 3,
  })
}

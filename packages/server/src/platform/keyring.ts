import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** What is kept of an encrypted value; all three go into the row. */
export interface Sealed {
  keyId: string
  nonce: Buffer
  ciphertext: Buffer
}

/** AES-256-GCM keys outside the database. The newest seals, every one opens. */
export interface Keyring {
  seal(plain: Buffer, associated: string): Sealed
  /** Throws when the value was moved to another row, changed, or sealed with a key that is not here. */
  open(sealed: Sealed, associated: string): Buffer
  ids: readonly string[]
}

/** Versioned keys of the phone's HMAC. Losing them locks every phone user out: they are backed up apart. */
export interface Pepper {
  version: number
  hmac(text: string, version?: number): Buffer
  versions: readonly number[]
}

const TAG_BYTES = 16

interface KeyFile {
  keys: { id: string; key: string }[]
}

export function openKeyring(path: string): Keyring {
  const { keys } = readKeyFile(path, 'k1')
  const byId = new Map(keys.map(({ id, key }) => [id, Buffer.from(key, 'base64')]))
  const newest = keys.at(-1)
  if (!newest) throw new Error(`The keyring ${path} has no key. Restore it from its backup.`)
  const keyOf = (id: string): Buffer => {
    const key = byId.get(id)
    if (!key) throw new Error(`The keyring has no key ${id}. Restore the keyring that sealed the data.`)
    return key
  }
  return {
    ids: keys.map(({ id }) => id),
    seal(plain, associated) {
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', keyOf(newest.id), nonce).setAAD(Buffer.from(associated))
      return {
        keyId: newest.id,
        nonce,
        ciphertext: Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]),
      }
    },
    open({ keyId, nonce, ciphertext }, associated) {
      const decipher = createDecipheriv('aes-256-gcm', keyOf(keyId), nonce)
        .setAAD(Buffer.from(associated))
        .setAuthTag(ciphertext.subarray(-TAG_BYTES))
      return Buffer.concat([decipher.update(ciphertext.subarray(0, -TAG_BYTES)), decipher.final()])
    },
  }
}

export function openPepper(path: string): Pepper {
  const { keys } = readKeyFile(path, '1')
  const byVersion = new Map(keys.map(({ id, key }) => [Number(id), Buffer.from(key, 'base64')]))
  const versions = [...byVersion.keys()]
  const version = versions.at(-1)
  if (version === undefined) throw new Error(`The pepper file ${path} is empty. Restore it from its backup.`)
  return {
    version,
    versions,
    hmac(text, wanted = version) {
      const key = byVersion.get(wanted)
      if (!key) throw new Error(`There is no pepper of version ${wanted}. Restore the pepper file.`)
      return createHmac('sha256', key).update(text).digest()
    },
  }
}

/** A file of 32-byte keys, newest last; made with one random key where there is none. */
export function readKeyFile(path: string, firstId: string): KeyFile {
  if (!existsSync(path)) makeKeyFile(path, firstId)
  const file = JSON.parse(readFileSync(path, 'utf8')) as KeyFile
  for (const { id, key } of file.keys) {
    if (Buffer.from(key, 'base64').length !== 32)
      throw new Error(`Key ${id} in ${path} is not 32 bytes of base64.`)
  }
  return file
}

function makeKeyFile(path: string, id: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  const file: KeyFile = { keys: [{ id, key: randomBytes(32).toString('base64') }] }
  writeFileSync(draft, JSON.stringify(file), { mode: 0o600, flush: true })
  try {
    // A link fails where a file is: two servers that start at once end up with one key.
    linkSync(draft, path)
  } catch (error) {
    if (!existsSync(path)) throw error
  } finally {
    rmSync(draft)
  }
}

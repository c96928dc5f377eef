import { describe, expect, test } from 'vitest'
import { writeKeystore } from '../testing/write-keystore.ts'
import { readKeystore } from './keystore.ts'

/** The two examples of the Web3 Secret Storage definition. */
const secret = '0x7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d'
const pbkdf2 = {
  crypto: {
    cipher: 'aes-128-ctr',
    cipherparams: { iv: '6087dab2f9fdbbfaddc31a909735c1e6' },
    ciphertext: '5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46',
    kdf: 'pbkdf2',
    kdfparams: {
      c: 262144,
      dklen: 32,
      prf: 'hmac-sha256',
      salt: 'ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd',
    },
    mac: '517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2',
  },
  id: '3198bc9c-6672-5ab3-d995-4942343ae5b6',
  version: 3,
}
const scrypt = {
  ...pbkdf2,
  crypto: {
    cipher: 'aes-128-ctr',
    cipherparams: { iv: '83dbcc02d8ccb40e466191a123791e0e' },
    ciphertext: 'd172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c',
    kdf: 'scrypt',
    kdfparams: {
      dklen: 32,
      n: 262144,
      r: 1,
      p: 8,
      salt: 'ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19',
    },
    mac: '2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097',
  },
}

describe('a keystore opens', () => {
  test('the PBKDF2 example of the definition', async () => {
    expect(await readKeystore(JSON.stringify(pbkdf2)).decrypt('testpassword')).toBe(secret)
  })

  test('the scrypt example of the definition, whose parameters OpenSSL refuses', {
    timeout: 60_000,
  }, async () => {
    expect(await readKeystore(JSON.stringify(scrypt)).decrypt('testpassword')).toBe(secret)
  })

  test('as Foundry writes it', async () => {
    const key = Buffer.from(secret.slice(2), 'hex')
    expect(await readKeystore(writeKeystore(key, 'pässword')).decrypt('pässword')).toBe(secret)
  })

  test('with few rounds, as geth writes it for tests', async () => {
    const key = Buffer.from(secret.slice(2), 'hex')
    expect(await readKeystore(writeKeystore(key, '', { n: 2 })).decrypt('')).toBe(secret)
  })

  test.each([30, 31])('when an old wallet dropped the leading zeros and left %i bytes', async (length) => {
    const short = Buffer.alloc(length, 7)
    const key = await readKeystore(writeKeystore(short, 'x')).decrypt('x')
    expect(key).toBe(`0x${short.toString('hex').padStart(64, '0')}`)
  })

  test('with names in upper case and its address known before the password', () => {
    const { crypto, ...rest } = pbkdf2
    const address = '008aeeda4d805471df9b2a5b0f38a0c3bcba786b'
    expect(readKeystore(JSON.stringify({ ...rest, address, Crypto: crypto })).address).toBe(`0x${address}`)
  })
})

describe('a keystore is refused', () => {
  test('with a wrong password, in clear words', async () => {
    await expect(readKeystore(JSON.stringify(pbkdf2)).decrypt('wrong')).rejects.toThrow(
      'The password does not open this keystore',
    )
  })

  const withKdf = (kdfparams: Record<string, unknown>) =>
    JSON.stringify({
      ...scrypt,
      crypto: { ...scrypt.crypto, kdfparams: { ...scrypt.crypto.kdfparams, ...kdfparams } },
    })

  test.each([
    ['more memory than an honest one takes', withKdf({ n: 2 ** 22, r: 8, p: 1 })],
    ['more work than an honest one takes', withKdf({ n: 2 ** 18, r: 8, p: 1000 })],
    ['n that is no power of two', withKdf({ n: 262143 })],
    ['n that is not whole', withKdf({ n: 1.5 })],
    ['n that is text', withKdf({ n: '262144' })],
    ['p of zero', withKdf({ p: 0 })],
    ['a key length of a gigabyte', withKdf({ dklen: 2 ** 30 })],
    ['a salt that is not hexadecimal', withKdf({ salt: 'zz' })],
    [
      'a billion rounds',
      JSON.stringify({
        ...pbkdf2,
        crypto: { ...pbkdf2.crypto, kdfparams: { ...pbkdf2.crypto.kdfparams, c: 1_000_000_000 } },
      }),
    ],
    ['another cipher', JSON.stringify({ ...pbkdf2, crypto: { ...pbkdf2.crypto, cipher: 'aes-128-cbc' } })],
    ['another derivation', JSON.stringify({ ...pbkdf2, crypto: { ...pbkdf2.crypto, kdf: 'argon2' } })],
    ['another version', JSON.stringify({ ...pbkdf2, version: 1 })],
    ['no JSON', 'secret'],
  ])('before any work: %s', (_, text) => {
    const startedAt = performance.now()
    expect(() => readKeystore(text)).toThrow(/keystore/)
    expect(performance.now() - startedAt).toBeLessThan(100)
  })
})

import { randomBytes } from 'node:crypto'

const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz'

export type IdPrefix =
  | 'acc'
  | 'agt'
  | 'chk'
  | 'chl'
  | 'dep'
  | 'dom'
  | 'era'
  | 'inv'
  | 'key'
  | 'lac'
  | 'mch'
  | 'ns'
  | 'ntc'
  | 'op'
  | 'opa'
  | 'rel'
  | 'req'
  | 'rrq'
  | 'ses'
  | 'snp'

/** A new identifier such as `agt_4k2…`: 20 random characters, 103 bits. */
export function newId(prefix: IdPrefix): string {
  return `${prefix}_${randomText(20)}`
}

/** Unbiased random text of lower-case letters and digits. */
export function randomText(length: number, alphabet: string = ALPHABET): string {
  const limit = 256 - (256 % alphabet.length)
  let text = ''
  while (text.length < length) {
    for (const byte of randomBytes(length * 2)) {
      if (byte < limit && text.length < length) text += alphabet[byte % alphabet.length]
    }
  }
  return text
}

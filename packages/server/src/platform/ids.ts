import { randomFillSync } from 'node:crypto'

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
  // Put together here and not letter by letter as text: that would be an object for each, kept as long as the text.
  const letters = Buffer.allocUnsafe(length)
  for (let at = 0; at < length; ) {
    const byte = randomByte()
    if (byte < limit) letters[at++] = alphabet.charCodeAt(byte % alphabet.length)
  }
  const text = letters.toString('latin1')
  letters.fill(0)
  return text
}

/** Fetched from the system many at a time: each call costs more than all else about an id. */
const random = Buffer.alloc(4096)
let used = random.length

function randomByte(): number {
  if (used === random.length) {
    randomFillSync(random)
    used = 0
  }
  const byte = random[used] ?? 0
  // What became part of a token is not left lying about.
  random[used++] = 0
  return byte
}

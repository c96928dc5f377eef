import { hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { randomText } from './ids.ts'
import { Secret } from './secret.ts'

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** k: API key · s: session · m: machine · b: bootstrap of a machine · u: sign-up · i: invitation · o: operator */
export type TokenKind = 'k' | 's' | 'm' | 'b' | 'u' | 'i' | 'o'

/** `actl_<kind>_<30 base62><6 base62 CRC32>`: 178 random bits, recognisable by scanners, checkable without a look-up. */
export function newToken(kind: TokenKind): Secret {
  const body = `actl_${kind}_${randomText(30, BASE62)}`
  return new Secret(body + checksum(body))
}

/** The kind of a well-formed token; undefined for anything else, so that noise never reaches the database. */
export function tokenKind(token: string): TokenKind | undefined {
  const match = /^actl_([ksmbuio])_[0-9A-Za-z]{36}$/.exec(token)
  if (!match || checksum(token.slice(0, -6)) !== token.slice(-6)) return undefined
  return match[1] as TokenKind
}

/** What is stored of a token. Its 178 bits need no slow hash, and a slow one could not be looked up. */
export function tokenHash(token: string): Buffer {
  return hash('sha256', token, 'buffer')
}

function checksum(body: string): string {
  let rest = crc32(body)
  let text = ''
  for (let digit = 0; digit < 6; digit++) {
    text = `${BASE62[rest % 62]}${text}`
    rest = Math.floor(rest / 62)
  }
  return text
}

import { deflateSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { Canary } from './forms.ts'
import { Search } from './search.ts'

const phone: Canary = { kind: 'phone', value: '+821029384756', as: 'phone' }
const card: Canary = { kind: 'card', value: '4012888888881881', as: 'card' }
const secret: Canary = { kind: 'secret', value: 'hush/Wm3+Qz81-7kd' }
const key: Canary = { kind: 'key', value: `0x${'0123456789abcdef'.repeat(4)}`, as: 'hex' }
const code: Canary = { kind: 'code', value: '918273', as: 'code' }
const search = new Search([phone, card, secret, key, code])
const kinds = (bytes: Buffer): string[] => [...new Set(search.in(bytes).map(({ kind }) => kind))]
const around = (bytes: string | Buffer, before: number): Buffer =>
  Buffer.concat([Buffer.alloc(before, 'x'), Buffer.from(bytes), Buffer.from('zz')])

describe('it is found', () => {
  test.each<[string, string, string | Buffer]>([
    ['plain', 'phone', 'to +821029384756.'],
    ['without its plus', 'phone', '821029384756'],
    ['as people write it', 'phone', '010-2938-4756'],
    ['as its national number', 'phone', '01029384756'],
    ['URL-encoded', 'secret', 'x=hush%2FWm3%2BQz81-7kd'],
    ['in hexadecimal', 'secret', Buffer.from(secret.value).toString('hex')],
    ['in capitals', 'secret', Buffer.from(secret.value).toString('hex').toUpperCase()],
    ['in UTF-16', 'secret', Buffer.from(secret.value, 'utf16le')],
    ['in base64', 'secret', around(secret.value, 0).toString('base64')],
    ['in base64 after a byte', 'secret', around(secret.value, 1).toString('base64')],
    ['in base64 after two', 'secret', around(secret.value, 2).toString('base64')],
    ['in base64url', 'phone', around(phone.value, 1).toString('base64url')],
    ['in base64 inside of JSON', 'phone', Buffer.from(`{"a":"${phone.value}"}`).toString('base64')],
    ['in groups', 'card', '4012 8888 8888 1881'],
    ['as bytes', 'key', Buffer.from(key.value.slice(2), 'hex')],
    ['without its beginning', 'key', key.value.slice(2)],
    ['in a row of PostgreSQL', 'code', '\x0f918273'],
    ['in a form', 'code', 'VerificationSid=VE1&Code=918273&x=1'],
    ['inside gzip', 'card', around(gzipSync(`number: ${card.value}`), 5)],
    ['inside zlib, in the middle', 'secret', around(deflateSync(`a${secret.value}b`), 70_000)],
    ['inside gzip inside gzip', 'secret', gzipSync(gzipSync(secret.value))],
    [
      'inside a stream that is cut off',
      'secret',
      gzipSync(`${secret.value}${'y'.repeat(99)}`).subarray(0, -9),
    ],
    ['at the very end', 'secret', secret.value],
  ])('%s', (_, kind, bytes) => {
    expect(kinds(Buffer.from(bytes))).toEqual([kind])
  })
})

test('nothing else is', () => {
  expect(kinds(Buffer.from('+821029384757 4012888888881882 918273 hush/Wm3+Qz81'))).toEqual([])
  expect(kinds(Buffer.alloc(100_000, 0x78))).toEqual([])
  expect(kinds(Buffer.from(''))).toEqual([])
})

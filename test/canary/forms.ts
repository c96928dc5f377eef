import { createHash } from 'node:crypto'

/** Something unique that is driven through the service, to be looked for everywhere afterwards. */
export interface Canary {
  kind: string
  value: string
  /** What it is besides text: digits that are written in several ways, bytes that are written in hexadecimal. */
  as?: 'phone' | 'card' | 'hex' | 'code'
}

/** How somebody may have written it down: by name of the form. */
export function formsOf({ value, as }: Canary): Map<string, Buffer> {
  const forms = new Map<string, Buffer>()
  if (as === 'code') {
    // Six digits alone are in any file: with what stands around them in JSON, in a form, and in a row of PostgreSQL.
    for (const text of [`"${value}"`, `'${value}'`, `=${value}&`, `\x0f${value}`])
      add(forms, text, Buffer.from(text))
    return forms
  }
  if (as === 'phone') {
    const national = value.replace(/^\+82/, '')
    write(forms, 'digits', Buffer.from(national))
    add(forms, 'as people write it', Buffer.from(`0${national.replace(/^(\d\d)(\d{4})/, '$1-$2-')}`))
    const hash = createHash('sha256').update(value).digest()
    write(forms, 'a hash without a key', hash)
  } else if (as === 'hex') {
    const digits = value.replace(/^0x/, '')
    write(forms, 'bytes', Buffer.from(digits, 'hex'))
    write(forms, 'digits', Buffer.from(digits))
  } else if (as === 'card') {
    const groups = value.match(/\d{4}/g) ?? []
    for (const gap of [' ', '-', '+', '%20']) add(forms, `with "${gap}"`, Buffer.from(groups.join(gap)))
  }
  write(forms, 'plain', Buffer.from(value))
  const encoded = encodeURIComponent(value)
  if (encoded !== value) {
    add(forms, 'URL-encoded', Buffer.from(encoded))
    add(forms, 'URL-encoded twice', Buffer.from(encodeURIComponent(encoded)))
  }
  return forms
}

function write(forms: Map<string, Buffer>, name: string, bytes: Buffer): void {
  add(forms, name, bytes)
  add(forms, `${name}, hex`, Buffer.from(bytes.toString('hex')))
  add(forms, `${name}, HEX`, Buffer.from(bytes.toString('hex').toUpperCase()))
  add(forms, `${name}, UTF-16`, Buffer.from(bytes.toString('latin1'), 'utf16le'))
  for (const before of [0, 1, 2]) {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64')
    // Only characters in which nothing but the value is: those at its ends depend on what stands around it.
    const whole = text.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6))
    add(forms, `${name}, base64 after ${before}`, Buffer.from(whole))
    add(
      forms,
      `${name}, base64url after ${before}`,
      Buffer.from(whole.replaceAll('+', '-').replaceAll('/', '_')),
    )
  }
}

function add(forms: Map<string, Buffer>, name: string, bytes: Buffer): void {
  if ([...forms.values()].some((known) => known.equals(bytes))) return
  if (bytes.length < 7) throw new Error(`${name} is too short to be looked for`)
  forms.set(name, bytes)
}

import { constants, inflateRawSync, inflateSync } from 'node:zlib'
import { type Canary, formsOf } from './forms.ts'

export interface Found {
  kind: string
  form: string
}

const BEGINNING = 3
const DEPTH_MAX = 3
const UNPACKED_BYTES_MAX = 64 * 1024 * 1024

/** Looks for all canaries in all forms at once, also inside of what is packed by gzip or zlib. */
export class Search {
  readonly #byBeginning = new Map<number, { bytes: Buffer; found: Found }[]>()
  /** One bit for each beginning of three bytes: nearly every place is passed over by one look. */
  readonly #beginnings = new Uint8Array(2 ** (8 * BEGINNING - 3))

  constructor(canaries: readonly Canary[]) {
    for (const canary of canaries) {
      for (const [form, bytes] of formsOf(canary)) {
        const beginning = bytes.readUIntLE(0, BEGINNING)
        const same = this.#byBeginning.get(beginning) ?? []
        same.push({ bytes, found: { kind: canary.kind, form } })
        this.#byBeginning.set(beginning, same)
        this.#beginnings[beginning >>> 3] = (this.#beginnings[beginning >>> 3] ?? 0) | (1 << (beginning & 7))
      }
    }
  }

  in(bytes: Buffer, depth = 0): Found[] {
    const found = new Set<Found>()
    const beginnings = this.#beginnings
    const end = bytes.length - BEGINNING
    let beginning = bytes.length < BEGINNING ? 0 : ((bytes[0] as number) << 8) | ((bytes[1] as number) << 16)
    for (let at = 0; at <= end; at++) {
      beginning = (beginning >>> 8) | ((bytes[at + 2] as number) << 16)
      if (((beginnings[beginning >>> 3] as number) & (1 << (beginning & 7))) !== 0) {
        for (const one of this.#byBeginning.get(beginning) ?? []) {
          if (bytes.subarray(at, at + one.bytes.length).equals(one.bytes)) found.add(one.found)
        }
      }
      if (depth < DEPTH_MAX && isPacked(bytes, at)) {
        const inside = unpacked(bytes.subarray(at))
        for (const { kind, form } of inside ? this.in(inside, depth + 1) : [])
          found.add({ kind, form: `${form}, packed` })
      }
    }
    return [...found]
  }
}

function isPacked(bytes: Buffer, at: number): boolean {
  const first = bytes[at]
  if (first === 0x1f) return bytes[at + 1] === 0x8b && bytes[at + 2] === 0x08
  return first === 0x78 && [0x01, 0x5e, 0x9c, 0xda].includes(bytes[at + 1] as number)
}

/** As far as it goes: what follows a stream, or is missing at its end, is no matter. */
function unpacked(bytes: Buffer): Buffer | undefined {
  const options = { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: UNPACKED_BYTES_MAX }
  try {
    const whole =
      bytes[0] === 0x1f
        ? inflateRawSync(bytes.subarray(gzipHeaderBytes(bytes)), options)
        : inflateSync(bytes, options)
    return whole.length > 0 ? whole : undefined
  } catch {
    return undefined
  }
}

/** RFC 1952, section 2.3. */
function gzipHeaderBytes(bytes: Buffer): number {
  const flags = bytes[3] ?? 0
  let at = 10
  if (flags & 4) at += 2 + bytes.readUInt16LE(at)
  for (const text of [8, 16]) if (flags & text) at = bytes.indexOf(0, at) + 1
  return flags & 2 ? at + 2 : at
}

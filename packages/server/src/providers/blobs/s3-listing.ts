export interface Listing {
  keys: string[]
  /** Whether there are more behind the last of these keys. */
  more: boolean
}

/** Reads the answer to ListObjects; undefined for anything that is not a whole one. */
export function readListing(xml: string): Listing | undefined {
  if (!/<ListBucketResult[\s>]/.test(xml) || !xml.trimEnd().endsWith('</ListBucketResult>')) return undefined
  const truncated = /<IsTruncated>(true|false)<\/IsTruncated>/.exec(xml)?.[1]
  if (truncated === undefined) return undefined
  const keys = [...xml.matchAll(/<Contents>.*?<Key>([^<]*)<\/Key>.*?<\/Contents>/gs)].map(([, key = '']) =>
    unescaped(key),
  )
  // A listing that goes on behind no key would be asked for again and again.
  if (truncated === 'true' && keys.length === 0) return undefined
  return { keys, more: truncated === 'true' }
}

/** The code that an error's XML tells, such as `NoSuchKey`. */
export function readErrorCode(xml: string): string | undefined {
  return /<Code>([A-Za-z0-9]{1,64})<\/Code>/.exec(xml)?.[1]
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function unescaped(text: string): string {
  return text.replace(/&(?:#(\d+)|#x([0-9a-fA-F]+)|(amp|lt|gt|quot|apos));/g, (whole, decimal, hex, name) => {
    if (name) return ENTITIES[name] ?? whole
    return String.fromCodePoint(Number.parseInt(decimal ?? hex, decimal ? 10 : 16))
  })
}

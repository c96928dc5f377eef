const STATEMENT_CHARACTERS = 110

/** A statement without its values, short enough to read and the same in every run. */
export function statementName(parts: readonly string[]): string {
  const text = parts.join('?').replace(/--.*$/gm, '').replace(/\s+/g, ' ').trim()
  if (text.length <= STATEMENT_CHARACTERS) return text
  return `${text.slice(0, STATEMENT_CHARACTERS)}… ${shortHash(text)}`
}

/** A path without query and without what differs from one run to the next: identifiers, hashes, numbers. */
export function pathName(path: string): string {
  return (path.split('?')[0] ?? '')
    .split('/')
    .map((segment) =>
      /^[a-z]{2,4}_|^[0-9a-f]{32,}|^[0-9a-f-]{36}$|^[A-Z]{2}[0-9a-f]{32}|^[0-9.]+$|^\d+:0x|^crash-/.test(
        segment,
      )
        ? segment.replace(/^[^.]*/, ':')
        : segment,
    )
    .join('/')
}

/** The methods of the JSON-RPC calls that a request carries, each once; nothing for a request of another kind. */
export function rpcNames(body: unknown): string {
  const text = body instanceof Uint8Array || typeof body === 'string' ? body.toString() : ''
  if (!text.includes('"jsonrpc"')) return ''
  const asked = [JSON.parse(text) as { method: string } | { method: string }[]].flat()
  return ` ${methodNames(asked.map(({ method }) => method))}`
}

export function methodNames(methods: readonly string[]): string {
  return [...new Set(methods)].sort().join('+')
}

/** Two long statements with the same beginning are still two names. */
function shortHash(text: string): string {
  let hash = 5381
  for (const character of text) hash = (hash * 33 + (character.codePointAt(0) ?? 0)) % 1_679_616
  return hash.toString(36).padStart(4, '0')
}

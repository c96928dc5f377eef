/** Policy 1e and 2g as data: who of the server may reach another host, and who may write where a log is read. */
export interface Outlets {
  /** What opens connections: of which module, or of all of it, and the names of it that cannot. */
  reaching: Readonly<Record<string, { harmless: readonly string[] } | { reaching: readonly string[] }>>
  /** Files of the server, with what each of them may reach others by. */
  allowed: Readonly<Record<string, readonly string[]>>
  /** Files that print by themselves, since what they print is no log. */
  printing: readonly string[]
  /** Files whose log says what is not written there as it is. */
  quoting: readonly string[]
}

export interface NamedImport {
  from: string
  typeOnly: boolean
  /** As they are called where they come from; undefined for all of them. */
  names: readonly string[] | undefined
}

const GLOBALS: Readonly<Record<string, RegExp>> = {
  fetch: /(?<![.\w'"])fetch\s*\(|(?<!typeof )\b(?:globalThis|global|self)\.fetch\b|\bfetch(?:Fn)?: fetch\b/,
  WebSocket: /\bnew (?:globalThis\.)?WebSocket\b/,
  EventSource: /\bnew (?:globalThis\.)?EventSource\b/,
}
const PRINTS = /\bconsole\.(?:log|info|warn|error|debug|trace|dir)\(|\bprocess\.std(?:out|err)\b/
const SAID_AS_WRITTEN = /\blog\.(?:info|warn|error)\(\s*(?!(?:'[^'\n]*'|"[^"\n]*"|[A-Z][A-Z_]*)\s*[,)])/

/** `inside`: path below the server's `src`; `code`: without comments. */
export function checkOutlets(
  inside: string,
  code: string,
  imports: readonly NamedImport[],
  outlets: Outlets,
  say: (sentence: string) => void,
): void {
  const allowed = outlets.allowed[inside] ?? []
  for (const { from, typeOnly, names } of imports) {
    const rule = outlets.reaching[from]
    if (!rule || typeOnly || allowed.includes(from)) continue
    const reaches =
      names === undefined ||
      names.some((name) =>
        'harmless' in rule ? !rule.harmless.includes(name) : rule.reaching.includes(name),
      )
    if (reaches) say(`reaches other hosts by ${from}, past the transport`)
  }
  // Scripts for machines are text.
  const own = code.replace(/`[^`]*`/g, '``')
  for (const [name, used] of Object.entries(GLOBALS)) {
    if (used.test(own) && !allowed.includes(name)) say(`reaches other hosts by ${name}, past the transport`)
  }
  if (PRINTS.test(own) && !outlets.printing.includes(inside)) say('prints past the log')
  if (SAID_AS_WRITTEN.test(code) && !outlets.quoting.includes(inside))
    say('logs a message that is put together: what it is about belongs into a field')
}

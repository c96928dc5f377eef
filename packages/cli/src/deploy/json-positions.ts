export interface Position {
  line: number
  column: number
}

export class JsonError extends Error {
  readonly position: Position
  constructor(message: string, position: Position) {
    super(message)
    this.position = position
  }
}

export interface LocatedJson {
  value: unknown
  /** Where the value at this path starts; for a member of an object, where its name starts. */
  locate(path: readonly PropertyKey[]): Position
}

const key = (path: readonly PropertyKey[]) => JSON.stringify(path.map(String))

/**
 * Parses JSON and remembers where everything was. JSON.parse tells a position only sometimes and in words of its own,
 * and nothing at all about where a value of the wrong type stands.
 */
export function parseLocated(text: string): LocatedJson {
  const places = new Map<string, number>()
  let at = 0

  const positionOf = (offset: number): Position => {
    const before = text.slice(0, offset).split('\n')
    return { line: before.length, column: (before.at(-1) ?? '').length + 1 }
  }
  const fail = (message: string, offset = at): never => {
    throw new JsonError(message, positionOf(offset))
  }
  const found = () => {
    if (at >= text.length) return 'the file ends'
    const word = /^[\w.+-]{1,20}/.exec(text.slice(at, at + 20))?.[0]
    return `found ${word ?? JSON.stringify(text[at])}`
  }
  const blank = () => {
    while (' \t\n\r'.includes(text[at] ?? 'x')) at++
    if (text.startsWith('//', at) || text.startsWith('/*', at)) fail('comments are not allowed in JSON')
  }

  function string(): string {
    const start = at
    const end = /"(?:[^"\\\n]|\\.)*"/y
    end.lastIndex = at
    const raw = end.exec(text)?.[0]
    if (raw === undefined) return fail('this text has no closing quotation mark', start)
    at += raw.length
    try {
      return JSON.parse(raw)
    } catch {
      return fail('this text holds a character that has to be escaped', start)
    }
  }

  function object(path: PropertyKey[]): Record<string, unknown> {
    const members = new Map<string, unknown>()
    at++
    blank()
    if (text[at] === '}') {
      at++
      return {}
    }
    for (;;) {
      blank()
      const start = at
      if (text[at] === '}') fail('a comma before } is one too many')
      if (text[at] !== '"') fail(`expected a name in quotation marks, ${found()}`)
      const name = string()
      if (members.has(name)) fail(`"${name}" stands here twice`, start)
      const inner = [...path, name]
      places.set(key(inner), start)
      blank()
      if (text[at] !== ':') fail(`expected a colon after "${name}", ${found()}`)
      at++
      members.set(name, value(inner))
      blank()
      if (text[at] === '}') break
      if (text[at] !== ',') fail(`expected a comma or }, ${found()}`)
      at++
    }
    at++
    return Object.fromEntries(members)
  }

  function array(path: PropertyKey[]): unknown[] {
    const items: unknown[] = []
    at++
    blank()
    if (text[at] === ']') {
      at++
      return items
    }
    for (;;) {
      blank()
      const inner = [...path, items.length]
      places.set(key(inner), at)
      items.push(value(inner))
      blank()
      if (text[at] === ']') break
      if (text[at] !== ',') fail(`expected a comma or ], ${found()}`)
      at++
    }
    at++
    return items
  }

  function value(path: PropertyKey[]): unknown {
    blank()
    const first = text[at]
    if (first === '{') return object(path)
    if (first === '[') return array(path)
    if (first === '"') return string()
    const literal = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])/y
    literal.lastIndex = at
    const raw = literal.exec(text)?.[0]
    if (raw === undefined) return fail(`expected a value, ${found()}`)
    at += raw.length
    return JSON.parse(raw)
  }

  if (text.startsWith('\u{feff}')) at = 1
  blank()
  places.set(key([]), at)
  const whole = value([])
  blank()
  if (at < text.length) fail(`expected the end of the file, ${found()}`)

  return {
    value: whole,
    locate(path) {
      for (let length = path.length; length >= 0; length--) {
        const offset = places.get(key(path.slice(0, length)))
        if (offset !== undefined) return positionOf(offset)
      }
      return { line: 1, column: 1 }
    },
  }
}

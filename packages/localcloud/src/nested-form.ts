/** What a form means whose field names have brackets: `a[b][0]=c` is `{ a: { b: ['c'] } }`. */
export interface NestedForm {
  [name: string]: string | NestedForm | (string | NestedForm)[]
}

/** Reads a form or a query. A field that is both a text and a group, or whose brackets do not match, is left as it is. */
export function parseNestedForm(text: string): NestedForm {
  const root: Group = new Map()
  for (const [name, value] of new URLSearchParams(text)) {
    const path = /^[^[\]]+(\[[^[\]]*\])*$/.test(name) ? name.replaceAll(']', '').split('[') : [name]
    put(root, path, value)
  }
  return Object.fromEntries([...root].map(([name, value]) => [name, meaningOf(value)]))
}

type Group = Map<string, string | Group>

function put(group: Group, [first = '', ...rest]: string[], value: string): void {
  const name = first === '' ? String(group.size) : first
  if (rest.length === 0) {
    group.set(name, value)
    return
  }
  const found = group.get(name)
  const inner: Group = found instanceof Map ? found : new Map()
  group.set(name, inner)
  put(inner, rest, value)
}

function meaningOf(value: string | Group): string | NestedForm | (string | NestedForm)[] {
  if (typeof value === 'string') return value
  const entries = [...value]
  const isList = entries.every(([name], index) => name === String(index))
  if (isList) return entries.map(([, item]) => meaningOf(item)) as (string | NestedForm)[]
  return Object.fromEntries(entries.map(([name, item]) => [name, meaningOf(item)]))
}

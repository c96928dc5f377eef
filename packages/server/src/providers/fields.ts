/**
 * Names of everything that a call tells: of its query and of its body, which is JSON or a form. What is nested is named
 * by its path, without places in lists: `line_items[0][quantity]` and `{"line_items":[{"quantity":1}]}` are both
 * `line_items.quantity`. Undefined for a body in which nobody can tell what there is.
 */
export function fieldsOf(
  query: URLSearchParams,
  body: string | Uint8Array | undefined,
): string[] | undefined {
  const asked = formFields(query)
  if (body === undefined || body.length === 0) return asked
  const text = typeof body === 'string' ? body : textOf(body)
  if (text === undefined) return undefined
  if (!/^\s*[[{]/.test(text)) return unique([...asked, ...formFields(new URLSearchParams(text))])
  try {
    return unique([...asked, ...pathsOf(JSON.parse(text), '')])
  } catch {
    return undefined
  }
}

const unique = (names: readonly string[]): string[] => [...new Set(names)]

const formFields = (form: URLSearchParams): string[] =>
  unique([...form.keys()].map((name) => name.replace(/\[\d*\]/g, '').replace(/\[([^\]]*)\]/g, '.$1')))

function pathsOf(value: unknown, path: string): string[] {
  if (Array.isArray(value)) return value.flatMap((one) => pathsOf(one, path))
  if (typeof value !== 'object' || value === null) return [path]
  const inside = Object.entries(value).flatMap(([name, one]) => pathsOf(one, path ? `${path}.${name}` : name))
  return inside.length === 0 && path ? [path] : inside
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

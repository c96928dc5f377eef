import type { Spec } from '../spec-check.ts'

type Schema = Record<string, unknown>

/**
 * The document with every schema in one piece. Cloudflare's composes nearly all of them of parts, none of which can be
 * closed to unknown fields without closing out those of the other parts.
 */
export function flatSpec(spec: Spec): Spec {
  const { schemas } = spec.components as { schemas: Record<string, Schema> }
  const flat = (node: unknown, inside: readonly string[]): unknown => {
    if (Array.isArray(node)) return node.map((one) => flat(one, inside))
    if (!isSchema(node)) return node
    if (typeof node.$ref === 'string') {
      const name = node.$ref.split('/').at(-1) ?? ''
      const named = schemas[name]
      if (!named) throw new Error(`The document refers to ${node.$ref}, which it does not have.`)
      return inside.includes(name) ? {} : flat(named, [...inside, name])
    }
    const rest = Object.fromEntries(
      Object.entries(node).map(([key, value]) => [key, flat(value, inside)]),
    ) as Schema
    const { allOf, ...own } = rest
    let whole: Schema = own
    for (const part of Array.isArray(allOf) ? allOf : []) whole = merged(part as Schema, whole)
    for (const key of ['oneOf', 'anyOf']) {
      const choices = whole[key]
      // A choice of one is none.
      if (!Array.isArray(choices) || choices.length !== 1) continue
      const { [key]: _, ...others } = whole
      whole = merged(choices[0] as Schema, others)
    }
    if (isSchema(whole.properties) && whole.type === undefined) whole.type = 'object'
    return whole
  }
  const paths = flat(spec.paths, []) as Spec['paths']
  return { paths, components: { schemas: {} } }
}

/** What both say; where they differ, the second is the more particular. */
function merged(first: Schema, second: Schema): Schema {
  const whole: Schema = { ...first, ...second }
  if (isSchema(first.properties) && isSchema(second.properties)) {
    const properties: Schema = { ...first.properties, ...second.properties }
    for (const name of Object.keys(first.properties)) {
      const [one, other] = [first.properties[name], second.properties[name]]
      if (isSchema(one) && isSchema(other)) properties[name] = merged(one, other)
    }
    whole.properties = properties
  }
  if (Array.isArray(first.required) && Array.isArray(second.required)) {
    whole.required = [...new Set([...first.required, ...second.required])]
  }
  return whole
}

function isSchema(node: unknown): node is Schema {
  return typeof node === 'object' && node !== null && !Array.isArray(node)
}

import type { JsonSchema } from '@agentctl/contract/openapi.ts'

/** A field of a shape, as a line of a table has it. */
export interface Field {
  /** Whole path inside the shape: `config.health.path`, `files[].size`. */
  name: string
  required: boolean
  type: Type
  notes: string
}

/** Words, and the named shape that they mention, if any. */
export interface Type {
  text: string
  shape?: string
}

/** Every field of a shape, inner ones under their path; named shapes are only named. */
export function fieldsOf(schema: JsonSchema, prefix = ''): Field[] {
  const properties = Object.entries((schema.properties ?? {}) as Record<string, JsonSchema>)
  const required = (schema.required ?? []) as string[]
  const own = properties.flatMap(([name, inner]) => {
    const path = `${prefix}${name}`
    const field = {
      name: path,
      required: required.includes(name),
      type: typeOf(inner),
      notes: notesOf(inner),
    }
    return [field, ...insideOf(inner, path)]
  })
  const choices = (schema.anyOf ?? schema.oneOf) as JsonSchema[] | undefined
  const either = (choices ?? []).flatMap((choice, at) => [
    ...(at === 0 ? [] : [{ name: 'or', required: true, type: { text: '' }, notes: '' }]),
    ...fieldsOf(choice, prefix),
  ])
  return [...own, ...either]
}

function insideOf(schema: JsonSchema, path: string): Field[] {
  const { inner } = notNull(schema)
  if (inner.type === 'array' && inner.items) return insideOf(inner.items as JsonSchema, `${path}[]`)
  if (inner.type === 'object' && inner.properties) return fieldsOf(inner, `${path}.`)
  return []
}

export function typeOf(schema: JsonSchema): Type {
  const { inner, nullable } = notNull(schema)
  const type = plainType(inner)
  return nullable ? { ...type, text: `${type.text} or null` } : type
}

function plainType(schema: JsonSchema): Type {
  if (typeof schema.$ref === 'string') {
    const shape = schema.$ref.split('/').at(-1) ?? ''
    return { text: shape, shape }
  }
  if ('const' in schema) return { text: JSON.stringify(schema.const) }
  if (Array.isArray(schema.enum))
    return { text: schema.enum.map((value) => JSON.stringify(value)).join(' | ') }
  if (schema.type === 'array') {
    const item = typeOf((schema.items ?? {}) as JsonSchema)
    return { ...item, text: `list of ${item.text}` }
  }
  if (schema.format === 'date-time') return { text: 'time' }
  if (schema.format === 'date') return { text: 'day' }
  if (schema.type === 'object' && !schema.properties) return { text: 'map by name' }
  const choices = (schema.anyOf ?? schema.oneOf) as JsonSchema[] | undefined
  if (choices) return { text: choices.map((choice) => typeOf(choice).text).join(' | ') }
  return { text: String(schema.type ?? 'anything') }
}

/** Integers have the bounds of a double unless told otherwise; that says nothing to a reader. */
const isTold = (bound: unknown): bound is number =>
  typeof bound === 'number' && Math.abs(bound) < Number.MAX_SAFE_INTEGER

function notesOf(schema: JsonSchema): string {
  const { inner } = notNull(schema)
  const { minimum, maximum, exclusiveMinimum, minLength, maxLength, minItems, maxItems, pattern, format } =
    inner
  const notes = [
    typeof inner.description === 'string' ? inner.description : '',
    isTold(minimum) ? `at least ${minimum}` : isTold(exclusiveMinimum) ? `more than ${exclusiveMinimum}` : '',
    isTold(maximum) ? `at most ${maximum}` : '',
    isTold(minLength) && minLength > 1 ? `at least ${minLength} characters` : '',
    isTold(maxLength) ? `at most ${maxLength} characters` : '',
    isTold(minItems) ? `at least ${minItems}` : '',
    isTold(maxItems) ? `at most ${maxItems}` : '',
    typeof pattern === 'string' && format === undefined ? pattern : '',
  ]
  return notes.filter((note) => note !== '').join(' · ')
}

function notNull(schema: JsonSchema): { inner: JsonSchema; nullable: boolean } {
  // A type may be a list of types, which says the same more shortly.
  const { type: types, anyOf } = schema
  const choices = (Array.isArray(types) ? types.map((type) => ({ ...schema, type })) : anyOf) as
    | JsonSchema[]
    | undefined
  const others = choices?.filter(({ type }) => type !== 'null')
  const [only] = others ?? []
  if (!choices || !only || others?.length !== 1) return { inner: schema, nullable: false }
  return {
    inner: { ...only, ...(schema.description ? { description: schema.description } : {}) },
    nullable: choices.length > 1,
  }
}

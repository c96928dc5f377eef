import type { JsonSchema, OpenApiDocument } from '@agentctl/contract/openapi.ts'
import fc from 'fast-check'
import { resolve } from './served-api.ts'

/** Texts that have broken servers: zero, half a pair, the far ends of numbers, names of the language itself. */
const trouble = [
  ...[
    '',
    ' ',
    '\0',
    'a\0b',
    '\ud800',
    '\u{1f600}',
    '\u202e',
    "'; drop table accounts; --",
    '../../etc/passwd',
  ],
  ...[
    '__proto__',
    'constructor',
    '%00',
    '{{7*7}}',
    '$ref',
    'NaN',
    '1e999',
    '-0',
    '9'.repeat(40),
    'x'.repeat(300),
  ],
  // Phones and wallets as people have them, which no random text looks like.
  ...['+12025550123', '+821012345678', '+8225550123', `0x${'ab'.repeat(20)}`],
]
const anyText = fc.oneof(fc.constantFrom(...trouble), fc.string({ unit: 'binary', maxLength: 40 }))
const anyNumber = fc.constantFrom(0, -1, 0.5, 2 ** 31, 2 ** 53, -(2 ** 63), 1e308)
const anything = fc.oneof(
  anyText,
  anyNumber,
  fc.constantFrom(null, true, [], {}, [[[]]], { __proto__: null }),
  fc.jsonValue({ maxDepth: 2 }),
)

/** Values of a schema, and now and then ones that are not: each part of a value goes wrong on its own. */
export function arbitraryOf(document: OpenApiDocument, schema: JsonSchema): fc.Arbitrary<unknown> {
  return fc.oneof(
    { weight: 12, arbitrary: valid(document, resolve(document, schema)) },
    { weight: 1, arbitrary: anything },
  )
}

function valid(document: OpenApiDocument, schema: JsonSchema): fc.Arbitrary<unknown> {
  const inner = (one: unknown): fc.Arbitrary<unknown> => arbitraryOf(document, one as JsonSchema)
  if ('const' in schema) return fc.constant(schema.const)
  if (Array.isArray(schema.enum)) return fc.constantFrom(...schema.enum)
  const choices = (schema.anyOf ?? schema.oneOf) as JsonSchema[] | undefined
  if (choices) return fc.oneof(...choices.map(inner))
  switch (schema.type) {
    case 'object':
      return objectOf(schema, inner)
    case 'array':
      return fc.array(inner(schema.items ?? {}), { minLength: Number(schema.minItems ?? 0), maxLength: 4 })
    case 'integer':
      return integerOf(Number(schema.minimum ?? -(2 ** 53)), Number(schema.maximum ?? 2 ** 53))
    case 'number':
      return fc.double({ noNaN: true })
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    case 'string':
      return textOf(schema)
    default:
      return anything
  }
}

/** Near the lower bound, or at one of both: what is stored as less than the schema says breaks at the upper one. */
function integerOf(min: number, max: number): fc.Arbitrary<number> {
  const low = Math.max(min, -5)
  return fc.oneof(fc.integer({ min: low, max: Math.min(max, low + 1000) }), fc.constantFrom(min, max))
}

function objectOf(schema: JsonSchema, inner: (one: unknown) => fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const properties = Object.entries((schema.properties ?? {}) as Record<string, JsonSchema>)
  if (properties.length === 0) {
    const names = schema.propertyNames ? textOf(schema.propertyNames as JsonSchema) : anyText
    return fc.dictionary(names, inner(schema.additionalProperties ?? {}), { maxKeys: 3 })
  }
  const known = fc.record(Object.fromEntries(properties.map(([name, one]) => [name, inner(one)])), {
    requiredKeys: schema.required as string[],
  })
  const strange = fc.option(fc.tuple(anyText, anything), { freq: 15, nil: undefined })
  return fc.tuple(known, strange).map(([value, more]) => (more ? { ...value, [more[0]]: more[1] } : value))
}

function textOf({ pattern, format, minLength, maxLength }: JsonSchema): fc.Arbitrary<string> {
  if (format === 'date-time') {
    return fc.constantFrom('2027-03-01T09:00:00.000Z', '0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999Z')
  }
  if (typeof pattern === 'string') return fc.stringMatching(new RegExp(pattern))
  const bounds = { minLength: Number(minLength ?? 0), maxLength: Math.min(Number(maxLength ?? 60), 200) }
  return fc.oneof(fc.string(bounds), fc.string({ ...bounds, unit: 'binary' }), fc.constantFrom(...trouble))
}

/** A piece of an address: what is there, what is not, and what nobody expects. */
export const pieceOf = (there: string): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 6, arbitrary: fc.constant(there) },
    { weight: 1, arbitrary: fc.constant(`${there.slice(0, -1)}z`) },
    { weight: 2, arbitrary: anyText.filter((text) => text !== '' && text !== '.' && text !== '..') },
  )

export const queryOf = (document: OpenApiDocument, schema: JsonSchema): fc.Arbitrary<string> =>
  arbitraryOf(document, schema).map((value) =>
    typeof value === 'string' ? value : String(JSON.stringify(value)),
  )

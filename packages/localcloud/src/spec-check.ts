import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv, type ValidateFunction } from 'ajv'
import addFormats from 'ajv-formats'
import { parseNestedForm } from './nested-form.ts'
import type { Exchange } from './stand-in.ts'

/** What a provider's document leaves open although the provider does not. */
export interface SpecOverlay {
  /** Allowed values by `schema.property`. */
  values: Record<string, string[]>
  /** Objects whose property names are data, by schema name: left as open as they are documented. */
  open: string[]
  /** What an answer may leave out, as `schema.property`. */
  optional: string[]
  /** Shape of an error, of which the documents say little. */
  error: object
  /** What comes before the document's paths in an address. */
  basePath: string
  /**
   * What an answer must have: everything that the document names, or, where a document says which of its properties
   * are there, those and all that may be null.
   */
  answersHave?: 'everything' | 'required and nullable'
}

interface Operation {
  parameters?: { name: string; in: string; required?: boolean; schema: object }[]
  requestBody?: { content: Record<string, { schema: object }> }
  responses: Record<string, { content?: Record<string, { schema: object }> }>
}

export interface Spec {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, { properties?: Record<string, object> }> }
}

/** Keeps what a check says about every exchange of a stand-in; without the documents it keeps nothing. */
export function collectViolations(found: SpecCheck | { missing: string }): {
  missing: string | undefined
  violations: string[]
  onExchange: (exchange: Exchange) => void
} {
  const violations: string[] = []
  if (!(found instanceof SpecCheck)) {
    process.stderr.write(`not checked against the specification: ${found.missing}\n`)
    return { missing: found.missing, violations, onExchange: () => undefined }
  }
  return {
    missing: undefined,
    violations,
    onExchange: (exchange) => violations.push(...found.check(exchange)),
  }
}

type JsonObject = Record<string, unknown>

/**
 * The provider's official document, or the reason why it cannot be had. The documents are not part of this
 * repository: they lie beside it, or where AGENTCTL_SPECS_DIR says. In CI they must be there.
 */
export function findSpec(name: string): { spec: Spec } | { missing: string } {
  const folder =
    process.env.AGENTCTL_SPECS_DIR ?? fileURLToPath(new URL('../../../../shared/specs', import.meta.url))
  const file = join(folder, name)
  if (existsSync(file)) return { spec: JSON.parse(readFileSync(file, 'utf8')) }
  const missing = `${file} is missing; set AGENTCTL_SPECS_DIR to the folder with the providers' specifications`
  if (process.env.CI) throw new Error(missing)
  return { missing }
}

/**
 * Checks exchanges against a document made strict: nothing that it does not name may be sent either way, an answer has
 * all that it names, and a request that breaks it must have been refused.
 */
export class SpecCheck {
  private readonly spec: Spec
  private readonly overlay: SpecOverlay
  private readonly requests: Ajv
  /** For what travels as text and means numbers: queries and forms. A number in JSON must be a number. */
  private readonly texts: Ajv
  private readonly answers: Ajv
  private readonly compiled = new Map<string, ValidateFunction>()

  constructor(spec: Spec, overlay: SpecOverlay) {
    this.spec = spec
    this.overlay = overlay
    this.requests = validator({ ...this.strict(spec, false), $id: 'spec' }, false)
    this.texts = validator({ ...this.strict(spec, false), $id: 'spec' }, true)
    this.answers = validator({ ...this.strict(spec, true), $id: 'spec' }, false)
  }

  /** Sentences about what is wrong; empty when nothing is. */
  check(exchange: Exchange): string[] {
    const name = `${exchange.method} ${exchange.path} ${exchange.status}`
    const found = this.find(exchange)
    if (!found) return exchange.status >= 400 ? [] : [`${name}: the document has no such operation`]
    const wrongInRequest = this.checkRequest(exchange, found)
    if (exchange.status >= 400) return this.checkError(exchange).map((text) => `${name}: ${text}`)
    return [
      ...wrongInRequest.map((text) => `${name}: was accepted although ${text}`),
      ...this.checkAnswer(exchange, found).map((text) => `${name}: answer ${text}`),
    ]
  }

  /** Whether a value that no operation answers with, such as what an event tells about, is what the document calls so. */
  checkValue(schema: string, value: unknown): string[] {
    return this.validate('answers', `#/components/schemas/${schema}`, value, schema)
  }

  private find({ method, path }: Exchange): { pointer: string; operation: Operation } | undefined {
    const { basePath } = this.overlay
    if (!path.startsWith(basePath)) return undefined
    const segments = path.slice(basePath.length).split('/')
    for (const [template, operations] of Object.entries(this.spec.paths)) {
      const parts = template.split('/')
      const fits =
        parts.length === segments.length &&
        parts.every((part, i) => part.startsWith('{') || part === segments[i])
      const operation = operations[method.toLowerCase()]
      if (fits && operation) {
        const escaped = template.replaceAll('~', '~0').replaceAll('/', '~1')
        return { pointer: `#/paths/${encodeURIComponent(escaped)}/${method.toLowerCase()}`, operation }
      }
    }
    return undefined
  }

  private checkRequest(
    exchange: Exchange,
    { pointer, operation }: { pointer: string; operation: Operation },
  ): string[] {
    const wrong: string[] = []
    const parameters = operation.parameters ?? []
    for (const [name, value] of Object.entries(
      parseNestedForm(String(new URLSearchParams(exchange.query))),
    )) {
      const index = parameters.findIndex((one) => one.in === 'query' && one.name === name)
      if (index < 0) wrong.push(`it has no query parameter ${name}`)
      else wrong.push(...this.validate('texts', `${pointer}/parameters/${index}/schema`, value, name))
    }
    const content = operation.requestBody?.content ?? {}
    const type = exchange.contentType.split(';')[0] ?? ''
    if (exchange.body === '') return wrong
    const body: JsonObject =
      type === 'application/json' ? JSON.parse(exchange.body) : parseNestedForm(exchange.body)
    // Vultr's own client repeats in the body what is in the path, and Vultr does not mind.
    for (const { name, in: place } of parameters) if (place === 'path') delete body[name]
    if (!operation.requestBody) return Object.keys(body).length === 0 ? wrong : [...wrong, 'it takes no body']
    if (!content[type]) return [...wrong, `it takes no body of type "${type}"`]
    const schema = `${pointer}/requestBody/content/${encodeURIComponent(type.replaceAll('/', '~1'))}/schema`
    return [
      ...wrong,
      ...this.validate(type === 'application/json' ? 'requests' : 'texts', schema, body, 'body'),
    ]
  }

  private checkAnswer(
    exchange: Exchange,
    { pointer, operation }: { pointer: string; operation: Operation },
  ): string[] {
    const documented = operation.responses[String(exchange.status)]
    if (!documented) return ['has a status that is not documented']
    const content = documented.content
    if (!content) return exchange.answer === '' ? [] : ['has a body where none is documented']
    const type = exchange.answerType.split(';')[0] ?? ''
    if (!content[type]) return [`is of type "${type}"`]
    const schema = `${pointer}/responses/${exchange.status}/content/${encodeURIComponent(type.replaceAll('/', '~1'))}/schema`
    return this.validate('answers', schema, JSON.parse(exchange.answer), 'body')
  }

  private checkError(exchange: Exchange): string[] {
    if (!exchange.answerType.startsWith('application/json')) return [`error of type "${exchange.answerType}"`]
    const answer: { status?: unknown } = JSON.parse(exchange.answer)
    if (answer.status !== undefined && answer.status !== exchange.status)
      return ['the error names another status']
    const isError = this.answers.compile(this.overlay.error)
    return isError(answer) ? [] : [`error ${this.answers.errorsText(isError.errors)}`]
  }

  private validate(
    side: 'requests' | 'texts' | 'answers',
    pointer: string,
    value: unknown,
    name: string,
  ): string[] {
    const ajv = this[side]
    const key = `${side} ${pointer}`
    const validate = this.compiled.get(key) ?? ajv.compile({ $ref: `spec${pointer}` })
    this.compiled.set(key, validate)
    return validate(value) ? [] : [ajv.errorsText(validate.errors, { dataVar: name })]
  }

  private strict(spec: Spec, isAnswer: boolean): JsonObject {
    const copy = structuredClone(spec)
    const named = (name: string): object => {
      const dot = name.lastIndexOf('.')
      const found = copy.components.schemas[name.slice(0, dot)]?.properties?.[name.slice(dot + 1)]
      if (!found) throw new Error(`The overlay names ${name}, which the document does not have.`)
      return found
    }
    for (const [name, values] of Object.entries(this.overlay.values))
      Object.assign(named(name), { enum: values })
    const optional = new Set<unknown>(this.overlay.optional.map(named))
    const open = new Set<unknown>(this.overlay.open.map((name) => copy.components.schemas[name]))
    const nullable = new Set<unknown>()
    const visit = (node: unknown): void => {
      if (typeof node !== 'object' || node === null) return
      for (const child of Object.values(node)) visit(child)
      const schema = node as JsonObject
      const isNullable = schema.nullable === true
      if (isNullable && Array.isArray(schema.enum)) schema.enum = [...schema.enum, null]
      if (isNullable && Array.isArray(schema.anyOf)) schema.anyOf = [...schema.anyOf, { type: 'null' }]
      if (isNullable && typeof schema.type === 'string') schema.type = [schema.type, 'null']
      // The validator knows this keyword too, but only beside a type.
      if (isNullable) delete schema.nullable
      if (isNullable) nullable.add(schema)
      if (
        schema.type !== 'object' ||
        typeof schema.properties !== 'object' ||
        !schema.properties ||
        open.has(node)
      )
        return
      schema.additionalProperties ??= false
      if (!isAnswer) return
      const properties = Object.entries(schema.properties)
      const documented = new Set(Array.isArray(schema.required) ? schema.required : [])
      const isThere = ([name, property]: [string, unknown]): boolean =>
        this.overlay.answersHave === 'required and nullable'
          ? documented.has(name) || nullable.has(property)
          : !optional.has(property)
      schema.required = properties.filter(isThere).map(([name]) => name)
    }
    visit(copy)
    return { paths: copy.paths, components: copy.components }
  }
}

function validator(document: object, coerceTypes: boolean): Ajv {
  const ajv = new Ajv({ strict: false, allErrors: true, coerceTypes })
  addFormats.default(ajv)
  // Stripe's own names, for what the types say already.
  for (const name of ['unix-time', 'decimal']) ajv.addFormat(name, true)
  ajv.addSchema(document)
  return ajv
}

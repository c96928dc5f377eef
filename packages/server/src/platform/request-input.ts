import { BODY_BYTES_MAX, type Endpoint } from '@agentctl/contract/endpoint.ts'
import type { z } from 'zod'
import { Problem } from './problem.ts'

type Place = 'path' | 'query' | 'body'

const PARAM_LENGTH_MAX = 255
const NAME_SHOWN_MAX = 64

export function readParams(params: Record<string, string>): Record<string, string> {
  for (const [name, value] of Object.entries(params)) {
    if (value.length > PARAM_LENGTH_MAX || !isStorable(value)) throw unstorable('path', name)
  }
  return params
}

/** The query as its schema has it. Where there is no schema, there is nothing to ask for. */
export function readQuery({ query: schema, rawResponse }: Endpoint, search: URLSearchParams): unknown {
  // People come to pages by links that others have decorated.
  if (rawResponse === 'text/html') return undefined
  const query: Record<string, string> = {}
  for (const [name, value] of search) {
    if (Object.hasOwn(query, name)) {
      throw new Problem('invalid_request', `query.${shownName(name)}: is given more than once`)
    }
    if (!isStorable(value)) throw unstorable('query', name)
    query[name] = value
  }
  if (schema) return parse(schema, query, 'query')
  const [unknown] = Object.keys(query)
  if (unknown !== undefined) throw unknownField('query', [], unknown)
  return undefined
}

export async function readBody(endpoint: Endpoint, raw: Request): Promise<unknown> {
  if (endpoint.rawBody) {
    requireMediaType(raw, endpoint.rawBody)
    return undefined
  }
  const length = raw.headers.get('content-length')
  if (!endpoint.body) {
    if ((length !== null && length !== '0') || raw.headers.has('transfer-encoding')) {
      throw new Problem('invalid_request', 'This endpoint takes no body.', { fix: 'Send none.' })
    }
    return undefined
  }
  requireMediaType(raw, 'application/json')
  const text = await readText(raw, endpoint.bodyBytesMax ?? BODY_BYTES_MAX)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Problem('invalid_request', 'The body is not valid JSON.')
  }
  // Only an escape can bring them into JSON, so that nearly every body is spared the walk.
  if (!endpoint.anyCharacters && /\\u(?:0000|d[89a-f])/i.test(text)) requireStorable(value, [])
  return parse(endpoint.body, value, 'body')
}

/** Refuses a body of another kind, or one that is packed: a small one could unpack to any size. */
function requireMediaType(raw: Request, wanted: string): void {
  const type = raw.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== wanted) throw new Problem('unsupported_media_type', `The body must be ${wanted}.`)
  if ((raw.headers.get('content-encoding') ?? 'identity') !== 'identity') {
    throw new Problem('unsupported_media_type', 'The body must not be compressed.')
  }
}

async function readText(raw: Request, bytesMax: number): Promise<string> {
  const told = raw.headers.get('content-length')
  const isTold = told !== null && !raw.headers.has('transfer-encoding')
  const tooLarge = () => new Problem('payload_too_large', `The body may have at most ${bytesMax} bytes.`)
  if (isTold && Number(told) > bytesMax) throw tooLarge()
  // The server reads no further than the length that was told.
  if (isTold) return raw.text()
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of raw.body ?? []) {
    bytes += chunk.length
    if (bytes > bytesMax) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parse(schema: z.ZodType, value: unknown, place: Place): unknown {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = deepest(result.error.issues[0])
  const path = issue?.path ?? []
  if (issue?.code === 'unrecognized_keys') throw unknownField(place, path, issue.keys[0] ?? '')
  const at = path.length > 0 ? `${place}.${shownPath(path)}` : `the ${place}`
  throw new Problem('invalid_request', `${at}: ${issue?.message ?? 'is not valid'}`)
}

/** The issue that names the field: one of a record or a union wraps the issue that says what is wrong. */
function deepest(issue: z.core.$ZodIssue | undefined): z.core.$ZodIssue | undefined {
  const inner =
    issue?.code === 'invalid_key' || issue?.code === 'invalid_element' ? issue.issues[0] : undefined
  return issue && inner ? { ...inner, path: [...issue.path, ...inner.path] } : issue
}

function unknownField(place: Place, path: readonly PropertyKey[], name: string): Problem {
  return new Problem('invalid_request', `${place}.${shownPath([...path, name])}: is not known here`, {
    fix: 'Leave it out, or correct its name.',
  })
}

const shownPath = (path: readonly PropertyKey[]): string =>
  path.map((part) => shownName(String(part))).join('.')

/** The sender's own words, but not at any length, and none that would steer a terminal. */
function shownName(name: string): string {
  const printable = name.toWellFormed().replaceAll(/\p{C}/gu, '')
  return printable.length > NAME_SHOWN_MAX
    ? `${printable.slice(0, NAME_SHOWN_MAX).toWellFormed()}…`
    : printable
}

/** PostgreSQL keeps neither the zero character nor half of a surrogate pair. */
const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed()

function unstorable(place: Place, ...path: string[]): Problem {
  return new Problem(
    'invalid_request',
    `${place}.${shownPath(path)}: has a character that cannot be kept, or is too long`,
  )
}

function requireStorable(value: unknown, path: string[]): void {
  if (typeof value === 'string') {
    if (!isStorable(value)) throw unstorable('body', ...path)
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, inner] of Object.entries(value)) {
      if (!isStorable(name)) throw unstorable('body', ...path, name)
      requireStorable(inner, [...path, name])
    }
  }
}

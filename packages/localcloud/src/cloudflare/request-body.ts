import type { Context } from 'hono'
import { Refused } from './cloudflare-error.ts'

type Fields = Record<string, unknown>

/** The object that a request carries, with nothing in it but what is named. */
export async function bodyOf(c: Context, names: readonly string[]): Promise<Fields> {
  const body: unknown = await c.req.json().catch(() => undefined)
  return fieldsOf(body, names, 'The request body')
}

export function fieldsOf(value: unknown, names: readonly string[], what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Refused(400, 6007, `${what} must be a JSON object.`)
  }
  const unknown = Object.keys(value).find((name) => !names.includes(name))
  if (unknown !== undefined) throw new Refused(400, 6003, `${what} has no field ${unknown}.`)
  return value as Fields
}

export function textOf(fields: Fields, name: string): string | undefined {
  const value = fields[name]
  if (value === undefined || typeof value === 'string') return value
  throw new Refused(400, 6003, `${name} must be a string.`)
}

export function oneOf<Value>(allowed: readonly Value[], value: unknown, name: string): Value {
  if (allowed.includes(value as Value)) return value as Value
  throw new Refused(400, 6003, `${name} must be one of ${allowed.join(', ')}.`)
}

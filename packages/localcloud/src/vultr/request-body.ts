import type { Context } from 'hono'
import { Refused } from './vultr-error.ts'

/** The fields of a JSON body, each read with the type that Vultr documents for it; another type is refused. */
export class RequestBody {
  private readonly fields: Record<string, unknown>

  private constructor(fields: Record<string, unknown>) {
    this.fields = fields
  }

  static async of(c: Context): Promise<RequestBody> {
    const text = await c.req.text()
    let fields: unknown = {}
    try {
      if (text !== '') fields = JSON.parse(text)
    } catch {
      throw new Refused(400, 'Unable to decode the JSON request body.')
    }
    if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
      throw new Refused(400, 'The request body must be a JSON object.')
    }
    return new RequestBody(fields as Record<string, unknown>)
  }

  has(name: string): boolean {
    return this.fields[name] !== undefined
  }

  text(name: string): string {
    const value = this.fields[name] ?? ''
    if (typeof value !== 'string') throw new Refused(400, `Invalid ${name}: expected a string.`)
    return value
  }

  integer(name: string): number | undefined {
    const value = this.fields[name]
    if (value === undefined) return undefined
    if (typeof value !== 'number' || !Number.isInteger(value)) {
      throw new Refused(400, `Invalid ${name}: expected an integer.`)
    }
    return value
  }

  flag(name: string): boolean {
    const value = this.fields[name] ?? false
    if (typeof value !== 'boolean') throw new Refused(400, `Invalid ${name}: expected a boolean.`)
    return value
  }

  texts(name: string): string[] {
    const value = this.fields[name] ?? []
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
      throw new Refused(400, `Invalid ${name}: expected a list of strings.`)
    }
    return value
  }

  /** User data travels in base64; anything else would reach the machine as garbage. */
  base64(name: string): string {
    const value = this.text(name)
    if (
      value !== '' &&
      Buffer.from(value, 'base64').toString('base64').replace(/=+$/, '') !== value.replace(/=+$/, '')
    ) {
      throw new Refused(400, `Invalid ${name}: expected base64.`)
    }
    return value
  }
}

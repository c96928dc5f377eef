import type { Context } from 'hono'
import { Refused } from './stripe-error.ts'

/** The fields of a form or a query; each must be known to the endpoint, which names them with `*` for any one part. */
export class RequestForm {
  private readonly fields: URLSearchParams

  private constructor(fields: URLSearchParams, known: readonly string[]) {
    this.fields = fields
    const patterns = known.map(
      (name) =>
        new RegExp(`^${name.replaceAll('[', '\\[').replaceAll(']', '\\]').replaceAll('*', '[^\\[\\]]*')}$`),
    )
    for (const name of fields.keys()) {
      if (!patterns.some((pattern) => pattern.test(name))) {
        throw new Refused(400, `Received unknown parameter: ${name}`, {
          code: 'parameter_unknown',
          param: name,
        })
      }
    }
  }

  static async ofBody(c: Context, known: readonly string[]): Promise<RequestForm> {
    const text = await c.req.text()
    const type = c.req.header('content-type')?.split(';')[0]
    if (text !== '' && type !== 'application/x-www-form-urlencoded') {
      throw new Refused(
        400,
        `Invalid request (check that your POST content type is application/x-www-form-urlencoded). Received: ${type}`,
      )
    }
    return new RequestForm(new URLSearchParams(text), known)
  }

  static ofQuery(c: Context, known: readonly string[]): RequestForm {
    return new RequestForm(new URL(c.req.url).searchParams, known)
  }

  has(name: string): boolean {
    return this.fields.has(name)
  }

  text(name: string): string | null {
    return this.fields.get(name) || null
  }

  required(name: string): string {
    const value = this.text(name)
    if (value === null) {
      throw new Refused(400, `Missing required param: ${name}.`, { code: 'parameter_missing', param: name })
    }
    return value
  }

  integer(name: string): number | undefined {
    const value = this.text(name)
    if (value === null) return undefined
    if (!/^-?\d{1,15}$/.test(value)) {
      throw new Refused(400, `Invalid integer: ${value}`, { code: 'parameter_invalid_integer', param: name })
    }
    return Number(value)
  }

  url(name: string): string | null {
    const value = this.text(name)
    if (value === null) return null
    if (!/^https?:\/\//.test(value))
      throw new Refused(400, 'Not a valid URL', { code: 'url_invalid', param: name })
    return value
  }

  /** `name[key]=value` for every key. */
  record(name: string): Record<string, string> {
    const within = [...this.fields].filter(([field]) => field.startsWith(`${name}[`) && field.endsWith(']'))
    return Object.fromEntries(within.map(([field, value]) => [field.slice(name.length + 1, -1), value]))
  }

  list(name: string): string[] {
    return [...this.fields].filter(([field]) => field.startsWith(`${name}[`)).map(([, value]) => value)
  }
}

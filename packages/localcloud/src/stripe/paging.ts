import type { Context } from 'hono'
import type { RequestForm } from './request-form.ts'
import { Refused } from './stripe-error.ts'

export const PAGE_FIELDS = ['limit', 'starting_after', 'ending_before'] as const

/** A page of Stripe's lists: the newest first, and a cursor is the id of a row that was seen. */
export function listPage<Row extends { id: string }>(
  c: Context,
  form: RequestForm,
  oldestFirst: readonly Row[],
  wire: (row: Row) => unknown,
): Response {
  const limit = form.integer('limit') ?? 10
  if (limit < 1 || limit > 100) {
    throw new Refused(400, 'Invalid limit: it must be between 1 and 100.', {
      code: 'parameter_invalid_integer',
      param: 'limit',
    })
  }
  const rows = oldestFirst.toReversed()
  const place = (name: 'starting_after' | 'ending_before'): number | undefined => {
    const id = form.text(name)
    if (id === null) return undefined
    const index = rows.findIndex((row) => row.id === id)
    if (index < 0)
      throw new Refused(400, `No such object: '${id}'`, { code: 'resource_missing', param: name })
    return index
  }
  const after = place('starting_after')
  const before = place('ending_before')
  const rest = before === undefined ? rows.slice((after ?? -1) + 1) : rows.slice(0, before)
  const page = before === undefined ? rest.slice(0, limit) : rest.slice(-limit)
  return c.json({
    object: 'list',
    url: c.req.path,
    has_more: rest.length > page.length,
    data: page.map(wire),
  })
}

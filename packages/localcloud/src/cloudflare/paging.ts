import { Refused } from './cloudflare-error.ts'

/** One page of a list, and what Cloudflare tells about it. */
export function page<Item>(
  items: readonly Item[],
  query: Record<string, string>,
  bounds: { perPage: number; perPageMin: number; perPageMax: number },
): { items: Item[]; result_info: object } {
  const read = (name: string, otherwise: number, least: number, most: number): number => {
    const value = query[name] === undefined ? otherwise : Number(query[name])
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new Refused(400, 6003, `${name} must be between ${least} and ${most}.`)
    }
    return value
  }
  const number = read('page', 1, 1, Number.MAX_SAFE_INTEGER)
  const perPage = read('per_page', bounds.perPage, bounds.perPageMin, bounds.perPageMax)
  const shown = items.slice((number - 1) * perPage, number * perPage)
  return {
    items: shown,
    result_info: { page: number, per_page: perPage, count: shown.length, total_count: items.length },
  }
}

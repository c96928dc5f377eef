import { Refused } from './vultr-error.ts'

const DEFAULT_PER_PAGE = 100
const MAX_PER_PAGE = 500

interface Page<Item> {
  items: Item[]
  meta: { total: number; links: { next: string; prev: string } }
}

/** One page of a list; a cursor names the first or last item seen, so that what is deleted meanwhile shifts nothing. */
export function page<Item extends { id: string | number }>(
  items: readonly Item[],
  query: Record<string, string>,
): Page<Item> {
  const perPage = query.per_page === undefined ? DEFAULT_PER_PAGE : Number(query.per_page)
  if (!Number.isInteger(perPage) || perPage < 1 || perPage > MAX_PER_PAGE) {
    throw new Refused(400, `Invalid per_page. Must be between 1 and ${MAX_PER_PAGE}.`)
  }
  const start = startOf(items, query.cursor, perPage)
  const shown = items.slice(start, start + perPage)
  const last = shown.at(-1)
  const first = shown[0]
  return {
    items: shown,
    meta: {
      total: items.length,
      links: {
        next: last && start + perPage < items.length ? cursor('next', last.id) : '',
        prev: first && start > 0 ? cursor('prev', first.id) : '',
      },
    },
  }
}

function startOf(
  items: readonly { id: string | number }[],
  asked: string | undefined,
  perPage: number,
): number {
  if (asked === undefined || asked === '') return 0
  const [direction, id] = Buffer.from(asked, 'base64').toString().split('__')
  const found = items.findIndex((item) => String(item.id) === id)
  if (found < 0 || (direction !== 'next' && direction !== 'prev')) throw new Refused(400, 'Invalid cursor.')
  return direction === 'next' ? found + 1 : Math.max(0, found - perPage)
}

function cursor(direction: 'next' | 'prev', id: string | number): string {
  return Buffer.from(`${direction}__${id}`).toString('base64')
}

import { printable } from './output.ts'
import { wrap } from './wrapped-text.ts'

/**
 * Columns aligned by spaces, with a head; no lines, so that it pastes and greps well. Where they are wider than the
 * terminal, the widest go below their row, each under its name; a pipe has room for everything.
 */
export function table(head: string[], rows: string[][], width = Number.POSITIVE_INFINITY): string {
  const titles = head.map((title) => title.toUpperCase())
  const cells = rows.map((row) => row.map(printable))
  const widths = head.map((_, column) =>
    Math.max(...[titles, ...cells].map((row) => (row[column] ?? '').length)),
  )
  const below = columnsBelow(widths, width)
  const line = (row: string[]): string =>
    row
      .flatMap((cell, column) => (below.has(column) ? [] : [cell.padEnd(widths[column] ?? 0)]))
      .join('  ')
      .trimEnd()
  const rest = (row: string[]): string[] => {
    const named = [...below].flatMap((column): Pair[] => {
      const cell = row[column] ?? ''
      return cell === '' || cell === '-' ? [] : [[head[column] ?? '', cell]]
    })
    return pairLines(named, width - 2).map((text) => `  ${text}`)
  }
  return [line(titles), ...cells.flatMap((row) => [line(row), ...rest(row)])].join('\n')
}

/** The widest columns, as many as it takes, in their order; never the first, which says what a row is about. */
function columnsBelow(widths: readonly number[], width: number): Set<number> {
  const beside = new Set(widths.keys())
  const needed = () => [...beside].reduce((sum, column) => sum + (widths[column] ?? 0) + 2, -2)
  const byWidth = [...widths.keys()].slice(1).sort((a, b) => (widths[b] ?? 0) - (widths[a] ?? 0) || b - a)
  for (const column of byWidth) {
    if (needed() <= width) break
    beside.delete(column)
  }
  return new Set([...widths.keys()].filter((column) => !beside.has(column)))
}

type Pair = [name: string, value: string]

/** Pairs, one a line, values aligned; what is wider than the terminal goes on below. */
export function pairs(
  rows: [name: string, value: string | null | undefined][],
  width = Number.POSITIVE_INFINITY,
): string {
  return pairLines(
    rows.flatMap(([name, value]): Pair[] => (typeof value === 'string' ? [[name, printable(value)]] : [])),
    width,
  ).join('\n')
}

function pairLines(rows: readonly Pair[], width: number): string[] {
  const column = Math.max(0, ...rows.map(([name]) => name.length)) + 2
  return rows.flatMap(([name, value]) => {
    const room = width - column
    if (value.length <= room) return [`${name.padEnd(column)}${value}`]
    // What is one long word, such as an id, is not torn: it has lines of its own.
    const isTooLong = value.split(/\s/).some((word) => word.length > room)
    if (isTooLong) return [name, ...wrap(value, width - 2).map((text) => `  ${text}`)]
    return wrap(value, room).map((text, at) => `${(at === 0 ? name : '').padEnd(column)}${text}`)
  })
}

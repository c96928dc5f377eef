import { printable } from './output.ts'

/** Columns aligned by spaces, with a head; no lines, so that it pastes and greps well. */
export function table(head: string[], rows: string[][]): string {
  const all = [head.map((title) => title.toUpperCase()), ...rows.map((row) => row.map(printable))]
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)))
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Pairs, one a line, values aligned. */
export function pairs(rows: [name: string, value: string | null | undefined][]): string {
  const present = rows.filter((row): row is [string, string] => typeof row[1] === 'string')
  const width = Math.max(...present.map(([name]) => name.length))
  return present.map(([name, value]) => `${name.padEnd(width)}  ${printable(value)}`).join('\n')
}

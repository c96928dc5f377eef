/** Width of a page of help, and of a terminal that nobody has widened. */
export const WIDTH = 80

/** Breaks text at spaces so that no line is wider than the page. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const paragraph of text.split('\n')) {
    let line = ''
    for (const word of paragraph.split(' ')) {
      if (line !== '' && line.length + 1 + word.length > width) {
        lines.push(line)
        line = word
      } else line = line === '' ? word : `${line} ${word}`
    }
    lines.push(line)
  }
  return lines
}

/** Terms and what they mean, in two columns; a long meaning goes on below its own beginning. */
export function terms(rows: [term: string, about: string][]): string[] {
  const column = Math.min(30, Math.max(...rows.map(([term]) => term.length)) + 2)
  return rows.flatMap(([term, about]) => {
    const [first = '', ...rest] = wrap(about, WIDTH - 2 - column)
    const head =
      term.length + 2 > column
        ? [`  ${term}`, `  ${''.padEnd(column)}${first}`]
        : [`  ${term.padEnd(column)}${first}`]
    return [...head, ...rest.map((line) => `  ${''.padEnd(column)}${line}`)]
  })
}

/** Edits that turn one word into another: insert, delete, replace, or swap two neighbours. */
function distance(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, column) => column)]
  const at = (row: number, column: number) => rows[row]?.[column] ?? 0
  for (let row = 1; row <= from.length; row++) {
    rows[row] = [row]
    for (let column = 1; column <= to.length; column++) {
      const replaced = at(row - 1, column - 1) + (from[row - 1] === to[column - 1] ? 0 : 1)
      let best = Math.min(at(row - 1, column) + 1, at(row, column - 1) + 1, replaced)
      if (from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]) {
        best = Math.min(best, at(row - 2, column - 2) + 1)
      }
      rows[row]?.push(best)
    }
  }
  return at(from.length, to.length)
}

/** The word that was probably meant, when one is near enough. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((candidate) => ({ candidate, edits: distance(word, candidate) }))
    .sort((a, b) => a.edits - b.edits)
  const best = ranked[0]
  if (!best || best.edits > Math.max(1, Math.floor(best.candidate.length * 0.4))) return undefined
  return best.candidate
}

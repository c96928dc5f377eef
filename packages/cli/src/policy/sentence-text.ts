import { printable } from '../output.ts'
import { wrap } from '../wrapped-text.ts'

const WIDTH = 78

/** A sentence under its id, wrapped beside it. */
export function sentenceLines({ id, text }: { id: string; text: string }, before = ''): string[] {
  const head = `${before}${printable(id).padEnd(4)}`
  const [first = '', ...rest] = wrap(printable(text), WIDTH - head.length)
  return [`${head}${first}`, ...rest.map((line) => `${' '.repeat(head.length)}${line}`)]
}

/** What was measured, but for what was looked for and not found. */
export function evidenceLines(evidence: Record<string, string | number | boolean | null>): string[] {
  const said = Object.entries(evidence).flatMap(([name, value]) =>
    value === '' || value === null ? [] : [`${inWords(printable(name))}: ${printable(String(value))}`],
  )
  const indent = ' '.repeat(11)
  return wrap(said.join(' · '), WIDTH - indent.length).flatMap((line) =>
    line === '' ? [] : [`${indent}${line}`],
  )
}

const inWords = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)

import { Failure } from '../failure.ts'

const escapes: Record<string, string> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\', $: '$' }

/**
 * Reads NAME=value lines: comments, `export`, single and double quotes, also over several lines. Strict where other
 * readers guess: a line that is none of this, an empty value or a name twice is an error, not a wrong secret.
 */
export function parseDotenv(text: string): Record<string, string> {
  const found = new Map<string, string>()
  const refuse = (line: number, why: string) =>
    new Failure('usage', `Line ${line}: ${why}`, { fix: 'Nothing was set. Correct the line.' })
  let line = 1
  let rest = text.replace(/^\u{feff}/u, '').replace(/\r\n/g, '\n')
  while (rest !== '') {
    const blank = /^[ \t]*(?:#[^\n]*)?(?:\n|$)/.exec(rest)
    if (blank) {
      line++
      rest = rest.slice(blank[0].length)
      continue
    }
    const assignment =
      /^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\[\s\S])*)"[ \t]*(?:#[^\n]*)?|'([^']*)'[ \t]*(?:#[^\n]*)?|([^\n"'][^\n]*)?)(?:\n|$)/.exec(
        rest,
      )
    if (!assignment) throw refuse(line, 'this is not NAME=value')
    const [whole, name = '', double, single, bare] = assignment
    const value =
      double !== undefined
        ? double.replace(/\\([\s\S])/g, (all, letter: string) => escapes[letter] ?? all)
        : (single ?? (bare ?? '').replace(/(?:^|\s)#.*$/, '').trim())
    if (value === '') throw refuse(line, `${name} is empty; to remove it: agentctl secrets unset`)
    if (found.has(name)) throw refuse(line, `${name} stands here twice`)
    found.set(name, value)
    line += whole.split('\n').length - 1
    rest = rest.slice(whole.length)
  }
  return Object.fromEntries(found)
}

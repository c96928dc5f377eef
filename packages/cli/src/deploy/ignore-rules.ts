import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import type { Ignore } from 'ignore'

interface RuleFile {
  /** Folder that the patterns are relative to. */
  base: string
  rules: Ignore
}

/** Never leave the machine, whatever any file says. */
export const neverUploaded = (name: string): boolean =>
  name === '.git' || name === 'node_modules' || name === '.agentctl' || name.startsWith('.env')

/** Left out unless a rule file takes them back: they are made afresh where they are needed. */
const usuallyUseless = ['.venv/', '__pycache__/', '.DS_Store']

const slashed = (path: string): string => (sep === '/' ? path : path.split(sep).join('/'))

export interface IgnoreRules {
  /** Rules of this folder itself come into force for what is below it. */
  enter(directory: string): IgnoreRules
  /** `path` is absolute. */
  ignores(path: string, isDirectory: boolean): boolean
}

export async function readIgnoreRules(root: string): Promise<IgnoreRules> {
  const { default: ignore } = await import('ignore')

  const rulesOf = (directory: string): RuleFile[] =>
    ['.gitignore', '.agentignore']
      .map((name) => join(directory, name))
      .filter((path) => existsSync(path))
      .map((path) => ({ base: directory, rules: ignore().add(readFileSync(path, 'utf8')) }))

  /** The last word counts: deeper files come later, and .agentignore after .gitignore. */
  const verdict = (files: RuleFile[], path: string, isDirectory: boolean): boolean => {
    let ignored = false
    for (const { base, rules } of files) {
      const inside = slashed(relative(base, path))
      if (inside === '' || inside.startsWith('..')) continue
      const answer = rules.test(isDirectory ? `${inside}/` : inside)
      if (answer.ignored) ignored = true
      else if (answer.unignored) ignored = false
    }
    return ignored
  }

  const withRules = (files: RuleFile[]): IgnoreRules => ({
    enter: (directory) => withRules([...files, ...rulesOf(directory)]),
    ignores: (path, isDirectory) => verdict(files, path, isDirectory),
  })

  // A folder inside a repository is under the repository's rules too: what git leaves out there is
  // meant to stay. Where those rules leave out the whole folder, deploying it says otherwise.
  const above: string[] = []
  let directory = root
  while (!existsSync(join(directory, '.git')) && directory !== dirname(directory)) {
    directory = dirname(directory)
    above.unshift(directory)
  }
  const inRepository = existsSync(join(directory, '.git'))
  const inherited = inRepository ? above.flatMap(rulesOf) : []
  const usable = verdict(inherited, root, true) ? [] : inherited
  return withRules([{ base: root, rules: ignore().add(usuallyUseless) }, ...usable])
}

import { execFileSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')

/** Every text file that is, or is about to be, part of the repository: its path from the root, and what it says. */
export function repository(): Map<string, string> {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  const paths = listed.split('\0').filter((path) => path !== '')
  const there = paths.filter((path) => statSync(join(root, path), { throwIfNoEntry: false })?.isFile())
  const texts = there.map((path): [string, string] => [path, readFileSync(join(root, path), 'utf8')])
  return new Map(texts.filter(([, text]) => !text.includes('\0')))
}

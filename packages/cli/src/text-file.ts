import { readFileSync } from 'node:fs'

/** A text file that somebody named. The system names it in some of its refusals only; here it is named in each. */
export function readTextFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && !('path' in error)) Object.assign(error, { path })
    throw error
  }
}

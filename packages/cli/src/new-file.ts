import { writeFileSync } from 'node:fs'
import { Failure } from './failure.ts'

/** Writes what is nobody else's business; what is there already is not for us to replace. */
export function writeNewFile(path: string, text: string): void {
  try {
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    throw new Failure('usage', `${path} is there already`, { fix: 'Give another name to --output.' })
  }
}

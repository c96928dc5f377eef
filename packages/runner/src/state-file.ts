import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'

/** Replaces a small file in one step, so that a kill at any moment leaves the old or the new text. */
export function writeState(path: string, text: string): void {
  const next = `${path}.next`
  writeFileSync(next, text, { mode: 0o600 })
  renameSync(next, path)
}

export function readState(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** What was written as JSON; a file that is missing or torn counts as absent. */
export function readJsonState<T>(path: string): T | undefined {
  const text = readState(path)
  if (text === undefined) return undefined
  try {
    return JSON.parse(text) as T
  } catch {
    return undefined
  }
}

export const removeState = (path: string): void => rmSync(path, { force: true })

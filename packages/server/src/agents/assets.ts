import { join } from 'node:path'
import type { Config } from '../platform/config.ts'
import { findKept, type KeptProgram, keepCopy, keepLink } from './kept-programs.ts'

export interface Assets {
  node: { sha256: string }
  runner: { sha256: string }
  /** Absent where machines take the npm that their image has. */
  npm?: { sha256: string }
}

type Files = Pick<Config, 'dataDir' | 'machineNodeFile' | 'machineRunnerFile' | 'machineNpmFile'>

const opened = new WeakMap<object, Promise<Assets>>()

/**
 * What machines are ordered with now. Read and kept once for each configuration; a failure is forgotten, so that the
 * next who asks tries again.
 *
 * A machine may fetch its programs long after it was ordered, so whoever names a hash has kept that program before,
 * and a later version of the server serves it still. Servers that share a data directory serve what any of them has
 * ordered. Servers with directories of their own find each other's in the bucket (`shared-programs.ts`).
 */
export function openAssets(config: Files): Promise<Assets> {
  const known = opened.get(config)
  if (known) return known
  const folders = foldersOf(config)
  const opening = Promise.all([
    // 120 MB that nobody writes into: installing another version puts another file in its place.
    keepLink(config.machineNodeFile, folders.node),
    // A build writes into the same file again.
    keepCopy(config.machineRunnerFile, folders.runner),
    config.machineNpmFile === undefined ? undefined : keepCopy(config.machineNpmFile, folders.npm),
  ])
    .then(([node, runner, npm]) => ({
      node: { sha256: node },
      runner: { sha256: runner },
      ...(npm !== undefined && { npm: { sha256: npm } }),
    }))
    .catch((error: unknown) => {
      opened.delete(config)
      throw error
    })
  opened.set(config, opening)
  return opening
}

/** A program that machines were ordered with, by this server or an earlier one; undefined if it is not kept any more. */
export async function findAsset(config: Files, sha256: string): Promise<KeptProgram | undefined> {
  if (!/^[0-9a-f]{64}$/.test(sha256)) return undefined
  const kept = await findIn(config, sha256)
  if (kept) return kept
  const ours = Object.values(await openAssets(config))
  if (!ours.some((asset) => asset.sha256 === sha256)) return undefined
  const own = await findIn(config, sha256)
  if (own) return own
  // Newer servers on the same directory, or somebody who emptied it, have removed what this one still orders.
  opened.delete(config)
  await openAssets(config)
  return findIn(config, sha256)
}

async function findIn(config: Files, sha256: string): Promise<KeptProgram | undefined> {
  for (const folder of Object.values(foldersOf(config))) {
    const kept = await findKept(folder, sha256)
    if (kept) return kept
  }
  return undefined
}

function foldersOf({ dataDir }: Files): Record<keyof Assets, string> {
  const folder = (kind: string) => join(dataDir, 'assets', kind)
  return { node: folder('node'), runner: folder('runner'), npm: folder('npm') }
}

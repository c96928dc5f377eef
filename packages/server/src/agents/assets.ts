import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Config } from '../platform/config.ts'

/** A program that machines fetch by its hash. */
export interface Asset {
  path: string
  sha256: string
  bytes: number
}

export interface Assets {
  node: Asset
  runner: Asset
}

type Files = Pick<Config, 'machineNodeFile' | 'machineRunnerFile'>

const opened = new WeakMap<object, Promise<Assets>>()

/** Hashed once for each configuration; a failure is forgotten, so that the next who asks tries again. */
export function openAssets(config: Files): Promise<Assets> {
  const known = opened.get(config)
  if (known) return known
  const opening = Promise.all([hashFile(config.machineNodeFile), hashFile(config.machineRunnerFile)])
    .then(([node, runner]) => ({ node, runner }))
    .catch((error: unknown) => {
      opened.delete(config)
      throw error
    })
  opened.set(config, opening)
  return opening
}

async function hashFile(path: string): Promise<Asset> {
  const hash = createHash('sha256')
  const { size } = await stat(path)
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk)
  return { path, sha256: hash.digest('hex'), bytes: size }
}

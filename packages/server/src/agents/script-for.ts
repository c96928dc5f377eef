import type { Deps } from '../deps.ts'
import { openAssets } from './assets.ts'
import { renderMachineScript } from './machine-script.ts'

/** The script of a machine that phones home with this token, with the programs that this server has. */
export async function scriptFor(config: Deps['config'], bootstrapToken: string): Promise<string> {
  const { node, runner } = await openAssets(config)
  return renderMachineScript({
    apiUrl: config.apiUrl,
    bootstrapToken,
    node: { sha256: node.sha256, version: process.versions.node },
    runner: { sha256: runner.sha256 },
  })
}

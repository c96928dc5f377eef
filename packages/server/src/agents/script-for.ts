import { createHash } from 'node:crypto'
import { RUNNER_PORT } from '@agentctl/contract/runner.ts'
import type { Deps } from '../deps.ts'
import { openAssets } from './assets.ts'
import { renderMachineScript } from './machine-script.ts'

/** The script of a machine that phones home with this token, with the programs that this server has. */
export async function scriptFor(config: Deps['config'], bootstrapToken: string): Promise<string> {
  const { node, runner, npm } = await openAssets(config)
  return renderMachineScript({
    apiUrl: config.apiUrl,
    bootstrapToken,
    routers: config.routerAddresses,
    port: RUNNER_PORT,
    node: { sha256: node.sha256, version: process.versions.node },
    runner: { sha256: runner.sha256 },
    ...(npm && { npm: { sha256: npm.sha256 } }),
  })
}

/** What tells whether a machine was made of the script of now; the token in it does not count. */
export async function scriptSha256(config: Deps['config']): Promise<Buffer> {
  return createHash('sha256')
    .update(await scriptFor(config, 'of-nobody'))
    .digest()
}

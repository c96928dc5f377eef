import { existsSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { serve } from '@hono/node-server'
import { afterAll, expect } from 'vitest'
import { eventually, type Person, type TestCloud, testCloud } from './test-cloud.ts'

const runnerFile = fileURLToPath(new URL('../../../runner/dist/runner.cjs', import.meta.url))
export const isRunnerBuilt = existsSync(runnerFile)
if (!isRunnerBuilt) process.stderr.write('Skipped, for the runner is not built: npm run build\n')

/** A cloud that the real runner on each machine reaches. */
export async function realMachines(): Promise<TestCloud> {
  const server = await new Promise<ReturnType<typeof serve>>((resolve) => {
    const listening = serve({ fetch: (request) => app(request), hostname: '127.0.0.1', port: 0 }, () =>
      resolve(listening),
    )
  })
  afterAll(() => {
    server.close()
    if ('closeAllConnections' in server) server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  const cloud = await testCloud({
    apiUrl: `http://127.0.0.1:${port}`,
    nodeFile: process.execPath,
    runnerFile,
  })
  const app = (request: Request) => cloud.app.fetch(request)
  await cloud.workForEver()
  return cloud
}

/** The release of a deploy once it has ended, which has to be well. */
export async function live(
  person: Person,
  deployed: { status: number; body: { release: { id: string } } },
): Promise<{ id: string; timings: Record<string, number> }> {
  expect(deployed).toMatchObject({ status: 202 })
  const release = await eventually(async () => {
    const { body } = await person.call(
      'GET',
      `/v1/releases/${deployed.body.release.id}?waitSeconds=20&status=starting`,
    )
    return body.status === 'pending' || body.status === 'starting' ? undefined : body
  }, 60_000)
  expect(release).toMatchObject({ status: 'live', failure: null })
  return release
}

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startCloudflare } from '@agentctl/localcloud/cloudflare/cloudflare.ts'
import { afterAll } from 'vitest'
import type { Config } from '../../platform/config.ts'
import { Secret } from '../../platform/secret.ts'
import { CLOUDFLARE_FIELDS } from '../processors.ts'
import { openTransport } from '../transport.ts'
import { openHostnames } from './cloudflare.ts'

/** Cloudflare for the tests of one file: the stand-in, and the server's own client of it. */
export async function cloudflareForTests() {
  const folder = mkdtempSync(join(tmpdir(), 'agentctl-test-cloudflare-'))
  const standIn = await startCloudflare({ dataDir: folder, log: () => {} })
  const transport = openTransport({
    processors: [standIn.url, 'http://127.0.0.1:1'],
    infrastructure: [],
    fields: { [standIn.url]: CLOUDFLARE_FIELDS },
  })
  afterAll(async () => {
    await transport.close()
    await standIn.stop()
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  const domains: Config['domains'] = {
    target: `domains.${standIn.zoneName}`,
    dnsServers: [`${standIn.dns.address}:${standIn.dns.port}`],
    edgePort: standIn.edge.port,
    edgeCaFile: standIn.edge.caFile,
  }
  const said: string[] = []
  const say = (message: string): void => void said.push(message)
  const open = (change: Partial<NonNullable<Config['cloudflare']>> = {}, timeoutMs?: number) => {
    const cloudflare = {
      apiToken: new Secret(standIn.apiToken),
      zoneId: standIn.zoneId,
      zoneName: standIn.zoneName,
      fallbackOrigin: standIn.fallbackOrigin,
      environment: 'test',
      baseUrl: standIn.url,
      requestsInFiveMinutes: 1_000_000,
      ...change,
    }
    const log = { info: say, warn: say, error: say }
    return openHostnames({
      config: { agentDomain: standIn.zoneName, domains, cloudflare },
      transport,
      log,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    })
  }
  const control = async (method: string, path: string, body?: object) =>
    fetch(`${standIn.url}/_local${path}`, { method, ...(body ? { body: JSON.stringify(body) } : {}) })
  return {
    standIn,
    domains,
    said,
    open,
    control,
    fault: (fault: object) => control('POST', '/faults', fault),
    record: (name: string, type: string, ...values: string[]) =>
      control('PUT', '/dns', { name, type, values }),
    requests: async (method?: string): Promise<{ method: string; path: string; body: string }[]> => {
      const all = await control('GET', `/requests${method === undefined ? '' : `?method=${method}`}`)
      return (await all.json()) as { method: string; path: string; body: string }[]
    },
  }
}

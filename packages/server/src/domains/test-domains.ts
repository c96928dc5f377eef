import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Domain } from '@agentctl/contract/domains.ts'
import { startCloudflare } from '@agentctl/localcloud/cloudflare/cloudflare.ts'
import { afterAll } from 'vitest'
import { agentWork } from '../agents/operations.ts'
import {
  type Answer,
  briefly,
  eventually,
  type Person,
  type TestCloud,
  testCloud,
} from '../agents/test-cloud.ts'
import type { Deps } from '../deps.ts'
import type { Config } from '../platform/config.ts'
import { newId } from '../platform/ids.ts'
import { Secret } from '../platform/secret.ts'
import { openHostnames } from '../providers/dns/cloudflare.ts'
import { openEdgeProbe } from '../providers/dns/edge-probe.ts'
import { openLiveDns } from '../providers/dns/live-dns.ts'
import { CLOUDFLARE_FIELDS } from '../providers/processors.ts'
import { openTransport } from '../providers/transport.ts'
import { startRouter } from '../router/router.ts'
import { refusedNames } from './domains.ts'
import { domainWork } from './operations.ts'
import { domainRoutes } from './routes.ts'

export interface TestDomains {
  cloud: TestCloud
  deps: TestCloud['deps'] & Pick<Deps, 'hostnames' | 'liveDns' | 'edgeProbe'>
  routerPort: number
  /** What the owner of a name, their DNS and the provider's people do. */
  control(method: string, path: string, body?: unknown): Promise<Response>
  record(name: string, type: string, ...values: string[]): Promise<void>
  noRecord(name: string): Promise<void>
  /** Hostnames that the provider has. */
  hostnames(): Promise<{ id: string; hostname: string; status: string; sslStatus: string }[]>
  /** Moves the clock of the service and of the provider. */
  advance(seconds: number): void
  fault(fault: Record<string, unknown>): Promise<void>
  add(person: Person, agent: string, hostname: string, key?: string): Promise<Answer>
  /** Has the operation of a domain visit it now. */
  look(domainId: string): Promise<void>
  /** The domain once this holds, looked at again and again. */
  until(person: Person, domainId: string, holds: (domain: Domain) => boolean): Promise<Domain>
  /** A new agent with a name that leads to it and is live. */
  live(person: Person, agent: string, hostname: string): Promise<Domain>
  /** Where the CNAME of a name of this agent leads. */
  target(person: Person, agent: string): Promise<string>
}

/** The routes and the work of this room on a real database, against the stand-in of the provider with its DNS and edge. */
export async function testDomains({
  work = true,
  timeoutMs = 10_000,
}: {
  work?: boolean
  /** How long the provider is waited for. */
  timeoutMs?: number
} = {}): Promise<TestDomains> {
  const folder = mkdtempSync(join(tmpdir(), 'agentctl-test-domains-'))
  const standIn = await startCloudflare({ dataDir: folder, log: () => {} })
  const { dns, edge } = standIn
  const more: Pick<Config, 'cloudflare' | 'domains'> = {
    cloudflare: {
      apiToken: new Secret(standIn.apiToken),
      zoneId: standIn.zoneId,
      zoneName: standIn.zoneName,
      fallbackOrigin: standIn.fallbackOrigin,
      environment: 'test',
      baseUrl: standIn.url,
      requestsInFiveMinutes: 1_000_000,
    },
    domains: {
      target: 'domains.agents.localhost',
      dnsServers: [`${dns.address}:${dns.port}`],
      edgePort: edge.port,
      edgeCaFile: edge.caFile,
    },
  }
  const transport = openTransport({
    processors: [standIn.url],
    infrastructure: [],
    fields: { [standIn.url]: CLOUDFLARE_FIELDS },
  })
  const liveDns = openLiveDns(more.domains.dnsServers)
  const extended = (deps: TestCloud['deps']): TestDomains['deps'] => {
    const config = { ...deps.config, ...more, routerPort: 0 }
    const { cloudflare } = more
    return {
      ...deps,
      config,
      hostnames:
        cloudflare &&
        openHostnames({
          config: { ...config, cloudflare },
          transport,
          log: deps.log,
          timeoutMs,
          pause: briefly,
        }),
      liveDns,
      edgeProbe: openEdgeProbe(config.domains, liveDns),
    }
  }
  const cloud = await testCloud({
    mount: (api, deps, stopping) => domainRoutes(api, extended(deps), stopping),
    refusedNames: (deps) => refusedNames(extended(deps)),
  })
  const deps = extended(cloud.deps)
  const router = await startRouter(deps)
  standIn.setOrigin(`http://127.0.0.1:${router.port}`)
  afterAll(async () => {
    await router.close(0)
    await transport.close()
    await standIn.stop()
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  const prepared = await deps.hostnames?.prepare()
  if (!prepared?.isReady) throw new Error(prepared?.troubles.join(' '))
  if (work) await cloud.work({ ...agentWork(deps), ...domainWork(deps) })

  const control = (method: string, path: string, body?: unknown): Promise<Response> =>
    fetch(`${standIn.url}/_local${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  const done = async (answer: Promise<Response>): Promise<void> => {
    const { ok, status } = await answer
    if (!ok) throw new Error(`The stand-in answered ${status}.`)
  }
  let aheadSeconds = 0
  const test: TestDomains = {
    cloud,
    deps,
    routerPort: router.port,
    control,
    record: (name, type, ...values) => done(control('PUT', '/dns', { name, type, values })),
    noRecord: (name) => done(control('DELETE', `/dns?name=${name}`)),
    hostnames: async () => (await control('GET', '/hostnames')).json() as never,
    advance(seconds) {
      aheadSeconds += seconds
      cloud.advance(seconds)
      writeFileSync(join(folder, 'clock'), String(aheadSeconds * 1000))
    },
    fault: (fault) => done(control('POST', '/faults', fault)),
    add: (person, agent, hostname, key = newId('req')) =>
      person.call('POST', '/v1/domains', { agent, hostname }, { 'idempotency-key': key }),
    async look(domainId) {
      await cloud.sql`
        update operations set run_at = clock_timestamp() where subject = ${domainId} and state = 'pending'`
    },
    async until(person, domainId, holds) {
      let last: Domain | undefined
      try {
        return await eventually(async () => {
          const { body } = await person.call('GET', `/v1/domains/${domainId}`)
          last = body
          if (holds(body)) return body
          // Not during a visit: another one would follow it, after what was waited for has come.
          await cloud.sql`
            update operations set run_at = clock_timestamp()
            where subject = ${domainId} and state = 'pending' and lease_until is null`
          return undefined
        }, 25_000)
      } catch (cause) {
        const operations = await cloud.sql`
          select state, step_data, attempts, last_error from operations where subject = ${domainId}`
        throw new Error(`It stayed ${JSON.stringify(last)}, ${JSON.stringify(operations)}.`, { cause })
      }
    },
    async live(person, agent, hostname) {
      await person.call('POST', '/v1/agents', { name: agent })
      const { status, body } = await test.add(person, agent, hostname)
      if (status !== 201) throw new Error(JSON.stringify(body))
      await test.record(hostname, 'CNAME', await test.target(person, agent))
      return test.until(person, body.id, (domain) => domain.status === 'live')
    },
    async target(person, agent) {
      const { body } = await person.call('GET', `/v1/agents/${agent}`)
      return new URL(body.url).hostname
    },
  }
  return test
}

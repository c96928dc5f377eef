import { randomBytes, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { KeptState } from '../kept-state.ts'
import { type StandInOptions, startStandIn } from '../stand-in.ts'
import { openCertificateAuthority } from './certificate-authority.ts'
import { cloudflareApi } from './cloudflare-api.ts'
import { type CloudflareState, INITIAL_STATE } from './cloudflare-state.ts'
import { cloudflareControls } from './controls.ts'
import { EDGE_ADDRESS } from './dns-answers.ts'
import { type DnsServer, startDnsServer } from './dns-server.ts'
import { DnsWorld } from './dns-world.ts'
import { type Edge, startEdge } from './edge.ts'
import { HostnameChecks } from './hostname-checks.ts'

interface CloudflareCredentials {
  apiToken: string
  tokenId: string
  zoneId: string
  accountId: string
  dcvUuid: string
}

export interface CloudflareOptions extends StandInOptions {
  /** The zone at Cloudflare: the domain of the agents' names. */
  zoneName?: string
}

export interface Cloudflare {
  /** Origin; the API is under `/client/v4`, the controls of the stand-in under `/_local`. */
  url: string
  apiToken: string
  zoneId: string
  zoneName: string
  /** A name in the zone with a record that leads to the router; the operator of a platform makes it. */
  fallbackOrigin: string
  /** The DNS of the whole local cloud, over UDP and TCP. */
  dns: { address: string; port: number }
  /** Takes HTTPS for every name that is served, with certificates of the authority in this file. */
  edge: { address: string; port: number; caFile: string }
  /** Where the edge passes visitors on to from now on. */
  setOrigin(url: string): void
  stop(): Promise<void>
}

const LOOK_MS = 250

/** Starts the stand-in for Cloudflare: the API, the DNS and the edge. */
export async function startCloudflare(options: CloudflareOptions): Promise<Cloudflare> {
  const zoneName = options.zoneName ?? 'agents.localhost'
  const fallbackOrigin = `origin.${zoneName}`
  let started:
    | { state: KeptState<CloudflareState>; dnsServer: DnsServer; edge: Edge; caFile: string }
    | undefined
  const { url, credentials, stop } = await startStandIn<CloudflareCredentials>(
    {
      name: 'cloudflare',
      makeCredentials: () => ({
        apiToken: randomBytes(30).toString('base64url'),
        tokenId: randomBytes(16).toString('hex'),
        zoneId: randomBytes(16).toString('hex'),
        accountId: randomBytes(16).toString('hex'),
        dcvUuid: randomBytes(8).toString('hex'),
      }),
      build: async ({ credentials, folder, clock, log }) => {
        const state = new KeptState<CloudflareState>(
          join(folder, 'state.json'),
          structuredClone(INITIAL_STATE),
        )
        if (state.value.createdAt === 0) makeZone(state, clock, fallbackOrigin)
        const dns = new DnsWorld(zoneName, state)
        const checks = new HostnameChecks({ state, clock, dns, dcvUuid: credentials.dcvUuid })
        const authority = await openCertificateAuthority(folder)
        const { ports } = state.value
        const dnsServer = await startDnsServer(dns, ports.dns)
        const edge = await startEdge({ zoneName, state, clock, authority, log }, ports.edge).catch(
          async (error: unknown) => {
            await dnsServer.close()
            throw error
          },
        )
        if (ports.dns !== 0 && ports.dns !== dnsServer.port)
          log(`port ${ports.dns} is taken; DNS is at ${dnsServer.port}`)
        if (ports.edge !== 0 && ports.edge !== edge.port)
          log(`port ${ports.edge} is taken; the edge is at ${edge.port}`)
        state.value.ports = { dns: dnsServer.port, edge: edge.port }
        state.save()
        started = { state, dnsServer, edge, caFile: authority.certificateFile }
        const looking = setInterval(() => checks.tick(), LOOK_MS)
        const zone = { id: credentials.zoneId, name: zoneName, accountId: credentials.accountId }
        const { apiToken: token, tokenId, dcvUuid } = credentials
        return {
          api: cloudflareApi({ token, tokenId, dcvUuid, zone, state, clock, checks }),
          local: cloudflareControls({ state, dns, checks }),
          close: async () => {
            clearInterval(looking)
            await Promise.all([dnsServer.close(), edge.close()])
          },
        }
      },
    },
    options,
  )
  if (!started) throw new Error('The stand-in has not been built.')
  const { state, dnsServer, edge, caFile } = started
  const { apiToken, zoneId } = credentials
  return {
    url,
    apiToken,
    zoneId,
    zoneName,
    fallbackOrigin,
    dns: { address: '127.0.0.1', port: dnsServer.port },
    edge: { address: EDGE_ADDRESS, port: edge.port, caFile },
    setOrigin(originUrl) {
      state.value.originUrl = originUrl
      state.save()
    },
    stop,
  }
}

function makeZone(state: KeptState<CloudflareState>, clock: Clock, fallbackOrigin: string): void {
  const now = clock.now()
  state.value.createdAt = now
  state.value.records.push({
    id: randomUUID().replaceAll('-', ''),
    name: fallbackOrigin,
    type: 'A',
    content: '127.0.0.1',
    proxied: true,
    ttl: 1,
    comment: null,
    tags: [],
    createdAt: now,
    modifiedAt: now,
  })
  state.save()
}

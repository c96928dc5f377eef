import { type Cloudflare, startCloudflare } from '@agentctl/localcloud/cloudflare/cloudflare.ts'
import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import { ORPHAN_SECONDS } from '@agentctl/server/agents/sweep.ts'
import type { World } from './world.ts'

/** A hostname as the provider has it. */
export interface ZoneHostname {
  id: string
  hostname: string
  status: string
}

/** A zone of one world's own, with the settings of its servers. */
export async function openZone(
  home: string,
  routerPort: number,
): Promise<{ cloudflare: Cloudflare; environment: Record<string, string> }> {
  const cloudflare = await startCloudflare({ dataDir: home, log: () => {} })
  cloudflare.setOrigin(`http://127.0.0.1:${routerPort}`)
  return {
    cloudflare,
    environment: {
      AGENT_DOMAIN: cloudflare.zoneName,
      CLOUDFLARE_API_TOKEN: cloudflare.apiToken,
      CLOUDFLARE_ZONE_ID: cloudflare.zoneId,
      CLOUDFLARE_ZONE_NAME: cloudflare.zoneName,
      CLOUDFLARE_FALLBACK_ORIGIN: cloudflare.fallbackOrigin,
      CLOUDFLARE_BASE_URL: cloudflare.url,
      // One worker attaches here in a minute what others do in a day.
      CLOUDFLARE_REQUESTS_IN_FIVE_MINUTES: '1000000',
      DNS_SERVERS: `${cloudflare.dns.address}:${cloudflare.dns.port}`,
      EDGE_PORT: String(cloudflare.edge.port),
      EDGE_CA_FILE: cloudflare.edge.caFile,
    },
  }
}

export function cloudflareOf({ cloudflare }: World): Cloudflare {
  if (!cloudflare) throw new Error('This world takes no domains.')
  return cloudflare
}

async function control(world: World, method: string, path: string, body?: object): Promise<Response> {
  const answer = await fetch(`${cloudflareOf(world).url}/_local${path}`, {
    method,
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  if (!answer.ok) throw new Error(`The stand-in answered ${answer.status} to ${method} ${path}.`)
  return answer
}

export async function listHostnames(world: World): Promise<ZoneHostname[]> {
  const answer = await control(world, 'GET', '/hostnames')
  return (await answer.json()) as ZoneHostname[]
}

/** What its owner puts into the DNS of a name. */
export async function pointName(world: World, name: string, target: string): Promise<void> {
  await control(world, 'PUT', '/dns', { name, type: 'CNAME', values: [target] })
}

/** As the provider does with names that are known for abuse. */
export async function blockHostname(world: World, name: string): Promise<void> {
  await control(world, 'POST', `/hostnames/${name}`, { status: 'blocked' })
}

/** Somebody deletes it at the provider, behind our back. */
export async function deleteHostname(world: World, name: string): Promise<void> {
  const { url, zoneId, apiToken } = cloudflareOf(world)
  const hostname = (await listHostnames(world)).find((one) => one.hostname === name)
  await fetch(`${url}/client/v4/zones/${zoneId}/custom_hostnames/${hostname?.id}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${apiToken}` },
  })
}

/** The provider looks at the DNS of every name now. */
export async function lookNow(world: World): Promise<void> {
  await control(world, 'POST', '/checks')
}

const SWEEP_MS = 5_000

/** Has the sweeper look twice at hostnames that no row holds, with the time between that it wants. */
export async function sweepHostnames(world: World): Promise<void> {
  const { sql } = world
  const look = () => world.visit('sweep-hostnames')
  const sightings = async (): Promise<number> =>
    (await sql`select 1 from orphan_sightings where kind = 'hostname'`).length
  await look()
  if ((await sightings()) === 0) return
  await world.advance(ORPHAN_SECONDS + 1)
  await look()
  await waitUntil(async () => (await sightings()) === 0, { withinMs: SWEEP_MS, everyMs: 20 })
}

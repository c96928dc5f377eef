import type { VultrAnswer, VultrMethod } from './vultr-call.ts'

/** What all machines of an environment share. */
export interface MachineNetwork {
  vpcId: string
  firewallGroupId: string
}

export interface SharedNetwork {
  id: string
  description: string
  region?: string
  date_created: string
  instance_count?: number
}

export interface SpareNetwork {
  kind: 'vpc' | 'firewall'
  id: string
  label: string
}

/** Throws `provider_unavailable` when it is not answered. */
export interface NetworkCalls {
  list(path: '/vpcs' | '/firewalls', key: 'vpcs' | 'firewall_groups'): Promise<SharedNetwork[]>
  call(method: VultrMethod, path: string, body?: unknown): Promise<VultrAnswer>
  success(answer: VultrAnswer): unknown
}

/**
 * The private network and the firewall group of this environment, known by their description. Looked for first: what
 * operators or another server have made is taken, and of several the oldest, by whoever looks.
 */
export async function ensureNetwork(
  calls: NetworkCalls,
  { region, description }: { region: string; description: string },
): Promise<MachineNetwork> {
  const vpcs = async () => (await calls.list('/vpcs', 'vpcs')).filter(isOurs(description, region))
  const groups = async () => (await calls.list('/firewalls', 'firewall_groups')).filter(isOurs(description))
  const vpc = await findOrMake(vpcs, async () => {
    calls.success(await calls.call('POST', '/vpcs', { region, description }))
  })
  const group = await findOrMake(groups, async () => {
    calls.success(await calls.call('POST', '/firewalls', { description }))
  })
  // A group without rules lets nothing in from outside, and nothing is all that machines need from there.
  const path = `/firewalls/${encodeURIComponent(group.id)}/rules`
  const answer = calls.success(await calls.call('GET', `${path}?per_page=500`)) as {
    firewall_rules: { id: number }[]
  }
  for (const { id } of answer.firewall_rules) calls.success(await calls.call('DELETE', `${path}/${id}`))
  return { vpcId: vpc.id, firewallGroupId: group.id }
}

/** Those of this environment beyond the ones in use: two servers that made them at once, or an answer that was lost. */
export async function listSpareNetworks(
  calls: NetworkCalls,
  { region, description }: { region: string; description: string },
): Promise<SpareNetwork[]> {
  const vpcs = (await calls.list('/vpcs', 'vpcs')).filter(isOurs(description, region)).sort(oldestFirst)
  const groups = (await calls.list('/firewalls', 'firewall_groups'))
    .filter(isOurs(description))
    .sort(oldestFirst)
  const spare =
    (kind: 'vpc' | 'firewall') =>
    ({ id }: SharedNetwork) => ({ kind, id, label: description })
  // A group that goes leaves its machines without any; a network in use the provider itself keeps.
  const unused = groups.slice(1).filter((group) => group.instance_count === 0)
  return [...vpcs.slice(1).map(spare('vpc')), ...unused.map(spare('firewall'))]
}

async function findOrMake(
  list: () => Promise<SharedNetwork[]>,
  make: () => Promise<void>,
): Promise<SharedNetwork> {
  const [found] = (await list()).sort(oldestFirst)
  if (found) return found
  await make()
  // Another server may have made one at the same moment: both take the older one.
  const [made] = (await list()).sort(oldestFirst)
  if (!made) throw new Error('The provider does not list what it has made.')
  return made
}

const isOurs =
  (description: string, region?: string) =>
  (shared: SharedNetwork): boolean =>
    shared.description === description && (region === undefined || shared.region === region)

function oldestFirst(a: SharedNetwork, b: SharedNetwork): number {
  return a.date_created.localeCompare(b.date_created) || (a.id < b.id ? -1 : 1)
}

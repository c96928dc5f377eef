import { Problem } from '../../platform/problem.ts'
import { expectAnswer, expectSuccess, isMissing, type VultrAnswer, type VultrMethod } from './vultr-call.ts'
import { FirewallRules, type SharedNetwork } from './vultr-shapes.ts'

/** What all machines of an environment share. */
export interface MachineNetwork {
  vpcId: string
  firewallGroupId: string
}

export interface SpareNetwork {
  kind: 'vpc' | 'firewall'
  id: string
  label: string
}

/** Throws `provider_unavailable` when it is not answered. */
export interface NetworkCalls {
  listVpcs(): Promise<SharedNetwork[]>
  listFirewallGroups(): Promise<SharedNetwork[]>
  call(method: VultrMethod, path: string, body?: unknown): Promise<VultrAnswer>
}

/**
 * The private network and the firewall group of this environment, known by their description. Looked for first: what
 * operators or another server have made is taken, and of several the oldest, by whoever looks.
 */
export async function ensureNetwork(
  calls: NetworkCalls,
  { region, description }: { region: string; description: string },
): Promise<MachineNetwork> {
  const vpcs = async () => (await calls.listVpcs()).filter(isOurs(description, region))
  const groups = async () => (await calls.listFirewallGroups()).filter(isOurs(description))
  const vpc = await findOrMake(vpcs, async () => {
    expectSuccess(await calls.call('POST', '/vpcs', { region, description }))
  })
  const group = await findOrMake(groups, async () => {
    expectSuccess(await calls.call('POST', '/firewalls', { description }))
  })
  // A group without rules lets nothing in from outside, and nothing is all that machines need from there.
  const path = `/firewalls/${encodeURIComponent(group.id)}/rules`
  const open = expectAnswer(await calls.call('GET', `${path}?per_page=500`), FirewallRules)
  for (const { id } of open.firewall_rules) {
    const closed = await calls.call('DELETE', `${path}/${id}`)
    if (!isMissing(closed)) expectSuccess(closed)
  }
  return { vpcId: vpc.id, firewallGroupId: group.id }
}

/** Those of this environment beyond the ones in use: two servers that made them at once, or an answer that was lost. */
export async function listSpareNetworks(
  calls: NetworkCalls,
  { region, description }: { region: string; description: string },
): Promise<SpareNetwork[]> {
  const vpcs = (await calls.listVpcs()).filter(isOurs(description, region)).sort(oldestFirst)
  const groups = (await calls.listFirewallGroups()).filter(isOurs(description)).sort(oldestFirst)
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
  if (!made) throw new Problem('provider_unavailable', 'The provider does not list what it has made.')
  return made
}

const isOurs =
  (description: string, region?: string) =>
  (shared: SharedNetwork): boolean =>
    shared.description === description && (region === undefined || shared.region === region)

function oldestFirst(a: SharedNetwork, b: SharedNetwork): number {
  return a.date_created.localeCompare(b.date_created) || (a.id < b.id ? -1 : 1)
}

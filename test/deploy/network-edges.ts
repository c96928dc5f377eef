import { selects } from './manifest-rules.ts'
import { type Manifest, podsOf } from './manifests.ts'

/**
 * Who may talk to whom, one line for each of our pods, direction, peer and port, as a network that keeps to the policies
 * would let it. A direction that no policy speaks of is open to all, as Kubernetes has it. Peers are said as widely as
 * the policies say them, so that no widening looks like what was meant.
 */
export function edges(all: readonly Manifest[]): string[] {
  const policies = all.filter(({ kind }) => kind === 'NetworkPolicy')
  const lines = all.filter(podsOf).flatMap((workload) => {
    const { name, namespace } = workload.metadata
    const { metadata, spec } = podsOf(workload)
    // Policies do not hold for what is on the network of its node.
    if (spec.hostNetwork) return [`everybody <-> ${name} all ports`]
    const own = policies.filter(
      (policy) =>
        policy.metadata.namespace === namespace && selects(policy.spec.podSelector ?? {}, metadata.labels),
    )
    const direction = (
      type: 'Ingress' | 'Egress',
      line: (peer: string, port: string) => string,
    ): string[] => {
      const spoken = own.filter((policy) => typesOf(policy).includes(type))
      if (spoken.length === 0) return [line('everybody', 'all ports')]
      const rules = spoken.flatMap(
        ({ spec: { ingress, egress } }) => (type === 'Ingress' ? ingress : egress) ?? [],
      )
      return rules.flatMap((rule: Manifest) =>
        peersOf(rule.from ?? rule.to).flatMap((peer) =>
          portsOf(rule.ports, type === 'Ingress' ? spec : undefined).map((port) => line(peer, port)),
        ),
      )
    }
    return [
      ...direction('Ingress', (peer, port) => `${peer} -> ${name} ${port}`),
      ...direction('Egress', (peer, port) => `${name} -> ${peer} ${port}`),
    ]
  })
  return [...new Set(lines)].sort()
}

/** Without types, a policy is about what comes in, and about what goes out where it has rules for that. */
const typesOf = ({ spec }: Manifest): string[] =>
  spec.policyTypes ?? ['Ingress', ...(spec.egress ? ['Egress'] : [])]

function peersOf(peers: readonly Manifest[] | undefined): string[] {
  if (!peers?.length) return ['everybody']
  return peers.map(({ ipBlock, namespaceSelector, podSelector }) => {
    if (ipBlock) return [ipBlock.cidr, ...(ipBlock.except ?? []).map((cidr: string) => `-${cidr}`)].join(' ')
    const where = namespaceSelector ? `namespaces ${said(namespaceSelector)}` : 'our namespace'
    return `pods ${said(podSelector ?? {})} of ${where}`
  })
}

/** A selector without conditions selects all. */
function said({ matchLabels = {}, matchExpressions = [] }: Manifest): string {
  const conditions = [
    ...Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`),
    ...matchExpressions.map((one: Manifest) => `${one.key} ${one.operator} ${(one.values ?? []).join(',')}`),
  ]
  return conditions.length === 0 ? '(all)' : conditions.join(' & ')
}

/** Names of ports are those of the pods that are reached. */
function portsOf(ports: readonly Manifest[] | undefined, reached: Manifest | undefined): string[] {
  if (!ports?.length) return ['all ports']
  const named = reached?.containers.flatMap((container: Manifest) => container.ports ?? []) ?? []
  return ports.map(({ protocol = 'TCP', port, endPort }) => {
    const number = named.find(({ name }: Manifest) => name === port)?.containerPort ?? port ?? 'all ports'
    return `${protocol} ${number}${endPort === undefined ? '' : `-${endPort}`}`
  })
}

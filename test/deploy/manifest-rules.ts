import { environmentOf, type Manifest, podsOf } from './manifests.ts'

/** Who holds what: each of these does, and every other holder is a finding. */
const HOLDERS: Readonly<Record<string, readonly string[]>> = {
  VULTR_API_KEY: ['worker'],
  DATABASE_URL: ['migrate'],
  DATABASE_OPERATOR_URL: ['api'],
  OPERATORS: ['api'],
  TWILIO_AUTH_TOKEN: ['api'],
  STRIPE_SECRET_KEY: ['api', 'worker'],
  CLOUDFLARE_API_TOKEN: ['worker'],
}

/** What is wrong with manifests that Kubernetes itself would take. */
export function findings(all: readonly Manifest[]): string[] {
  const workloads = all.filter((manifest) => podsOf(manifest))
  return [
    ...workloads.flatMap((workload) => [
      ...ofPods(workload),
      ...ofContainer(workload),
      ...ofSecrets(workload, all),
      ...(workload.kind === 'Deployment' ? ofDeployment(workload, all) : []),
    ]),
    ...ofNetwork(all, workloads),
    ...ofServices(all, workloads),
  ]
}

function ofPods(workload: Manifest): string[] {
  const { spec } = podsOf(workload)
  const { securityContext = {} } = spec
  return wrong(workload, {
    'runs as root': securityContext.runAsNonRoot !== true || !(securityContext.runAsUser > 0),
    'has no seccomp profile': securityContext.seccompProfile?.type !== 'RuntimeDefault',
    'holds a token of Kubernetes': spec.automountServiceAccountToken !== false,
    'shares something with its node': spec.hostNetwork || spec.hostPID || spec.hostIPC,
    'mounts a path of its node': spec.volumes?.some((volume: Manifest) => volume.hostPath),
  })
}

function ofContainer(workload: Manifest): string[] {
  return podsOf(workload).spec.containers.flatMap((container: Manifest) => {
    const { securityContext = {}, resources = {} } = container
    const bounds = ['cpu', 'memory', 'ephemeral-storage']
    return wrong(workload, {
      'runs as root': securityContext.runAsUser === 0 || securityContext.runAsNonRoot === false,
      'can write to its image': securityContext.readOnlyRootFilesystem !== true,
      'may gain privileges': securityContext.allowPrivilegeEscalation !== false || securityContext.privileged,
      'keeps capabilities':
        securityContext.capabilities?.drop?.[0] !== 'ALL' || securityContext.capabilities.add,
      'has no limits': bounds.some((name) => !resources.limits?.[name]),
      'requests nothing': bounds.some((name) => !resources.requests?.[name]),
      'has an image that is not named by its digest': !/@sha256:[0-9a-f]{64}$/.test(container.image),
    })
  })
}

function ofSecrets(workload: Manifest, all: readonly Manifest[]): string[] {
  const { name } = workload.metadata
  const environment = environmentOf(workload, all)
  const direct = podsOf(workload).spec.containers.flatMap((container: Manifest) => container.env ?? [])
  const held = [...Object.keys(environment), ...direct.map((entry: Manifest) => entry.name)]
  const wanted = Object.keys(HOLDERS).filter((key) => HOLDERS[key]?.includes(name))
  return [
    ...held.filter((key) => HOLDERS[key] && !HOLDERS[key].includes(name)).map((key) => `holds ${key}`),
    ...wanted.filter((key) => !held.includes(key)).map((key) => `lacks ${key}`),
  ].map((what) => `${workload.kind} ${name}: ${what}`)
}

function ofDeployment(workload: Manifest, all: readonly Manifest[]): string[] {
  const { selector, replicas, strategy } = workload.spec
  const { metadata, spec } = podsOf(workload)
  const [container] = spec.containers
  const budget = all.some(
    (other) =>
      other.kind === 'PodDisruptionBudget' && matches(other.spec.selector?.matchLabels, metadata.labels),
  )
  const probes = ['startupProbe', 'livenessProbe', 'readinessProbe'].map((name) => container[name])
  return wrong(workload, {
    'selects no pod of its own': !matches(selector?.matchLabels, metadata.labels),
    'has one server only': !(replicas >= 2),
    'has fewer servers while it is rolled out': strategy?.rollingUpdate?.maxUnavailable !== 0,
    'is not spread over nodes': !spec.topologySpreadConstraints?.length,
    'has no budget for disruptions': !budget,
    'is not probed': probes.some((probe) => !probe),
    'is started anew for what only makes it not ready':
      container.livenessProbe?.httpGet?.path === container.readinessProbe?.httpGet?.path,
  })
}

function ofNetwork(all: readonly Manifest[], workloads: readonly Manifest[]): string[] {
  const policies = all.filter(({ kind }) => kind === 'NetworkPolicy')
  const denies = policies.some(
    ({ spec }) =>
      Object.keys(spec.podSelector).length === 0 &&
      ['Ingress', 'Egress'].every((type) => spec.policyTypes?.includes(type)) &&
      !spec.ingress &&
      !spec.egress,
  )
  const idle = policies.filter(
    ({ spec }) => !workloads.some((workload) => selects(spec.podSelector, podsOf(workload).metadata.labels)),
  )
  const open = policies.flatMap((policy) =>
    [...(policy.spec.ingress ?? []), ...(policy.spec.egress ?? [])]
      .filter((rule: Manifest) => !rule.ports?.length || !(rule.from ?? rule.to)?.length)
      .map(() => `NetworkPolicy ${policy.metadata.name}: opens more than named ports to named peers`),
  )
  return [
    ...(denies ? [] : ['No NetworkPolicy denies what the others do not open']),
    ...idle.map((policy) => `NetworkPolicy ${policy.metadata.name}: selects no pod`),
    ...open,
  ]
}

function ofServices(all: readonly Manifest[], workloads: readonly Manifest[]): string[] {
  return all
    .filter(({ kind }) => kind === 'Service')
    .flatMap((service) => {
      const chosen = workloads.filter((workload) =>
        matches(service.spec.selector, podsOf(workload).metadata.labels),
      )
      const ports = chosen.flatMap((workload) => podsOf(workload).spec.containers[0].ports ?? [])
      return wrong(service, {
        'leads to no pod': chosen.length !== 1,
        'leads to no port': service.spec.ports.some(
          (port: Manifest) => !ports.some(({ name }) => name === port.targetPort),
        ),
        'is open to the world by itself': (service.spec.type ?? 'ClusterIP') !== 'ClusterIP',
      })
    })
}

type Labels = Record<string, string>

const matches = (wanted: Labels | undefined, labels: Labels = {}): boolean =>
  wanted !== undefined &&
  Object.keys(wanted).length > 0 &&
  Object.entries(wanted).every(([key, value]) => labels[key] === value)

export const selects = (selector: Manifest, labels: Labels): boolean =>
  Object.entries<string>(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value) &&
  (selector.matchExpressions ?? []).every(
    ({ key, operator, values }: Manifest) => operator === 'In' && values.includes(labels[key]),
  )

function wrong(manifest: Manifest, checks: Record<string, unknown>): string[] {
  return Object.entries(checks)
    .filter(([, isWrong]) => isWrong)
    .map(([what]) => `${manifest.kind} ${manifest.metadata.name}: ${what}`)
}

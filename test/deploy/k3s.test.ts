import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { RUNNER_PORT } from '@agentctl/contract/runner-constants.ts'
import { type Role, readConfig, readOwnerUrl } from '@agentctl/server/platform/config.ts'
import { beforeAll, describe, expect, test } from 'vitest'
import { strictValidator } from './kubernetes-schema.ts'
import { findings } from './manifest-rules.ts'
import { environmentOf, type Manifest, parseManifests, podsOf, renderProduction } from './manifests.ts'
import { edges } from './network-edges.ts'

const specs = resolve(process.env.AGENTCTL_SPECS_DIR || join(import.meta.dirname, '../../../shared/specs'))
const definitionsFile = join(specs, 'kubernetes-definitions.json')
const hasKubectl = (() => {
  try {
    execFileSync('kubectl', ['kustomize', '--help'], { stdio: 'ignore' })
    return true
  } catch {
    process.stdout.write(
      'There is no kubectl (apt-get install kubernetes-client): deploy/k3s is not checked.\n',
    )
    return false
  }
})()
const hasDefinitions = existsSync(definitionsFile)
if (!hasDefinitions)
  process.stdout.write("Kubernetes' definitions are not here: only our own rules are checked.\n")

describe.runIf(hasKubectl)('deploy/k3s', () => {
  let rendered: string
  let manifests: Manifest[]
  beforeAll(() => {
    rendered = renderProduction()
    manifests = parseManifests(rendered)
  })
  const named = (kind: string, name: string): Manifest =>
    manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name)

  test('makes what a platform consists of', () => {
    const kinds = Map.groupBy(manifests, ({ kind }) => kind)
    expect(kinds.get('Deployment')?.map(({ metadata }) => metadata.name)).toEqual(['api', 'router', 'worker'])
    expect(kinds.get('Job')?.map(({ metadata }) => metadata.name)).toEqual(['migrate'])
    expect(kinds.get('NetworkPolicy')?.length).toBe(6)
    expect(kinds.get('PodDisruptionBudget')?.length).toBe(3)
    for (const { kind, metadata } of manifests) {
      if (kind !== 'Namespace') expect(metadata.namespace).toBe('agentctl')
    }
  })

  test('keeps to our rules', () => expect(findings(manifests)).toEqual([]))

  test.each<[Role]>([['api'], ['router'], ['worker']])('gives %s all the settings that it needs', (role) => {
    const folder = mkdtempSync(join(tmpdir(), 'agentctl-keys-'))
    const deployment = named('Deployment', role)
    const environment = environmentOf(deployment, manifests)
    // Files of the image and of volumes have the place of files here.
    const sources = podsOf(deployment).spec.volumes.find(({ name }: Manifest) => name === 'keys').projected
      .sources
    const mounted = sources.flatMap(({ secret }: Manifest) =>
      Object.entries<string>(
        manifests.find(({ kind, metadata }) => kind === 'Secret' && metadata.name === secret.name).data,
      ),
    )
    for (const [name, content] of mounted) writeFileSync(join(folder, name), Buffer.from(content, 'base64'))
    const authority = join(folder, 'ca.pem')
    writeFileSync(authority, 'PEM')
    for (const [name, value] of Object.entries(environment)) {
      environment[name] = value.replace('/database-ca/ca.pem', authority).replace(/^\/keys\//, `${folder}/`)
    }
    const config = readConfig(environment, [role])
    expect(config).toMatchObject({ host: '0.0.0.0', healthPort: 9090, databaseUrl: undefined })
    const isServing = role !== 'router'
    expect([config.cloudflare, config.stripe, config.blobs].map((part) => part !== undefined)).toEqual(
      Array(3).fill(isServing),
    )
    expect(config.operators.map(({ name }) => name)).toEqual(role === 'api' ? ['alice'] : [])
    expect(config.databaseOperatorUrl !== undefined).toBe(role === 'api')
    expect(podsOf(deployment).spec.containers[0].args).toEqual([`--roles=${role}`])
    rmSync(folder, { recursive: true })
  })

  test('gives the job that migrates the URL of the owner and nothing else', () => {
    const environment = environmentOf(named('Job', 'migrate'), manifests)
    expect(Object.keys(environment)).toEqual(['DATABASE_URL'])
    const url = environment.DATABASE_URL?.replace(/&sslrootcert=[^&]*/, '')
    expect(readOwnerUrl({ DATABASE_URL: url })).toContain('sslmode=verify-full')
  })

  test('shows its certificate also under names that it does not have, as customers have them', () => {
    const [store, ...others] = manifests.filter(({ apiVersion }) => apiVersion.startsWith('traefik.io/'))
    expect(others).toEqual([])
    const { secretName } = store.spec.defaultCertificate
    expect(store).toEqual({
      apiVersion: 'traefik.io/v1alpha1',
      kind: 'TLSStore',
      metadata: { name: 'default', namespace: 'agentctl' },
      spec: { defaultCertificate: { secretName } },
    })
    expect(named('Secret', secretName).type).toBe('kubernetes.io/tls')
    expect(named('Ingress', 'agents').spec.tls[0].secretName).toBe(secretName)
  })

  const traefik = 'pods app.kubernetes.io/name=traefik of namespaces kubernetes.io/metadata.name=kube-system'
  const prometheus =
    'pods app.kubernetes.io/name=prometheus of namespaces kubernetes.io/metadata.name=monitoring'
  const names = 'pods k8s-app=kube-dns of namespaces kubernetes.io/metadata.name=kube-system'
  const internet = '0.0.0.0/0 -10.0.0.0/8 -172.16.0.0/12 -192.168.0.0/16 -169.254.0.0/16 -100.64.0.0/10'
  const privateNetwork = '10.64.0.0/20'
  /** What each needs, and why; whoever opens more has to say so here. */
  const allowed = [
    // Visitors come by Traefik only; the worker and the migration are called by nobody.
    `${traefik} -> api TCP 8787`,
    `${traefik} -> router TCP 8788`,
    ...['api', 'router', 'worker'].flatMap((role) => [
      `${prometheus} -> ${role} TCP 9090`,
      // The database, by its name.
      `${role} -> ${names} UDP 53`,
      `${role} -> ${names} TCP 53`,
      `${role} -> ${privateNetwork} TCP 16751`,
    ]),
    `migrate -> ${names} UDP 53`,
    `migrate -> ${names} TCP 53`,
    `migrate -> ${privateNetwork} TCP 16751`,
    // Providers, and the DNS of customers' names as everybody sees it: the api checks it when asked, the worker always.
    ...['api', 'worker'].flatMap((role) =>
      ['TCP 443', 'UDP 53', 'TCP 53'].map((port) => `${role} -> ${internet} ${port}`),
    ),
    `router -> ${privateNetwork} TCP ${RUNNER_PORT}`,
  ].sort()

  test('lets talk to each other who has to, and nobody else', () => {
    expect(edges(manifests)).toEqual(allowed)
    const { DATABASE_APP_URL = '' } = environmentOf(named('Deployment', 'api'), manifests)
    expect(new URL(DATABASE_APP_URL).port).toBe('16751')
    // A port that is told by a name that no container has would be none.
    expect(edges(manifests).filter((edge) => /(TCP|UDP) [^\d]/.test(edge))).toEqual([])
  })

  test.each<[string, (get: (name: string) => Manifest, all: Manifest[]) => void]>([
    [
      'all namespaces for one',
      (get) => {
        get('from-the-edge').spec.ingress[0].from[0].namespaceSelector = {}
      },
    ],
    [
      'all pods for one',
      (get) => {
        delete get('from-monitoring').spec.ingress[0].from[0].podSelector
      },
    ],
    [
      'nobody named, who is everybody',
      (get) => {
        delete get('from-the-edge').spec.ingress[0].from
      },
    ],
    [
      'one more who is named',
      (get) => {
        get('from-the-edge').spec.ingress[0].from.push({ podSelector: {} })
      },
    ],
    [
      'all addresses for those of the private network',
      (get) => {
        get('to-machines').spec.egress[0].to[0].ipBlock.cidr = '0.0.0.0/0'
      },
    ],
    [
      'private addresses with the internet',
      (get) => {
        get('to-providers').spec.egress[0].to[0].ipBlock.except.pop()
      },
    ],
    [
      'all ports for one',
      (get) => {
        delete get('from-the-edge').spec.ingress[0].ports
      },
    ],
    [
      'a range of ports for one',
      (get) => {
        get('to-machines').spec.egress[0].ports[0].endPort = 65535
      },
    ],
    [
      'more pods of ours',
      (get) => {
        get('to-providers').spec.podSelector = {}
      },
    ],
    [
      'a policy that opens everything',
      (_, all) => {
        const metadata = { name: 'open', namespace: 'agentctl' }
        all.push({ kind: 'NetworkPolicy', metadata, spec: { podSelector: {}, ingress: [{}] } })
      },
    ],
    [
      'no policy that denies',
      (get) => {
        get('deny-all').spec.policyTypes = ['Ingress']
        get('names-and-database').spec.podSelector.matchLabels = { a: 'b' }
      },
    ],
    [
      'the network of the node for its own',
      (_, all) => {
        const worker = all.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'worker')
        podsOf(worker).spec.hostNetwork = true
      },
    ],
  ])('a policy that is too wide is found: %s', (_, change) => {
    const copies = structuredClone(manifests)
    change(
      (name) => copies.find(({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name === name),
      copies,
    )
    const found = edges(copies)
    expect(found.filter((edge) => !allowed.includes(edge))).not.toEqual([])
  })

  test('names nodes one by one as those whom machines let in: other addresses of their network are of machines', () => {
    const { ROUTER_ADDRESSES = '' } = environmentOf(named('Deployment', 'worker'), manifests)
    for (const address of ROUTER_ADDRESSES.split(',')) expect(isIPv4(address), address).toBe(true)
  })

  test('has no secret in it, only examples', () => {
    for (const manifest of manifests.filter(({ kind }) => kind === 'Secret')) {
      for (const value of Object.values<string>(manifest.data)) {
        const text = Buffer.from(value, 'base64').toString()
        expect(text).toMatch(
          /…|PASSWORD|PEM|random bytes|0x0{40}|^alice=0{64}$|^[a-z0-9.-]+(\.example\.(com|net))?$|^8453$|^https:\/\/sel1/,
        )
      }
    }
  })

  test.runIf(hasDefinitions)("is what Kubernetes' definitions say, to the last field", () => {
    const { definitions } = JSON.parse(readFileSync(definitionsFile, 'utf8'))
    const validate = strictValidator(definitions)
    const kubernetesOwn = manifests.filter(({ apiVersion }) => apiVersion !== 'traefik.io/v1alpha1')
    expect(kubernetesOwn.flatMap(validate)).toEqual([])
    const plant = (kind: string, change: (manifest: Manifest) => void): string[] => {
      const copy = structuredClone(named(kind, 'api'))
      change(copy)
      return validate(copy)
    }
    const container = (manifest: Manifest): Manifest => podsOf(manifest).spec.containers[0]
    expect(
      plant('Deployment', (it) => {
        it.spec.replica = 2
      }),
    ).not.toEqual([])
    expect(
      plant('Deployment', (it) => {
        delete it.spec.selector
      }),
    ).not.toEqual([])
    expect(
      plant('Deployment', (it) => {
        container(it).readinessProbe.httpGet.pth = '/'
      }),
    ).not.toEqual([])
    expect(
      plant('Deployment', (it) => {
        container(it).ports[0].containerPort = '8787'
      }),
    ).not.toEqual([])
    expect(
      plant('Service', (it) => {
        it.spec.ports[0].taregtPort = 1
      }),
    ).not.toEqual([])
    expect(
      plant('Deployment', (it) => {
        it.apiVersion = 'apps/v1beta1'
      }),
    ).not.toEqual([])
  })

  describe('a planted fault is found:', () => {
    type Change = (get: (kind: string, name: string) => Manifest, all: Manifest[]) => void
    const container = (workload: Manifest): Manifest => podsOf(workload).spec.containers[0]
    test.each<[string, Change]>([
      [
        'runs as root',
        (get) => {
          podsOf(get('Deployment', 'api')).spec.securityContext.runAsNonRoot = false
        },
      ],
      [
        'runs as root',
        (get) => {
          container(get('Deployment', 'router')).securityContext.runAsUser = 0
        },
      ],
      [
        'has no limits',
        (get) => {
          delete container(get('Job', 'migrate')).resources.limits.memory
        },
      ],
      [
        'can write to its image',
        (get) => {
          delete container(get('Deployment', 'worker')).securityContext.readOnlyRootFilesystem
        },
      ],
      [
        'keeps capabilities',
        (get) => {
          container(get('Deployment', 'api')).securityContext.capabilities.add = ['NET_ADMIN']
        },
      ],
      [
        'holds VULTR_API_KEY',
        (get) => {
          container(get('Deployment', 'api')).envFrom.push(container(get('Deployment', 'worker')).envFrom[2])
        },
      ],
      [
        'holds VULTR_API_KEY',
        (get) => {
          container(get('Deployment', 'router')).env = [{ name: 'VULTR_API_KEY', value: 'x' }]
        },
      ],
      [
        'holds OPERATORS',
        (get) => {
          container(get('Deployment', 'router')).env = [{ name: 'OPERATORS', value: 'x' }]
        },
      ],
      [
        'lacks OPERATORS',
        (get) => {
          const { envFrom } = container(get('Deployment', 'api'))
          envFrom.splice(
            envFrom.findIndex((entry: Manifest) => entry.secretRef?.name.startsWith('operators')),
            1,
          )
        },
      ],
      [
        'holds DATABASE_URL',
        (get) => {
          container(get('Deployment', 'worker')).envFrom.push(container(get('Job', 'migrate')).envFrom[0])
        },
      ],
      [
        'selects no pod of its own',
        (get) => {
          get('Deployment', 'api').spec.selector = {}
        },
      ],
      [
        'not named by its digest',
        (get) => {
          container(get('Deployment', 'api')).image = 'agentctl:latest'
        },
      ],
      [
        'is not probed',
        (get) => {
          delete container(get('Deployment', 'worker')).livenessProbe
        },
      ],
      [
        'started anew for what only makes it not ready',
        (get) => {
          container(get('Deployment', 'api')).livenessProbe.httpGet.path = '/ready'
        },
      ],
      [
        'is not spread',
        (get) => {
          delete podsOf(get('Deployment', 'router')).spec.topologySpreadConstraints
        },
      ],
      [
        'has no budget',
        (get) => {
          get('PodDisruptionBudget', 'api').spec.selector.matchLabels = { a: 'b' }
        },
      ],
      [
        'No NetworkPolicy denies',
        (get) => {
          get('NetworkPolicy', 'deny-all').spec.policyTypes = ['Ingress']
        },
      ],
      [
        'selects no pod',
        (get) => {
          get('NetworkPolicy', 'to-machines').spec.podSelector.matchLabels = { a: 'b' }
        },
      ],
      [
        'opens more',
        (get) => {
          delete get('NetworkPolicy', 'to-providers').spec.egress[0].ports
        },
      ],
      [
        'leads to no port',
        (get) => {
          get('Service', 'api').spec.ports[0].targetPort = 'https'
        },
      ],
      [
        'open to the world',
        (get) => {
          get('Service', 'router').spec.type = 'LoadBalancer'
        },
      ],
      [
        'mounts a path of its node',
        (get) => {
          podsOf(get('Deployment', 'api')).spec.volumes.push({ name: 'x', hostPath: { path: '/' } })
        },
      ],
    ])('%s', (expected, change) => {
      const copies = structuredClone(manifests)
      change((kind, name) => copies.find((it) => it.kind === kind && it.metadata.name === name), copies)
      expect(findings(copies).join('\n')).toContain(expected)
    })
  })
})

import type { Config } from '../../platform/config.ts'
import { Problem } from '../../platform/problem.ts'
import type { Secret } from '../../platform/secret.ts'
import type { Transport } from '../transport.ts'
import { tokenBucket } from './token-bucket.ts'
import { callVultr, type VultrAnswer } from './vultr-call.ts'

/** An instance as far as the platform cares. */
export interface ProviderMachine {
  id: string
  label: string
  tags: readonly string[]
  status: string
  /** Address inside the VPC, else the public one; null until the provider has given one. */
  address: string | null
  createdAt: Date
}

export interface MachineOrder {
  label: string
  plan: string
  agentId: string
  /** Shell script of the first boot. Readable inside the machine: nothing secret but what is used up once. */
  userData: string
}

/** A create cannot be repeated blindly: the provider knows no idempotency. */
export type CreateOutcome =
  | { state: 'created'; machine: ProviderMachine }
  /** Final: the same order will be refused again. */
  | { state: 'refused'; message: string }
  /** Nothing was created; the order may be given again later. */
  | { state: 'not_now' }
  /** It may have been created: look for the label before ordering again. */
  | { state: 'unknown' }

/** The provider's machines that belong to this environment. Every call throws `provider_unavailable` when it cannot be answered now. */
export interface Machines {
  create(order: MachineOrder): Promise<CreateOutcome>
  find(id: string): Promise<ProviderMachine | undefined>
  /** Oldest first. */
  listByLabel(label: string): Promise<ProviderMachine[]>
  /** All that this environment has ordered. */
  listOurs(): Promise<ProviderMachine[]>
  /** A machine that is not there counts as deleted. */
  delete(id: string): Promise<void>
}

/** Policy 3d: agents run in Seoul. */
const REGION = 'icn'
/** Debian 12 x64. */
const OPERATING_SYSTEM = 2136
const REQUESTS_PER_SECOND = 10
const PER_PAGE = 500
const PAGES_MAX = 100

interface Instance {
  id: string
  label: string
  tags?: string[]
  status: string
  main_ip: string
  internal_ip?: string
  date_created: string
}

export function openMachines(
  { vultr }: { vultr: VultrAccount },
  transport: Pick<Transport, 'send'>,
): Machines {
  const { environment } = vultr
  const ours = ['agentctl', `env:${environment}`]
  const bucket = tokenBucket(REQUESTS_PER_SECOND)
  const call = (method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<VultrAnswer> =>
    callVultr({ transport, baseUrl: vultr.baseUrl, apiKey: vultr.apiKey, bucket }, method, path, body)

  const list = async (filter: Record<string, string>): Promise<ProviderMachine[]> => {
    const found: ProviderMachine[] = []
    let cursor = ''
    for (let page = 0; page < PAGES_MAX; page++) {
      const query = new URLSearchParams({
        ...filter,
        per_page: String(PER_PAGE),
        ...(cursor ? { cursor } : {}),
      })
      const answer = expectSuccess(await call('GET', `/instances?${query}`)) as {
        instances: Instance[]
        meta?: { links?: { next?: string } }
      }
      found.push(...answer.instances.map(machineOf))
      cursor = answer.meta?.links?.next ?? ''
      if (cursor === '') break
    }
    // Another environment may share the account; its machines are none of ours, whatever the filter let through.
    return found
      .filter((machine) => ours.every((tag) => machine.tags.includes(tag)))
      .sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime() || (a.id < b.id ? -1 : 1))
  }

  return {
    async create(order) {
      const answer = await call('POST', '/instances', {
        region: REGION,
        plan: order.plan,
        os_id: OPERATING_SYSTEM,
        label: order.label,
        hostname: order.label.replaceAll('_', '-'),
        user_data: Buffer.from(order.userData).toString('base64'),
        tags: [...ours, `agent:${order.agentId}`],
        enable_ipv6: false,
        backups: 'disabled',
        activation_email: false,
        user_scheme: 'limited',
      })
      if (answer.kind === 'not_sent') return { state: 'not_now' }
      if (answer.kind === 'no_answer') return { state: 'unknown' }
      if (answer.status === 202 || answer.status === 201) {
        const { instance } = answer.body as { instance?: Instance }
        return instance ? { state: 'created', machine: machineOf(instance) } : { state: 'unknown' }
      }
      if (answer.status === 429 || answer.status === 401 || answer.status === 403) return { state: 'not_now' }
      if (answer.status >= 500) return { state: 'unknown' }
      return { state: 'refused', message: refusalOf(answer.body) }
    },
    async find(id) {
      const answer = await call('GET', `/instances/${encodeURIComponent(id)}`)
      if (answer.kind === 'answer' && answer.status === 404) return undefined
      return machineOf((expectSuccess(answer) as { instance: Instance }).instance)
    },
    listByLabel: async (label) => (await list({ label })).filter((machine) => machine.label === label),
    listOurs: () => list({ tag: 'agentctl' }),
    async delete(id) {
      const answer = await call('DELETE', `/instances/${encodeURIComponent(id)}`)
      if (answer.kind === 'answer' && answer.status === 404) return
      expectSuccess(answer)
    },
  }
}

type VultrAccount = Pick<Config['vultr'], 'baseUrl' | 'environment'> & { apiKey: Secret }

function machineOf(instance: Instance): ProviderMachine {
  const address = [instance.internal_ip, instance.main_ip].find(
    (ip) => ip !== undefined && ip !== '' && ip !== '0.0.0.0',
  )
  return {
    id: instance.id,
    label: instance.label,
    tags: instance.tags ?? [],
    status: instance.status,
    address: address ?? null,
    createdAt: new Date(instance.date_created),
  }
}

function expectSuccess(answer: VultrAnswer): unknown {
  if (answer.kind === 'answer' && answer.status >= 200 && answer.status < 300) return answer.body
  const said = answer.kind === 'answer' ? `It answered ${answer.status}.` : 'It did not answer.'
  throw new Problem('provider_unavailable', `The provider of machines is in trouble. ${said}`)
}

/** What the provider says about an order; it is shown to the user, so it is kept short and plain. */
function refusalOf(body: unknown): string {
  const error = typeof body === 'object' && body !== null && 'error' in body ? body.error : undefined
  return typeof error === 'string' ? error.replace(/[^\x20-\x7e]/g, ' ').slice(0, 200) : 'no reason given'
}

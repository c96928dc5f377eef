import type { Config } from '../../platform/config.ts'
import { Problem } from '../../platform/problem.ts'
import type { Secret } from '../../platform/secret.ts'
import { tokenBucket } from '../token-bucket.ts'
import type { Transport } from '../transport.ts'
import { callVultr, type VultrAnswer, type VultrMethod } from './vultr-call.ts'
import {
  ensureNetwork,
  listSpareNetworks,
  type MachineNetwork,
  type SharedNetwork,
  type SpareNetwork,
} from './vultr-network.ts'

/** A machine at the provider as far as the platform cares. */
export interface ProviderMachine {
  id: string
  label: string
  tags: readonly string[]
  status: string
  isOn: boolean
  /** Address inside the VPC; null until the provider has given one. */
  address: string | null
  createdAt: Date
}

export interface MachineOrder {
  label: string
  plan: string
  agentId: string
  /** Shell script of the first boot. Readable inside the machine: nothing secret but what is used up once. */
  userData: string
  /** Provider's id of the snapshot that its disk is made from; a blank disk without it. */
  snapshotId?: string
}

/** A copy of a disk. */
export interface ProviderSnapshot {
  id: string
  label: string
  isComplete: boolean
  sizeBytes: number
  createdAt: Date
}

export type SnapshotOutcome =
  | { state: 'created'; snapshot: ProviderSnapshot }
  | { state: 'refused'; message: string }
  | { state: 'not_now' }
  | { state: 'unknown' }

/** A create cannot be repeated blindly: the provider knows no idempotency. */
export type CreateOutcome =
  | { state: 'created'; machine: ProviderMachine }
  /** Final: the same order will be refused again. */
  | { state: 'refused'; message: string }
  /** There is no such machine to be had in Seoul now, or the account may have no more; later perhaps. */
  | { state: 'sold_out' }
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
  /** Switches it off. Done when it is off already, or not there. */
  halt(id: string): Promise<void>
  /** Gives it another script and has it boot, so that the script runs. False when it is not there. */
  rebootWith(id: string, userData: string): Promise<boolean>
  /** Copies the disk of a machine that is off. */
  createSnapshot(order: { machineId: string; label: string }): Promise<SnapshotOutcome>
  findSnapshot(id: string): Promise<ProviderSnapshot | undefined>
  /** Oldest first. */
  listSnapshotsByLabel(label: string): Promise<ProviderSnapshot[]>
  listOurSnapshots(): Promise<ProviderSnapshot[]>
  /** A snapshot that is not there counts as deleted. */
  deleteSnapshot(id: string): Promise<void>
  /** Private networks and firewall groups that this environment has beyond the ones in use. */
  listSpareNetworks(): Promise<SpareNetwork[]>
  /** One that is in use after all stays. */
  deleteSpareNetwork(kind: SpareNetwork['kind'], id: string): Promise<void>
}

/** Policy 3d: agents run in Seoul. */
const REGION = 'icn'
/** Debian 12 x64. */
const OPERATING_SYSTEM = 2136
const REQUESTS_PER_SECOND = 10
/** How long it is believed which plans are to be had. */
const STOCK_MS = 60_000
const PER_PAGE = 500
const PAGES_MAX = 100

interface Instance {
  id: string
  label: string
  tags?: string[]
  status: string
  power_status: string
  main_ip: string
  internal_ip?: string
  date_created: string
}

interface Snapshot {
  id: string
  description: string
  status: string
  size: number
  date_created: string
}

interface Page {
  meta?: { links?: { next?: string } }
}

export function openMachines(
  { vultr }: { vultr: VultrAccount },
  transport: Pick<Transport, 'send'>,
): Machines {
  const { environment } = vultr
  const ours = ['agentctl', `env:${environment}`]
  const bucket = tokenBucket(REQUESTS_PER_SECOND)
  const call = (method: VultrMethod, path: string, body?: unknown): Promise<VultrAnswer> =>
    callVultr({ transport, baseUrl: vultr.baseUrl, apiKey: vultr.apiKey, bucket }, method, path, body)

  const everyPage = async <T extends Page>(path: string, filter: Record<string, string>): Promise<T[]> => {
    const pages: T[] = []
    let cursor = ''
    for (let page = 0; page < PAGES_MAX; page++) {
      const query = new URLSearchParams({
        ...filter,
        per_page: String(PER_PAGE),
        ...(cursor ? { cursor } : {}),
      })
      const answer = expectSuccess(await call('GET', `${path}?${query}`)) as T
      pages.push(answer)
      cursor = answer.meta?.links?.next ?? ''
      if (cursor === '') break
    }
    return pages
  }
  const list = async (filter: Record<string, string>): Promise<ProviderMachine[]> => {
    const pages = await everyPage<Page & { instances: Instance[] }>('/instances', filter)
    // Another environment may share the account; its machines are none of ours, whatever the filter let through.
    return pages
      .flatMap(({ instances }) => instances.map(machineOf))
      .filter((machine) => ours.every((tag) => machine.tags.includes(tag)))
      .sort(oldestFirst)
  }
  // Snapshots have no tags; a beginning of the description is theirs. What the provider's own filter by description
  // matches is not documented, so everything is listed and looked at here.
  const prefix = `agentctl:${environment}:`
  const listSnapshots = async (): Promise<ProviderSnapshot[]> => {
    const pages = await everyPage<Page & { snapshots: Snapshot[] }>('/snapshots', {})
    return pages
      .flatMap(({ snapshots }) => snapshots)
      .filter(({ description }) => description.startsWith(prefix))
      .map((snapshot) => snapshotOf(snapshot, prefix))
      .sort(oldestFirst)
  }

  const networkCalls = {
    call,
    success: expectSuccess,
    list: async (path: string, key: string) => {
      const pages = await everyPage<Page & { [key: string]: unknown }>(path, {})
      return pages.flatMap((found) => found[key] as SharedNetwork[])
    },
  }
  const shared = { region: REGION, description: `agentctl:${environment}` }
  let network: Promise<MachineNetwork> | undefined
  const ourNetwork = (): Promise<MachineNetwork> => {
    network ??= ensureNetwork(networkCalls, shared).catch((error: unknown) => {
      network = undefined
      throw error
    })
    return network
  }
  let stock: { plans: readonly string[]; until: number } | undefined
  const isInStock = async (plan: string): Promise<boolean> => {
    if (!stock || stock.until < performance.now()) {
      const answer = expectSuccess(await call('GET', `/regions/${REGION}/availability`))
      const { available_plans: plans } = answer as { available_plans: string[] }
      stock = { plans, until: performance.now() + STOCK_MS }
    }
    return stock.plans.includes(plan)
  }

  return {
    async create(order) {
      let place: MachineNetwork
      try {
        if (!(await isInStock(order.plan))) return { state: 'sold_out' }
        place = await ourNetwork()
      } catch (error) {
        if (error instanceof Problem) return { state: 'not_now' }
        throw error
      }
      const answer = await call('POST', '/instances', {
        region: REGION,
        plan: order.plan,
        ...(order.snapshotId === undefined ? { os_id: OPERATING_SYSTEM } : { snapshot_id: order.snapshotId }),
        label: order.label,
        hostname: order.label.replaceAll('_', '-'),
        user_data: Buffer.from(order.userData).toString('base64'),
        attach_vpc: [place.vpcId],
        firewall_group_id: place.firewallGroupId,
        tags: [...ours, `agent:${order.agentId}`],
        enable_ipv6: false,
        backups: 'disabled',
        activation_email: false,
        user_scheme: 'limited',
      })
      const outcome = outcomeOf(answer, (body) => {
        const { instance } = body as { instance?: Instance }
        return instance && { machine: machineOf(instance) }
      })
      if (outcome.state !== 'refused') return outcome
      if (SOLD_OUT.test(outcome.message)) {
        stock = undefined
        return { state: 'sold_out' }
      }
      if (!NETWORK_GONE.test(outcome.message)) return outcome
      // Somebody has deleted what we had found: the next order makes it anew.
      network = undefined
      return { state: 'not_now' }
    },
    async find(id) {
      const answer = await call('GET', `/instances/${encodeURIComponent(id)}`)
      if (isMissing(answer)) return undefined
      return machineOf((expectSuccess(answer) as { instance: Instance }).instance)
    },
    listByLabel: async (label) => (await list({ label })).filter((machine) => machine.label === label),
    listOurs: () => list({ tag: 'agentctl' }),
    async delete(id) {
      const answer = await call('DELETE', `/instances/${encodeURIComponent(id)}`)
      if (isMissing(answer)) return
      expectSuccess(answer)
    },
    async halt(id) {
      const answer = await call('POST', `/instances/${encodeURIComponent(id)}/halt`)
      if (isMissing(answer)) return
      expectSuccess(answer)
    },
    async rebootWith(id, userData) {
      const path = `/instances/${encodeURIComponent(id)}`
      const patched = await call('PATCH', path, { user_data: Buffer.from(userData).toString('base64') })
      if (isMissing(patched)) return false
      expectSuccess(patched)
      const booted = await call('POST', `${path}/reboot`)
      if (isMissing(booted)) return false
      expectSuccess(booted)
      return true
    },
    async createSnapshot({ machineId, label }) {
      const answer = await call('POST', '/snapshots', {
        instance_id: machineId,
        description: `${prefix}${label}`,
      })
      return outcomeOf(answer, (body) => {
        const { snapshot } = body as { snapshot?: Snapshot }
        return snapshot && { snapshot: snapshotOf(snapshot, prefix) }
      })
    },
    async findSnapshot(id) {
      const answer = await call('GET', `/snapshots/${encodeURIComponent(id)}`)
      if (isMissing(answer)) return undefined
      return snapshotOf((expectSuccess(answer) as { snapshot: Snapshot }).snapshot, prefix)
    },
    listSnapshotsByLabel: async (label) =>
      (await listSnapshots()).filter((snapshot) => snapshot.label === label),
    listOurSnapshots: listSnapshots,
    async deleteSnapshot(id) {
      const answer = await call('DELETE', `/snapshots/${encodeURIComponent(id)}`)
      if (isMissing(answer)) return
      expectSuccess(answer)
    },
    listSpareNetworks: () => listSpareNetworks(networkCalls, shared),
    async deleteSpareNetwork(kind, id) {
      const path = kind === 'vpc' ? '/vpcs' : '/firewalls'
      const answer = await call('DELETE', `${path}/${encodeURIComponent(id)}`)
      if (isMissing(answer) || (answer.kind === 'answer' && answer.status === 400)) return
      expectSuccess(answer)
    },
  }
}

/** In the provider's words: no such machines left, or no more for this account. */
const SOLD_OUT = /not available|out of stock|sold out|no capacity|(maximum|limit).*(instance|server|reached)/i
const NETWORK_GONE = /vpc|firewall/i

function isMissing(answer: VultrAnswer): boolean {
  return answer.kind === 'answer' && answer.status === 404
}

/** What is known after an order that must not be repeated blindly. */
function outcomeOf<T extends object>(
  answer: VultrAnswer,
  read: (body: unknown) => T | undefined,
): ({ state: 'created' } & T) | Exclude<SnapshotOutcome, { state: 'created' }> {
  if (answer.kind === 'not_sent') return { state: 'not_now' }
  if (answer.kind === 'no_answer') return { state: 'unknown' }
  if (answer.status === 202 || answer.status === 201) {
    const made = typeof answer.body === 'object' && answer.body !== null ? read(answer.body) : undefined
    return made ? { state: 'created', ...made } : { state: 'unknown' }
  }
  if (answer.status === 429 || answer.status === 401 || answer.status === 403) return { state: 'not_now' }
  if (answer.status >= 500) return { state: 'unknown' }
  return { state: 'refused', message: refusalOf(answer.body) }
}

function oldestFirst(a: { id: string; createdAt: Date }, b: { id: string; createdAt: Date }): number {
  return a.createdAt.getTime() - b.createdAt.getTime() || (a.id < b.id ? -1 : 1)
}

type VultrAccount = Pick<Config['vultr'], 'baseUrl' | 'environment'> & { apiKey: Secret }

function machineOf(instance: Instance): ProviderMachine {
  // Never the public address: what listens there is nobody's business.
  const address = instance.internal_ip === '0.0.0.0' ? '' : instance.internal_ip
  return {
    id: instance.id,
    label: instance.label,
    tags: instance.tags ?? [],
    status: instance.status,
    isOn: instance.power_status !== 'stopped',
    address: address || null,
    createdAt: new Date(instance.date_created),
  }
}

function snapshotOf(snapshot: Snapshot, prefix: string): ProviderSnapshot {
  return {
    id: snapshot.id,
    label: snapshot.description.slice(prefix.length),
    isComplete: snapshot.status === 'complete' && snapshot.size > 0,
    sizeBytes: snapshot.size,
    createdAt: new Date(snapshot.date_created),
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

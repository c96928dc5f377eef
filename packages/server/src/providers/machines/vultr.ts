import { z } from 'zod'
import type { Config } from '../../platform/config.ts'
import { Problem } from '../../platform/problem.ts'
import type { Secret } from '../../platform/secret.ts'
import { tokenBucket } from '../token-bucket.ts'
import {
  callVultr,
  expectAnswer,
  expectSuccess,
  isMissing,
  type VultrAnswer,
  type VultrConnection,
  type VultrMethod,
} from './vultr-call.ts'
import { ensureNetwork, listSpareNetworks, type MachineNetwork, type SpareNetwork } from './vultr-network.ts'
import { PricedPlan, planPrices } from './vultr-prices.ts'
import {
  Availability,
  Bandwidth,
  Instance,
  machineOf,
  Page,
  REGION,
  SharedNetwork,
  Snapshot,
  snapshotOf,
} from './vultr-shapes.ts'

/** A machine at the provider as far as the platform cares. */
export interface ProviderMachine {
  id: string
  label: string
  tags: readonly string[]
  status: string
  /** In another region than the one that the policy names (3d). */
  isElsewhere: boolean
  isOn: boolean
  /** Address inside the VPC; null until the provider has given one. */
  address: string | null
  /** What its plan lets it send in a month; null when the provider does not say. */
  includedGigabytes: number | null
  createdAt: Date
}

export interface MachineOrder {
  label: string
  plan: string
  /** Absent for a machine that waits for its first agent. */
  agentId?: string
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
  | { state: 'not_now'; retryAfterSeconds: number }
  | { state: 'unknown' }

/** A create cannot be repeated blindly: the provider knows no idempotency. */
export type CreateOutcome =
  | { state: 'created'; machine: ProviderMachine }
  /** Final: the same order will be refused again. */
  | { state: 'refused'; message: string }
  /** There is no such machine to be had in Seoul now, or the account may have no more; later perhaps. */
  | { state: 'sold_out' }
  /** Nothing was created; the order may be given again later: when, the provider says, or 0. */
  | { state: 'not_now'; retryAfterSeconds: number }
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
  /** Says at the provider whose it is; one that is not there needs no tag. */
  tagFor(id: string, agentId: string): Promise<void>
  /** Copies the disk of a machine that is off. */
  createSnapshot(order: { machineId: string; label: string }): Promise<SnapshotOutcome>
  findSnapshot(id: string): Promise<ProviderSnapshot | undefined>
  /** Oldest first. */
  listSnapshotsByLabel(label: string): Promise<ProviderSnapshot[]>
  listOurSnapshots(): Promise<ProviderSnapshot[]>
  /** A snapshot that is not there counts as deleted. */
  deleteSnapshot(id: string): Promise<void>
  /** What it has sent on each day (UTC) of the last month; what comes in is free. Nothing for one that is not there. */
  sentByDay(id: string): Promise<ReadonlyMap<string, bigint>>
  /** The provider's price of a whole month of a plan, in micro-USD; undefined for one that it does not sell. */
  monthlyMicros(plan: string): Promise<bigint | undefined>
  /** Private networks and firewall groups that this environment has beyond the ones in use. */
  listSpareNetworks(): Promise<SpareNetwork[]>
  /** One that is in use after all stays. */
  deleteSpareNetwork(kind: SpareNetwork['kind'], id: string): Promise<void>
}

/** Debian 12 x64. */
const OPERATING_SYSTEM = 2136
const REQUESTS_PER_SECOND = 10
/** How long it is believed which plans are to be had. */
const STOCK_MS = 60_000
const PER_PAGE = 500
const PAGES_MAX = 100
const MONTH_DAYS = 31

export function openMachines(
  { vultr }: { vultr: VultrAccount },
  connection: Pick<VultrConnection, 'transport' | 'log' | 'timeoutMs' | 'pause'>,
): Machines {
  const { environment } = vultr
  const ours = ['agentctl', `env:${environment}`]
  const tagsOf = (agentId: string): string[] => [...ours, `agent:${agentId}`]
  const bucket = tokenBucket(REQUESTS_PER_SECOND)
  const call = (method: VultrMethod, path: string, body?: unknown): Promise<VultrAnswer> =>
    callVultr({ ...connection, baseUrl: vultr.baseUrl, apiKey: vultr.apiKey, bucket }, method, path, body)

  const everyPage = async <T extends z.infer<typeof Page>>(
    path: string,
    shape: z.ZodType<T>,
    filter: Record<string, string> = {},
  ): Promise<T[]> => {
    const pages: T[] = []
    let cursor = ''
    for (let page = 0; page < PAGES_MAX; page++) {
      const query = new URLSearchParams({
        ...filter,
        per_page: String(PER_PAGE),
        ...(cursor ? { cursor } : {}),
      })
      const answer = expectAnswer(await call('GET', `${path}?${query}`), shape)
      pages.push(answer)
      cursor = answer.meta.links.next ?? ''
      if (cursor === '') break
    }
    return pages
  }
  const list = async (filter: Record<string, string>): Promise<ProviderMachine[]> => {
    const pages = await everyPage('/instances', Page.extend({ instances: z.array(Instance) }), filter)
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
    const pages = await everyPage('/snapshots', Page.extend({ snapshots: z.array(Snapshot) }))
    return pages
      .flatMap(({ snapshots }) => snapshots)
      .filter(({ description }) => description.startsWith(prefix))
      .map((snapshot) => snapshotOf(snapshot, prefix))
      .sort(oldestFirst)
  }

  const networkCalls = {
    call,
    listVpcs: async () => {
      const pages = await everyPage('/vpcs', Page.extend({ vpcs: z.array(SharedNetwork) }))
      return pages.flatMap(({ vpcs }) => vpcs)
    },
    listFirewallGroups: async () => {
      const pages = await everyPage('/firewalls', Page.extend({ firewall_groups: z.array(SharedNetwork) }))
      return pages.flatMap(({ firewall_groups }) => firewall_groups)
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
      const answer = await call('GET', `/regions/${REGION}/availability`)
      const { available_plans: plans } = expectAnswer(answer, Availability)
      stock = { plans, until: performance.now() + STOCK_MS }
    }
    return stock.plans.includes(plan)
  }

  const priceOf = planPrices(async () => {
    const pages = await everyPage('/plans', Page.extend({ plans: z.array(PricedPlan) }))
    return pages.flatMap(({ plans }) => plans)
  })

  return {
    async create(order) {
      let place: MachineNetwork
      try {
        if (!(await isInStock(order.plan))) return { state: 'sold_out' }
        place = await ourNetwork()
      } catch (error) {
        if (error instanceof Problem) return notNow(error.retryAfterSeconds)
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
        tags: order.agentId === undefined ? [...ours, 'warm'] : tagsOf(order.agentId),
        enable_ipv6: false,
        backups: 'disabled',
        activation_email: false,
        user_scheme: 'limited',
      })
      const outcome = outcomeOf(answer, OneInstance, ({ instance }) => ({ machine: machineOf(instance) }))
      if (outcome.state !== 'refused') return outcome
      if (SOLD_OUT.test(outcome.message)) {
        stock = undefined
        return { state: 'sold_out' }
      }
      if (!NETWORK_GONE.test(outcome.message)) return outcome
      // Somebody has deleted what we had found: the next order makes it anew.
      network = undefined
      return notNow()
    },
    async find(id) {
      const answer = await call('GET', `/instances/${encodeURIComponent(id)}`)
      if (isMissing(answer)) return undefined
      return machineOf(expectAnswer(answer, OneInstance).instance)
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
    async tagFor(id, agentId) {
      const answer = await call('PATCH', `/instances/${encodeURIComponent(id)}`, { tags: tagsOf(agentId) })
      if (isMissing(answer)) return
      expectSuccess(answer)
    },
    async createSnapshot({ machineId, label }) {
      const answer = await call('POST', '/snapshots', {
        instance_id: machineId,
        description: `${prefix}${label}`,
      })
      return outcomeOf(answer, OneSnapshot, ({ snapshot }) => ({ snapshot: snapshotOf(snapshot, prefix) }))
    },
    async findSnapshot(id) {
      const answer = await call('GET', `/snapshots/${encodeURIComponent(id)}`)
      if (isMissing(answer)) return undefined
      return snapshotOf(expectAnswer(answer, OneSnapshot).snapshot, prefix)
    },
    listSnapshotsByLabel: async (label) =>
      (await listSnapshots()).filter((snapshot) => snapshot.label === label),
    listOurSnapshots: listSnapshots,
    async deleteSnapshot(id) {
      const answer = await call('DELETE', `/snapshots/${encodeURIComponent(id)}`)
      if (isMissing(answer)) return
      expectSuccess(answer)
    },
    async sentByDay(id) {
      const answer = await call(
        'GET',
        `/instances/${encodeURIComponent(id)}/bandwidth?date_range=${MONTH_DAYS}`,
      )
      if (isMissing(answer)) return new Map()
      const days = Object.entries(expectAnswer(answer, Bandwidth).bandwidth)
      return new Map(days.map(([day, { outgoing_bytes: bytes }]) => [day, BigInt(Math.round(bytes))]))
    },
    monthlyMicros: priceOf,
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

const OneInstance = z.object({ instance: Instance })
const OneSnapshot = z.object({ snapshot: Snapshot })

/** What is known after an order that must not be repeated blindly. */
function outcomeOf<Body, Made extends object>(
  answer: VultrAnswer,
  shape: z.ZodType<Body>,
  madeOf: (body: Body) => Made,
): ({ state: 'created' } & Made) | Exclude<SnapshotOutcome, { state: 'created' }> {
  if (answer.kind === 'not_sent') return notNow()
  if (answer.kind === 'no_answer') return { state: 'unknown' }
  const { status } = answer
  if (status >= 200 && status < 300) {
    const read = shape.safeParse(answer.body)
    return read.success ? { state: 'created', ...madeOf(read.data) } : { state: 'unknown' }
  }
  if (status === 429 || status === 401 || status === 403) return notNow(answer.retryAfterSeconds)
  if (status >= 500) return { state: 'unknown' }
  return { state: 'refused', message: refusalOf(answer.body) }
}

function notNow(retryAfterSeconds = 0): { state: 'not_now'; retryAfterSeconds: number } {
  return { state: 'not_now', retryAfterSeconds }
}

function oldestFirst(a: { id: string; createdAt: Date }, b: { id: string; createdAt: Date }): number {
  return a.createdAt.getTime() - b.createdAt.getTime() || (a.id < b.id ? -1 : 1)
}

type VultrAccount = Pick<Config['vultr'], 'baseUrl' | 'environment'> & { apiKey: Secret }

/** What the provider says about an order; it is shown to the user, so it is kept short and plain. */
function refusalOf(body: unknown): string {
  const error = typeof body === 'object' && body !== null && 'error' in body ? body.error : undefined
  return typeof error === 'string' ? error.replace(/[^\x20-\x7e]/g, ' ').slice(0, 200) : 'no reason given'
}

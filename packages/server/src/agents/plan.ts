import { domainToASCII } from 'node:url'
import type { AgentConfig, ManifestFile } from '@agentctl/contract/agent-config.ts'
import type { DeployPlan, DeployRequest, RefusedName } from '@agentctl/contract/agents.ts'
import type { Role } from '@agentctl/contract/endpoint.ts'
import { hasHadCredits } from '../billing/balance.ts'
import { hourlyMicros, type Quote, quote } from '../billing/quotes.ts'
import type { Deps } from '../deps.ts'
import { enterNamespace } from '../identity/access.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import type { Caller } from '../platform/http.ts'
import { retention } from '../platform/retention.ts'
import { agentUrl } from './agents.ts'
import { sumBlobBytes } from './blob-store.ts'
import { checkEnvironment, requireMeansToDeploy } from './deploys.ts'
import { type AgentDomain, listDomainsOf } from './domain-store.ts'
import { contentsOf, missingContents } from './files.ts'
import { wantedLabel } from './labels.ts'
import { machineSizes } from './machine-sizes.ts'
import { requireReleasable } from './releases.ts'
import { listSnapshots } from './snapshot-store.ts'
import { type AgentRow, findAgentByName, findRelease, listReleaseFiles, type ReleaseRow } from './store.ts'
import { requireRoom } from './uploads.ts'

/** Names that could not be attached to an agent, or to one that is not there yet, and why. */
export type RefusedNames = (
  tx: Sql,
  caller: Caller,
  wanted: { agentId: string | undefined; ownerAccountId: string; names: readonly string[] },
) => Promise<RefusedName[]>

/**
 * What a deploy would do and cost. No changes means that what would be deployed is what serves now. Refused is what the
 * deploy would refuse, in the same words, before anything has been uploaded.
 */
export async function planDeploy(
  deps: Pick<Deps, 'db' | 'clock' | 'config'> & { refusedNames: RefusedNames },
  caller: Caller,
  request: DeployRequest,
  role: Role,
): Promise<DeployPlan> {
  const contents = contentsOf(request.files)
  checkEnvironment(Object.keys(request.config.env))
  return deps.db.as({ account: caller.accountId }, async (tx) => {
    const namespace = await enterNamespace(tx, caller, request.namespace, role)
    const { ownerAccountId } = namespace
    const agent = await findAgentByName(tx, namespace.id, request.name)
    const toBe = { id: '', name: request.name, ownerAccountId, maxHourlyMicros: null, maxTotalMicros: null }
    await requireMeansToDeploy(deps, agent ?? toBe, request)
    if (agent) await requireReleasable(tx, agent, request.config.size)
    const live = agent?.releaseId ? await findRelease(tx, agent.releaseId) : undefined
    const liveFiles = live ? await listReleaseFiles(tx, live.id) : []
    const missing = await missingContents(tx, ownerAccountId, contents)
    const missingBytes = missing.reduce((bytes, sha256) => bytes + (contents.get(sha256) ?? 0), 0)
    if (missing.length > 0) {
      const hasPaid = await hasHadCredits(deps.db.jobs, ownerAccountId)
      requireRoom((await sumBlobBytes(tx, ownerAccountId)) + missingBytes, hasPaid)
    }
    const { size } = request.config
    const changes: string[] = []
    if (!agent) {
      const url = agentUrl(deps, wantedLabel(request.name, namespace.name))
      changes.push(
        `Create the agent ${request.name} in the namespace ${namespace.name}; its address is ${url} if that is free.`,
      )
    }
    if (!live) changes.push(`Start a ${size} machine in Seoul: ${machineSizes[size].has}.`)
    else {
      const atRest = agent !== undefined && agent.rest !== null
      if (atRest) changes.push(await returnOf(tx, agent, size))
      const moves = !atRest && live.config.size !== size
      if (moves) changes.push(moveOf(live, size))
      changes.push(...configChanges(live.config, request.config), ...fileChanges(liveFiles, request.files))
      if (changes.length > 0 && !atRest && !moves)
        changes.push(`Release ${live.number} serves until the new one has passed its health check.`)
    }
    const attached = agent ? await listDomainsOf(tx, [agent.id]) : []
    const domains = domainChanges(live?.config.domains ?? [], request.config.domains, attached)
    const wanted = { agentId: agent?.id, ownerAccountId, names: domains.attach }
    const refused = await deps.refusedNames(tx, caller, wanted)
    const refusedAre = new Set(refused.map(({ hostname }) => hostname))
    const attachable = domains.attach.filter((name) => !refusedAre.has(name))
    changes.push(
      ...attachable.map((name) => `Attach the domain ${name}, once the release is live.`),
      ...domains.keep.map((name) => `Keep the domain ${name}, which agent.json does not name any more.`),
    )
    const now = deps.clock.now()
    const quoted = await quote(deps.db.jobs, {
      accountId: ownerAccountId,
      subject: agent?.id,
      size,
      now,
    })
    return {
      agent: {
        name: request.name,
        namespace: namespace.name,
        url: agent ? agentUrl(deps, agent.label) : null,
        exists: agent !== undefined,
      },
      changes,
      domains: { ...domains, refused },
      upload: {
        files: request.files.length,
        missing,
        missingBytes,
      },
      ...quoted,
      timeline: timeline(size, { graceDays: deps.config.graceDays, suspendedAt: endOf(quoted, now) }),
    }
  })
}

/** What becomes of the files of an agent that has no machine. */
async function returnOf(tx: Sql, agent: AgentRow, size: AgentConfig['size']): Promise<string> {
  const machine = `Start the agent again on a ${size} machine in Seoul`
  const snapshots = await listSnapshots(tx, agent.id)
  const kept = snapshots.some(({ state }) => state !== 'deleting')
  return `${machine}, ${kept ? 'with the files that it had.' : 'with an empty home directory: its snapshot is gone.'}`
}

/** A move takes the files along, and the agent away for as long as that takes. */
function moveOf({ config: { size: from }, number }: ReleaseRow, to: AgentConfig['size']): string {
  return (
    `Move from a ${from} to a ${to} machine (${machineSizes[to].has}) with its files: the agent is away, some minutes, ` +
    `while they are copied and until it is healthy there; else release ${number} comes back on a ${from} machine.`
  )
}

function configChanges(live: AgentConfig, next: AgentConfig): string[] {
  const changes: string[] = []
  const said = (value: string | number | null) => (value === null ? 'none' : `"${value}"`)
  const compare = (what: string, from: string | number | null, to: string | number | null): void => {
    if (from !== to) changes.push(`Change the ${what} from ${said(from)} to ${said(to)}.`)
  }
  compare('install command', live.install, next.install)
  compare('start command', live.start, next.start)
  compare('port', live.port, next.port)
  compare('health path', live.health.path, next.health.path)
  compare('health timeout in seconds', live.health.timeoutSeconds, next.health.timeoutSeconds)
  const names = (verb: string, list: string[]): void => {
    if (list.length > 0) changes.push(`${verb} the environment: ${list.sort().join(', ')}.`)
  }
  names(
    'Add to',
    Object.keys(next.env).filter((name) => !(name in live.env)),
  )
  names(
    'Remove from',
    Object.keys(live.env).filter((name) => !(name in next.env)),
  )
  names(
    'Change in',
    Object.keys(next.env).filter((name) => name in live.env && live.env[name] !== next.env[name]),
  )
  return changes
}

/** What goes live attaches its domains; none is taken away because a file does not name it any more. */
function domainChanges(
  live: readonly string[],
  next: readonly string[],
  attached: readonly AgentDomain[],
): Omit<DeployPlan['domains'], 'refused'> {
  const held = new Set(attached.flatMap(({ hostname, status }) => (status === 'failed' ? [] : [hostname])))
  // What is none is told so when it is attached, each by itself.
  const asInDns = (name: string): string => domainToASCII(name.replace(/\.$/, '')) || name
  const named = new Set(next.map(asInDns))
  const firsts = [...named].flatMap((one) => next.find((name) => asInDns(name) === one) ?? [])
  return {
    attach: firsts.filter((name) => !held.has(asInDns(name))),
    keep: live.filter((name) => held.has(asInDns(name)) && !named.has(asInDns(name))),
  }
}

function fileChanges(live: readonly ManifestFile[], next: readonly ManifestFile[]): string[] {
  const before = new Map(live.map((file) => [file.path, file]))
  let added = 0
  let changed = 0
  for (const file of next) {
    const old = before.get(file.path)
    if (!old) added++
    else if (old.sha256 !== file.sha256 || old.executable !== file.executable) changed++
  }
  const after = new Set(next.map((file) => file.path))
  const removed = live.filter((file) => !after.has(file.path)).length
  if (added + changed + removed === 0) return []
  return [`Files: ${added} added, ${changed} changed, ${removed} removed.`]
}

function endOf({ balance: { runwaySeconds } }: Quote, now: Date): Date | null {
  return runwaySeconds === null ? null : secondsAfter(now, runwaySeconds)
}

function timeline(
  size: AgentConfig['size'],
  { graceDays, suspendedAt }: { graceDays: number; suspendedAt: Date | null },
): DeployPlan['timeline'] {
  const deletedAt = suspendedAt && secondsAfter(suspendedAt, graceDays * 86_400)
  const hourly = (state: keyof typeof hourlyMicros) => String(hourlyMicros[state])
  return [
    {
      state: 'running',
      at: null,
      hourlyMicros: hourly(size),
      consequence: `Charged by the second from its first healthy moment; logs are kept for ${retention.agentLogs.days} days.`,
    },
    {
      state: 'stopped',
      at: null,
      hourlyMicros: hourly('stopped'),
      consequence: 'The machine is released; a snapshot keeps its files.',
    },
    {
      state: 'suspended',
      at: suspendedAt?.toISOString() ?? null,
      hourlyMicros: hourly('suspended'),
      consequence: `When the credits are used up: the machine is released and a snapshot is kept for ${graceDays} days. A deposit brings the agent back with its files.`,
    },
    {
      state: 'snapshot deleted',
      at: deletedAt?.toISOString() ?? null,
      hourlyMicros: '0',
      consequence: `${graceDays} days after the suspension: the files of the machine are gone; the configuration and the last release are kept.`,
    },
    {
      state: 'deleted',
      at: null,
      hourlyMicros: '0',
      consequence: 'Machine, files, secrets and logs are deleted at once and cannot be brought back.',
    },
  ]
}

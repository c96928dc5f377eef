import { domainToASCII } from 'node:url'
import type { AgentConfig, ManifestFile } from '@agentctl/contract/agent-config.ts'
import type { DeployPlan, DeployRequest } from '@agentctl/contract/agents.ts'
import type { Role } from '@agentctl/contract/endpoint.ts'
import { hourlyMicros, type Quote, quote } from '../billing/quotes.ts'
import type { Deps } from '../deps.ts'
import { enterNamespace } from '../identity/access.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import type { Caller } from '../platform/http.ts'
import { retention } from '../platform/retention.ts'
import { agentUrl } from './agents.ts'
import { checkEnvironment } from './deploys.ts'
import { type AgentDomain, listDomainsOf } from './domain-store.ts'
import { contentsOf, missingContents } from './files.ts'
import { wantedLabel } from './labels.ts'
import { fitsOn, machineSizes } from './machine-sizes.ts'
import { listSnapshots } from './snapshot-store.ts'
import { type AgentRow, findAgentByName, findRelease, listReleaseFiles, type ReleaseRow } from './store.ts'

/** What a deploy would do and cost. No changes means that what would be deployed is what serves now. */
export async function planDeploy(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  caller: Caller,
  request: DeployRequest,
  role: Role,
): Promise<DeployPlan> {
  const contents = contentsOf(request.files)
  checkEnvironment(Object.keys(request.config.env))
  return deps.db.as({ account: caller.accountId }, async (tx) => {
    const namespace = await enterNamespace(tx, caller, request.namespace, role)
    const agent = await findAgentByName(tx, namespace.id, request.name)
    const live = agent?.releaseId ? await findRelease(tx, agent.releaseId) : undefined
    const liveFiles = live ? await listReleaseFiles(tx, live.id) : []
    const missing = await missingContents(tx, namespace.ownerAccountId, contents)
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
    changes.push(
      ...domains.attach.map((name) => `Attach the domain ${name}, once the release is live.`),
      ...domains.keep.map((name) => `Keep the domain ${name}, which agent.json does not name any more.`),
    )
    const now = deps.clock.now()
    const quoted = await quote(deps.db.jobs, {
      accountId: namespace.ownerAccountId,
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
      domains,
      upload: {
        files: request.files.length,
        missing,
        missingBytes: missing.reduce((bytes, sha256) => bytes + (contents.get(sha256) ?? 0), 0),
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
  if (!kept) return `${machine}, with an empty home directory: its snapshot is gone.`
  if (fitsOn(agent.size, size)) return `${machine}, with the files that it had.`
  return `This will be refused: its files do not fit on a ${size} machine.`
}

/** A move takes the files along, and the agent away for as long as that takes. */
function moveOf({ config: { size: from }, number }: ReleaseRow, to: AgentConfig['size']): string {
  if (!fitsOn(from, to)) return `This will be refused: its files do not fit on a ${to} machine.`
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
): DeployPlan['domains'] {
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

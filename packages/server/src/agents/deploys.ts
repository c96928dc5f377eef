import { reservedEnvironmentNames } from '@agentctl/contract/agent-config.ts'
import type { Agent, DeployRequest, Release } from '@agentctl/contract/agents.ts'
import type { Role } from '@agentctl/contract/endpoint.ts'
import { type Quote, quote } from '../billing/quotes.ts'
import type { Deps } from '../deps.ts'
import { enterNamespace } from '../identity/access.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Caller } from '../platform/http.ts'
import { onceForKey } from '../platform/idempotency.ts'
import { Problem } from '../platform/problem.ts'
import { makeSureOfAgent, viewOf } from './agents.ts'
import { contentsOf, missingContents, touchContents } from './files.ts'
import { lockMeans, type SpendCaps, setSpendCaps } from './lifecycle-store.ts'
import { type AgentOfMeans, requireMeansFor } from './means.ts'
import { beginRelease, releaseView } from './releases.ts'
import { findAgentById } from './store.ts'

const DAY_SECONDS = 86_400

/** Refuses what the platform sets itself. */
export function checkEnvironment(names: readonly string[]): void {
  const reserved = names.find((name) => reservedEnvironmentNames.has(name) || name.startsWith('AGENTCTL_'))
  if (reserved) {
    throw new Problem('invalid_config', `${reserved} is set by the platform.`, {
      fix: 'Use another name for this variable.',
    })
  }
}

function capsOf({ maxHourlyMicros, maxTotalMicros }: DeployRequest): SpendCaps {
  const micros = (value: string | null | undefined) => (typeof value === 'string' ? BigInt(value) : value)
  return { maxHourlyMicros: micros(maxHourlyMicros), maxTotalMicros: micros(maxTotalMicros) }
}

/** Refuses what its account cannot pay for, or may not have, by the caps that the agent would then have. */
export async function requireMeansToDeploy(
  deps: Pick<Deps, 'db' | 'clock'>,
  agent: AgentOfMeans,
  request: DeployRequest,
): Promise<void> {
  const { maxHourlyMicros = agent.maxHourlyMicros, maxTotalMicros = agent.maxTotalMicros } = capsOf(request)
  await requireMeansFor(deps, { ...agent, maxHourlyMicros, maxTotalMicros }, request.config.size)
}

/** Records a release of files that are all there, and the operation that brings it to a machine. */
export async function deploy(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  caller: Caller,
  request: DeployRequest,
  { idempotencyKey, role }: { idempotencyKey: string; role: Role },
): Promise<{ agent: Agent; release: Release } & Quote> {
  const contents = contentsOf(request.files)
  checkEnvironment(Object.keys(request.config.env))
  const now = deps.clock.now()
  const once = {
    accountId: caller.accountId,
    key: idempotencyKey,
    route: 'POST /v1/deploys',
    request,
    now,
  } as const
  return deps.db.as({ account: caller.accountId }, (tx) =>
    onceForKey(tx, once, async () => {
      const namespace = await enterNamespace(tx, caller, request.namespace, role)
      const account = namespace.ownerAccountId
      await lockMeans(tx, account)
      const agent = await makeSureOfAgent(tx, namespace, {
        name: request.name,
        size: request.config.size,
        now,
      })
      await requireMeansToDeploy(deps, agent, request)
      await touchContents(tx, account, contents, { now, unlessSince: secondsAfter(now, -DAY_SECONDS) })
      const missing = await missingContents(tx, account, contents)
      if (missing.length > 0) {
        throw new Problem(
          'blobs_missing',
          `${missing.length} of ${contents.size} files have not been uploaded.`,
        )
      }
      const release = await beginRelease(tx, agent, {
        config: request.config,
        content: { files: request.files },
        now,
      })
      // Not before: the operation is locked first, then the agent, here as everywhere.
      await setSpendCaps(tx, agent.id, capsOf(request))
      const begun = (await findAgentById(tx, agent.id)) ?? agent
      // By the jobs role: a member who deploys sees how long the owner's credits last, and nothing else of them.
      const quoted = await quote(deps.db.jobs, {
        accountId: account,
        subject: agent.id,
        size: request.config.size,
        now,
      })
      return { agent: await viewOf(deps, begun), release: releaseView(release), ...quoted }
    }),
  )
}

import { type Desired, POLL_SECONDS, type Poll } from '@agentctl/contract/runner.ts'
import type { z } from 'zod'
import type { Deps } from '../deps.ts'
import type { Sql } from '../platform/db.ts'
import type { MachineCaller } from '../platform/http.ts'
import { Problem } from '../platform/problem.ts'
import type { Wakes } from '../platform/wakes.ts'
import { agentUrl, noSuchAgent } from './agents.ts'
import { openAssets } from './assets.ts'
import type { MachineState } from './machine-store.ts'
import { openSecrets } from './secrets.ts'
import { findRelease, listReleaseFiles } from './store.ts'

/** What the server wants of one machine, before it is spelled out. */
export interface Wish {
  agentId: string
  name: string
  namespace: string
  namespaceOwner: string
  label: string
  revision: number
  releaseId: string | null
}

/**
 * A machine that is on its way, or alone, should run what is desired. While its successor is on its way, the one that
 * serves goes on with what is live; out of service it runs nothing.
 */
export async function findWish(sql: Sql, machine: MachineCaller): Promise<Wish | undefined> {
  const [row] = await sql<
    (Omit<Wish, 'releaseId'> & {
      live: string | null
      desired: string | null
      state: MachineState
      followed: boolean
    })[]
  >`
    select a.id as "agentId", a.name, n.name as namespace, n.owner_account_id as "namespaceOwner", a.label, a.revision,
      a.release_id as live, a.desired_release_id as desired, m.state,
      exists (select from machines next where next.agent_id = a.id and next.state in ('intended', 'created')) as followed
    from machines m join agents a on a.id = m.agent_id join namespaces n on n.id = a.namespace_id
    where m.id = ${machine.machineId}`
  if (!row) return undefined
  const { live, desired, state, followed, ...wish } = row
  if (state === 'deleting' || state === 'deleted') return { ...wish, releaseId: null }
  return { ...wish, releaseId: state === 'ready' && followed ? live : desired }
}

/** Revisions are told together with the runner's own version, so that a new runner is news as well. */
const REVISIONS_OF_A_RUNNER = 2 ** 20

function toldRevision(revision: number, runnerSha256: string): number {
  return (
    revision * REVISIONS_OF_A_RUNNER + (Number.parseInt(runnerSha256.slice(0, 5), 16) % REVISIONS_OF_A_RUNNER)
  )
}

/** Answers when the machine should run something else than it knows, or when the poll has lasted long enough. */
export async function awaitDesired(
  deps: Pick<Deps, 'db' | 'clock' | 'config' | 'keyring'> & { wakes: Wakes },
  machine: MachineCaller,
  poll: z.infer<typeof Poll>,
  signal: AbortSignal,
): Promise<Desired> {
  const { db, clock } = deps
  const wake = deps.wakes.of(machine.agentId)
  try {
    const { runner } = await openAssets(deps.config)
    await db.jobs`update machines set seen_at = ${clock.now()} where id = ${machine.machineId}`
    await db.jobs`
      update machines set port = ${poll.port} where id = ${machine.machineId} and port is distinct from ${poll.port}`
    const deadline = performance.now() + POLL_SECONDS * 1000
    for (;;) {
      const wish = await findWish(db.jobs, machine)
      if (!wish) throw noSuchAgent()
      const remaining = deadline - performance.now()
      const revision = toldRevision(wish.revision, runner.sha256)
      if (revision !== poll.revision || remaining <= 0 || signal.aborted) {
        return { revision, release: await desiredRelease(deps, wish), runner: { sha256: runner.sha256 } }
      }
      await wake.next(remaining, signal)
    }
  } finally {
    wake.close()
  }
}

async function desiredRelease(
  deps: Pick<Deps, 'db' | 'config' | 'keyring'>,
  wish: Wish,
): Promise<Desired['release']> {
  if (wish.releaseId === null) return null
  const sql = deps.db.jobs
  const [release, files, secrets] = await Promise.all([
    findRelease(sql, wish.releaseId),
    listReleaseFiles(sql, wish.releaseId),
    openSecrets(sql, deps.keyring, wish.agentId),
  ])
  if (!release) throw new Problem('unavailable', 'The release is gone.')
  return {
    id: release.id,
    number: release.number,
    config: release.config,
    files,
    environment: {
      ...secrets,
      AGENTCTL_AGENT: wish.name,
      AGENTCTL_NAMESPACE: wish.namespace,
      AGENTCTL_RELEASE: String(release.number),
      AGENTCTL_URL: agentUrl(deps, wish.label),
    },
  }
}

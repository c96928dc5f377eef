import { type Desired, POLL_SECONDS, type Poll } from '@agentctl/contract/runner.ts'
import type { z } from 'zod'
import type { Deps } from '../deps.ts'
import type { Sql } from '../platform/db.ts'
import type { MachineCaller } from '../platform/http.ts'
import { wakeOperation } from '../platform/operations.ts'
import { Problem } from '../platform/problem.ts'
import type { Wakes } from '../platform/wakes.ts'
import { agentUrl, noSuchAgent } from './agents.ts'
import { openAssets } from './assets.ts'
import { findMachineWish, revokeMachine, setMachineSeen } from './machine-store.ts'
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
  /** Whether it is to end everything and to forget what is secret, since its disk is about to be copied. */
  forget: boolean
}

/**
 * A machine that is on its way, or alone, should run what is desired. While its successor is on its way, the one that
 * serves goes on with what is live; out of service it runs nothing.
 */
export async function findWish(sql: Sql, machine: MachineCaller): Promise<Wish | undefined> {
  const row = await findMachineWish(sql, machine.machineId)
  if (!row) return undefined
  const { live, desired, state, followed, ...wish } = row
  if (state === 'resting') return { ...wish, releaseId: null, forget: true }
  if (state === 'deleting' || state === 'deleted') return { ...wish, releaseId: null, forget: false }
  return { ...wish, releaseId: state === 'ready' && followed ? live : desired, forget: false }
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
    await setMachineSeen(db.jobs, machine.machineId, { port: poll.port, now: clock.now() })
    const deadline = performance.now() + POLL_SECONDS * 1000
    for (;;) {
      const wish = await findWish(db.jobs, machine)
      if (!wish) throw noSuchAgent()
      if (poll.emptied && wish.forget) {
        await db.work(async (tx) => {
          await wakeOperation(tx, machine.agentId)
          await revokeMachine(tx, machine.machineId)
        })
      }
      const remaining = deadline - performance.now()
      const revision = toldRevision(wish.revision, runner.sha256)
      if (revision !== poll.revision || poll.emptied || remaining <= 0 || signal.aborted) {
        return {
          revision,
          release: await desiredRelease(deps, wish),
          ...(wish.forget ? { forget: true as const } : {}),
          runner: { sha256: runner.sha256 },
        }
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

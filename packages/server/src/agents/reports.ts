import type { Report } from '@agentctl/contract/runner.ts'
import type { z } from 'zod'
import type { Deps } from '../deps.ts'
import type { Sql } from '../platform/db.ts'
import type { MachineCaller } from '../platform/http.ts'
import { finishOperation, lockOperation } from '../platform/operations.ts'
import { DRAIN_SECONDS, LAST_WORDS_SECONDS } from './limits.ts'
import { retireMachines } from './machine-removal.ts'
import { listMachines, type MachineRow } from './machine-store.ts'
import { findRelease, lockAgent, type ReleaseRow } from './store.ts'

type ReportBody = z.infer<typeof Report>

const steps = {
  fetching: 'Fetching its files',
  installing: 'Installing',
  starting: 'Starting, waiting until it is healthy',
} as const

/**
 * What a machine says about a release decides about the agent, in one transaction. Only the machine that should run
 * the release is believed, and only as long as the release is still under way or live: a report that comes late or
 * twice changes nothing.
 */
export async function takeReport(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  machine: MachineCaller,
  report: ReportBody,
): Promise<void> {
  const now = clock.now()
  await db.work(async (tx) => {
    await lockOperation(tx, machine.agentId)
    const agent = await lockAgent(tx, machine.agentId)
    const release = agent && (await findRelease(tx, report.releaseId))
    if (!release || release.agentId !== agent.id) return
    const machines = await listMachines(tx, agent.id)
    const teller = machines.find((row) => row.id === machine.machineId)
    if (!teller || teller.state === 'deleting') return
    if (release.status === 'live') {
      if (teller.state === 'ready') await tellLive(tx, release, report)
      return
    }
    const underWay = release.status === 'pending' || release.status === 'starting'
    if (!underWay || agent.desiredReleaseId !== release.id || teller !== machineComing(machines)) return
    const timings = timingsOf(release, report, now)
    switch (report.state) {
      case 'fetching':
      case 'installing':
      case 'starting':
        await tx`
          update releases set status = 'starting', step = ${steps[report.state]}, timings = ${tx.json(timings)}
          where id = ${release.id}`
        return
      case 'healthy':
        await goLive(tx, { agent, release, timings, teller, machines, now })
        await finishOperation(tx, agent.id, now)
        return
      case 'failed':
      case 'crashed':
        await tx`update releases set timings = ${tx.json(timings)} where id = ${release.id}`
        await failRelease(tx, {
          releaseId: release.id,
          failure: {
            reason: report.reason ?? 'exited',
            message: plain(report.message ?? 'The release did not become healthy.'),
            logTail: (report.logTail ?? []).map(plain),
          },
          now,
        })
        await finishOperation(tx, agent.id, now)
    }
  })
}

/** The machine that is to run what is desired: the one on its way, else the one that serves. */
export function machineComing(machines: readonly MachineRow[]): MachineRow | undefined {
  return (
    machines.find(({ state }) => state === 'intended' || state === 'created') ??
    machines.find(({ state }) => state === 'ready')
  )
}

async function tellLive(tx: Sql, release: ReleaseRow, report: ReportBody): Promise<void> {
  const status = report.state === 'healthy' ? 'running' : 'failing'
  if (report.state !== 'healthy' && report.state !== 'crashed' && report.state !== 'failed') return
  await tx`
    update agents set status = ${status}
    where id = ${release.agentId} and status in ('running', 'failing') and status <> ${status}`
}

function timingsOf(release: ReleaseRow, report: ReportBody, now: Date): ReleaseRow['timings'] {
  const sinceCreation = now.getTime() - release.createdAt.getTime()
  return {
    ...release.timings,
    ...report.timings,
    machineMs: release.timings.machineMs ?? sinceCreation,
    ...(report.state === 'healthy' ? { totalMs: sinceCreation } : {}),
  }
}

async function goLive(
  tx: Sql,
  {
    agent,
    release,
    timings,
    teller,
    machines,
    now,
  }: {
    agent: { id: string }
    release: ReleaseRow
    timings: ReleaseRow['timings']
    teller: MachineRow
    machines: readonly MachineRow[]
    now: Date
  },
): Promise<void> {
  await tx`
    update releases set status = 'retired', finished_at = ${now}
    where agent_id = ${agent.id} and status = 'live'`
  await tx`
    update releases set status = 'live', step = null, live_at = ${now}, timings = ${tx.json(timings)}
    where id = ${release.id}`
  const before = machines.filter((row) => row.id !== teller.id && row.state !== 'deleting')
  await retireMachines(tx, before, { afterSeconds: DRAIN_SECONDS, now })
  await tx`update machines set state = 'ready' where id = ${teller.id} and state <> 'ready'`
  await tx`
    update agents set release_id = ${release.id}, status = 'running', size = ${release.config.size}, used_at = ${now}
    where id = ${agent.id}`
}

/**
 * Ends a release that never became healthy: what was live before goes on, and a machine that was made for the failed
 * release alone goes away. The caller holds the lock of the agent. False when it had ended already.
 */
export async function failRelease(
  tx: Sql,
  { releaseId, failure, now }: { releaseId: string; failure: NonNullable<ReleaseRow['failure']>; now: Date },
): Promise<boolean> {
  const [failed] = await tx<{ agentId: string }[]>`
    update releases set status = 'failed', step = null, failure = ${tx.json(failure)}, finished_at = ${now}
    where id = ${releaseId} and status in ('pending', 'starting') returning agent_id as "agentId"`
  if (!failed) return false
  const machines = await listMachines(tx, failed.agentId)
  const unused = machines.filter(({ state }) => state === 'intended' || state === 'created')
  await retireMachines(tx, unused, { afterSeconds: LAST_WORDS_SECONDS, now })
  await tx`
    update agents set desired_release_id = release_id, revision = revision + 1,
      status = case when release_id is null then 'failing' else status end
    where id = ${failed.agentId} and status <> 'deleted'`
  return true
}

/** PostgreSQL stores no NUL, and a machine may send one. */
function plain(text: string): string {
  return text.replaceAll('\0', '\uFFFD')
}

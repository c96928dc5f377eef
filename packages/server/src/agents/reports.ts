import type { Report } from '@agentctl/contract/runner.ts'
import type { z } from 'zod'
import type { Deps } from '../deps.ts'
import type { Sql } from '../platform/db.ts'
import type { MachineCaller } from '../platform/http.ts'
import { finishOperation, lockOperation } from '../platform/operations.ts'
import {
  fallBack,
  type LockedAgent,
  lockAgent,
  setAgentHealth,
  setAgentLive,
  setAgentResting,
  setReleaseFailed,
  setReleaseLive,
  setReleaseStarting,
  setReleaseTimings,
} from './lifecycle-store.ts'
import { DRAIN_SECONDS, LAST_WORDS_SECONDS } from './limits.ts'
import { retireMachines } from './machine-removal.ts'
import { listMachines, type MachineRow, setMachineState } from './machine-store.ts'
import { meterAgent } from './metering.ts'
import { removeSnapshots } from './snapshot-removal.ts'
import { listSnapshots } from './snapshot-store.ts'
import { findRelease, type ReleaseRow } from './store.ts'

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
    if (!teller || teller.state === 'deleting' || teller.state === 'resting') return
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
        await setReleaseStarting(tx, release.id, { step: steps[report.state], timings })
        return
      case 'healthy':
        await goLive(tx, { agent, release, timings, teller, machines, now })
        await finishOperation(tx, agent.id, now)
        return
      case 'failed':
      case 'crashed':
        await setReleaseTimings(tx, release.id, timings)
        await failRelease(
          tx,
          release,
          {
            reason: report.reason ?? 'exited',
            message: plain(report.message ?? 'The release did not become healthy.'),
            logTail: (report.logTail ?? []).map(plain),
          },
          now,
        )
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
  await setAgentHealth(tx, release.agentId, status)
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
    agent: LockedAgent
    release: ReleaseRow
    timings: ReleaseRow['timings']
    teller: MachineRow
    machines: readonly MachineRow[]
    now: Date
  },
): Promise<void> {
  const { size } = release.config
  await setReleaseLive(tx, { id: release.id, agentId: agent.id, timings, now })
  const before = machines.filter((row) => row.id !== teller.id && row.state !== 'deleting')
  await retireMachines(tx, before, { afterSeconds: DRAIN_SECONDS, now })
  await setMachineState(tx, teller.id, 'ready')
  await setAgentLive(tx, agent.id, { releaseId: release.id, size, now })
  await meterAgent(tx, agent, size, now)
  // What was restored lives on in the machine, and what is older than it is of no use to anybody.
  await removeSnapshots(tx, await listSnapshots(tx, agent.id), now)
}

/**
 * Ends a release that never became healthy: what was live before goes on, what rested rests, and a machine that was
 * made for the failed release alone goes away. The caller holds the lock of the operation. False when it had ended
 * already.
 */
export async function failRelease(
  tx: Sql,
  release: Pick<ReleaseRow, 'id' | 'agentId'>,
  failure: NonNullable<ReleaseRow['failure']>,
  now: Date,
): Promise<boolean> {
  const agent = await lockAgent(tx, release.agentId)
  if (!agent || !(await setReleaseFailed(tx, release.id, failure, now))) return false
  const machines = await listMachines(tx, agent.id)
  const unused = machines.filter(({ state }) => state === 'intended' || state === 'created')
  await retireMachines(tx, unused, { afterSeconds: LAST_WORDS_SECONDS, now })
  if (agent.rest !== 'suspended') {
    await fallBack(tx, agent.id)
    return true
  }
  // There are credits again, but it does not start: it is stopped, for its people to look at, instead of being tried
  // again without an end.
  const kept = (await listSnapshots(tx, agent.id)).some(({ state }) => state === 'complete')
  await setAgentResting(tx, agent.id, { rest: 'stopped', since: now, resumes: false, snapshotDeleteAt: null })
  await meterAgent(tx, agent, kept ? 'stopped' : 'suspended', now)
  return true
}

/** PostgreSQL stores no NUL, and a machine may send one. */
function plain(text: string): string {
  return text.replaceAll('\0', '\uFFFD')
}

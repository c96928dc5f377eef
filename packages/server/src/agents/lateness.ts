import { secondsAfter } from '../platform/clock.ts'
import type { Operation } from '../platform/operations.ts'
import { FIRST_RELEASE_SECONDS, INSTALL_MARGIN_SECONDS, RESTORED_RELEASE_SECONDS } from './limits.ts'
import type { MachineRow } from './machine-store.ts'
import { machineComing } from './reports.ts'
import type { AgentRow, ReleaseRow } from './store.ts'

export type Failure = NonNullable<ReleaseRow['failure']>

/** Why a release has had its time, or undefined. */
export function lateness(
  { agent, release, machines }: { agent: AgentRow; release: ReleaseRow; machines: MachineRow[] },
  operation: Pick<Operation, 'createdAt'>,
  now: Date,
): Omit<Failure, 'logTail'> | undefined {
  const machine = machineComing(machines)
  const first = agent.releaseId === null || machine?.state !== 'ready'
  const restored = machine ? machine.snapshotId !== null : agent.rest !== null
  const allowed = !first
    ? INSTALL_MARGIN_SECONDS + release.config.health.timeoutSeconds
    : restored
      ? RESTORED_RELEASE_SECONDS
      : FIRST_RELEASE_SECONDS
  // Not from the release itself: it may have waited until its agent was laid to rest.
  if (secondsAfter(operation.createdAt, allowed) > now) return undefined
  const minutes = Math.round(allowed / 60)
  if (machine?.state === 'intended') {
    return {
      reason: 'provider_unavailable',
      message: `The provider gave no machine within ${minutes} minutes.`,
    }
  }
  if (!machine || machine.seenAt === null) {
    return { reason: 'machine_not_ready', message: `Its machine was not ready within ${minutes} minutes.` }
  }
  return { reason: 'timeout', message: `It was not healthy within ${minutes} minutes.` }
}

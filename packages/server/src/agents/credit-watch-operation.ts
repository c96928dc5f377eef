import { listOverspent, newBreaches, spentBySubject } from '../billing/limits.ts'
import { hourlyMicros } from '../billing/quotes.ts'
import { canTakeOn, fundedAmong, listUnpaidSubjects, newRunwayWarnings } from '../billing/runway.ts'
import type { Deps } from '../deps.ts'
import { notify } from '../identity/notices.ts'
import { listHeldAccounts } from '../identity/standing.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import { type Lease, lockOperation, type Operation, type Outcome } from '../platform/operations.ts'
import { Problem } from '../platform/problem.ts'
import {
  beginGrace,
  endGrace,
  listAwake,
  listCapped,
  listPurgeable,
  listWaiting,
  lockAgent,
  lockMeans,
  type RestingAgent,
  setAgentResting,
  setResumes,
} from './lifecycle-store.ts'
import { comingMicros } from './means.ts'
import { meterAgent } from './metering.ts'
import { repeatLive } from './releases.ts'
import { graceEnd, stopForLimit, suspendAgent } from './rest.ts'
import { removeSnapshots } from './snapshot-removal.ts'
import { listSnapshots } from './snapshot-store.ts'

/** Business time can jump, and the database that wakes operations does not see it. */
const LOOK_SECONDS = 2
/** How often runways and budgets are looked at, by business time: nobody has to be warned to the second. */
const WARN_SECONDS = 30
const AT_ONCE = 200

type Parts = Pick<Deps, 'db' | 'clock' | 'config' | 'log'>

/**
 * What happens to agents because of money: without credits they are suspended, with credits they come back, and after
 * the grace period their snapshots go. Each look acts on what is at its moment, so that none that was missed matters.
 */
export async function visitCreditWatch(deps: Parts, operation: Operation, lease: Lease): Promise<Outcome> {
  const now = deps.clock.now()
  await suspendUnpaid(deps, lease, now)
  await suspendHeld(deps, lease, now)
  await bringBack(deps, lease, now)
  await purge(deps, lease, now)
  const { warnedAt } = operation.stepData
  const due = typeof warnedAt !== 'string' || secondsAfter(new Date(warnedAt), WARN_SECONDS) <= now
  if (!due) return { state: 'again', afterSeconds: LOOK_SECONDS }
  await warn(deps, lease, now)
  await stopOverBudget(deps, lease, now)
  return { state: 'again', afterSeconds: LOOK_SECONDS, stepData: { warnedAt: now.toISOString() } }
}

/** Each in a transaction of its own, with its notice: one that fails holds up no other. */
async function suspendUnpaid({ db, config }: Parts, lease: Lease, now: Date): Promise<void> {
  for (const { subject, accountId, depletedAt } of await listUnpaidSubjects(db.jobs, AT_ONCE)) {
    const resting = { since: depletedAt, graceDays: config.graceDays, now }
    await lease.write(async (tx) => {
      const agent = await suspendAgent(tx, subject, resting)
      if (!agent) return
      await notify(tx, {
        accountId,
        kind: 'suspended',
        message: `${agent.name} is suspended: the credits are used up. Its files are kept until ${minute(graceEnd(resting))}; a deposit before that which covers an hour of it brings it back with them.`,
        next: 'agentctl billing deposit 25',
        now,
      })
    })
  }
}

/** What operators have suspended or banned runs nothing, whatever its credits are; its people were told why. */
async function suspendHeld({ db, config }: Parts, lease: Lease, now: Date): Promise<void> {
  const { graceDays } = config
  for (const { accountId, state } of await listHeldAccounts(db.jobs)) {
    for (const { id } of await listAwake(db.jobs, accountId)) {
      await lease.write((tx) => suspendAgent(tx, id, { since: now, graceDays, now, why: state }))
    }
  }
  await lease.write(async (tx) => {
    await endGrace(tx)
    await beginGrace(tx, graceEnd({ since: now, graceDays, now }))
  })
}

/** After a deposit, or a move that failed: the most recently used first, as far as the money goes. */
async function bringBack({ db, log }: Parts, lease: Lease, now: Date): Promise<void> {
  const waiting = await listWaiting(db.jobs, AT_ONCE)
  const funded = new Set(
    await fundedAmong(db.jobs, [...new Set(waiting.map(({ ownerAccountId }) => ownerAccountId))]),
  )
  for (const agent of waiting.filter(({ ownerAccountId }) => funded.has(ownerAccountId))) {
    if (!agent.resumes) {
      await lease.write((tx) => backToStopped(tx, agent, now))
      continue
    }
    const { ownerAccountId } = agent
    const begun = await lease
      .write(async (tx) => {
        await lockMeans(tx, ownerAccountId)
        const more = hourlyMicros[agent.size] + (await comingMicros(tx, ownerAccountId, agent.id))
        if (!(await canTakeOn(tx, ownerAccountId, more, now))) return undefined
        const row = await lockedForReturn(tx, agent)
        if (!row) return false
        // Once only: a return that fails too is for its people to look at.
        if (agent.rest === 'stopped') await setResumes(tx, agent.id, false)
        await repeatLive(tx, row, now)
        await notify(tx, {
          accountId: ownerAccountId,
          kind: 'resumed',
          message:
            agent.rest === 'stopped'
              ? `${agent.name} did not become healthy on another machine and is being brought back as it was.`
              : `${agent.name} is being brought back: nothing stands in its way any more.`,
          next: `agentctl agents show ${agent.name}`,
          now,
        })
        return true
      })
      .catch((error: unknown) => {
        // Its files may be gone, or somebody deploys it at this moment: the others come back all the same.
        if (!(error instanceof Problem)) throw error
        return false
      })
    if (begun === false) log.warn('An agent at rest could not be brought back', { agentId: agent.id })
  }
}

/** Undefined when something has been done about it since it was listed. */
async function lockedForReturn(tx: Sql, listed: Pick<RestingAgent, 'id' | 'rest' | 'resumes'>) {
  await lockOperation(tx, listed.id)
  const agent = await lockAgent(tx, listed.id)
  const isSame = agent?.rest === listed.rest && agent.resumes === listed.resumes
  return isSame && agent.status === agent.rest ? agent : undefined
}

/** It was stopped before the credits ended, so it is stopped again: its snapshot costs, and waits for its people. */
async function backToStopped(tx: Sql, listed: RestingAgent, now: Date): Promise<void> {
  const agent = await lockedForReturn(tx, listed)
  if (!agent) return
  const kept = (await listSnapshots(tx, agent.id)).some(({ state }) => state === 'complete')
  await setAgentResting(tx, agent.id, { rest: 'stopped', since: now, resumes: false, snapshotDeleteAt: null })
  await meterAgent(tx, agent, kept ? 'stopped' : 'suspended', now)
}

/** The end of the grace period: the files go, the configuration and the last release stay. */
async function purge({ db }: Parts, lease: Lease, now: Date): Promise<void> {
  for (const { agentId, resumes, snapshotId, namespaceId, name, accountId } of await listPurgeable(
    db.jobs,
    now,
    AT_ONCE,
  )) {
    await lease.write(async (tx) => {
      if (!(await lockedForReturn(tx, { id: agentId, rest: 'suspended', resumes }))) return
      await removeSnapshots(tx, [{ id: snapshotId, namespaceId }], now)
      await notify(tx, {
        accountId,
        kind: 'snapshot_deleted',
        message: `The grace period of ${name} is over and its files are deleted. Its configuration and last release are kept; a deposit starts it with an empty disk.`,
        next: 'agentctl billing deposit 25',
        now,
      })
    })
  }
}

async function warn({ config }: Parts, lease: Lease, now: Date): Promise<void> {
  await lease.write(async (tx) => {
    for (const { accountId, hours, zeroAt } of await newRunwayWarnings(tx, now)) {
      await notify(tx, {
        accountId,
        kind: `runway_${hours}h`,
        message: `Your credits last until ${minute(zeroAt)}, less than ${hours === 1 ? 'an hour' : `${hours} hours`}. Then your agents are suspended; their files are kept for ${config.graceDays} days.`,
        next: 'agentctl billing deposit 25',
        now,
      })
    }
    for (const breach of await newBreaches(tx, now)) {
      await notify(tx, { ...breach, now })
    }
  })
}

/** Hard limits: of accounts for a month, of agents in all. */
async function stopOverBudget({ db, config }: Parts, lease: Lease, now: Date): Promise<void> {
  const resting = { since: now, graceDays: config.graceDays, now }
  for (const accountId of await listOverspent(db.jobs, now)) {
    for (const { id } of await listAwake(db.jobs, accountId)) {
      await lease.write((tx) => stopForLimit(tx, id, resting))
    }
  }
  for (const { id, ownerAccountId, name, maxTotalMicros } of await listCapped(db.jobs)) {
    if ((await spentBySubject(db.jobs, id, now)) < maxTotalMicros) continue
    await lease.write(async (tx) => {
      if (!(await stopForLimit(tx, id, resting))) return
      await notify(tx, {
        accountId: ownerAccountId,
        kind: 'agent_limit_reached',
        message: `${name} has cost as much as it may, and is stopped. Its files are kept.`,
        next: `agentctl agents show ${name}`,
        now,
      })
    })
  }
}

const minute = (at: Date): string => `${at.toISOString().slice(0, 16).replace('T', ' ')} UTC`

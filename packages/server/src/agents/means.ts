import type { Size } from '@agentctl/contract/agent-config.ts'
import { dollars, spentBySubject } from '../billing/limits.ts'
import { hourlyMicros } from '../billing/quotes.ts'
import { rateOf, requireMeans } from '../billing/runway.ts'
import type { Deps } from '../deps.ts'
import { accountMadeAt } from '../identity/accounts.ts'
import { standingOf } from '../identity/standing.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import { Problem } from '../platform/problem.ts'
import { listComing } from './lifecycle-store.ts'
import { MACHINES_PER_ACCOUNT, MACHINES_PER_NEW_ACCOUNT, NEW_ACCOUNT_DAYS } from './limits.ts'
import { countMachines } from './machine-store.ts'
import type { AgentRow } from './store.ts'

/** What other agents of the account will burn beyond what they burn now, once what is under way is healthy. */
export async function comingMicros(tx: Sql, accountId: string, exceptOfAgent: string): Promise<bigint> {
  let coming = 0n
  for (const { agentId, size } of await listComing(tx, accountId)) {
    if (agentId === exceptOfAgent) continue
    const more = hourlyMicros[size] - (await rateOf(tx, agentId))
    if (more > 0n) coming += more
  }
  return coming
}

/** Refuses one machine more than the account may have at a time; that of the agent itself is not counted. */
async function requireRoomForMachine(
  sql: Sql,
  { id, ownerAccountId }: Pick<AgentRow, 'id' | 'ownerAccountId'>,
  now: Date,
): Promise<void> {
  const machines = await countMachines(sql, ownerAccountId, { exceptOfAgent: id })
  if (machines >= MACHINES_PER_ACCOUNT) throw new Problem('agent_limit')
  const standing = await standingOf(sql, ownerAccountId)
  if (standing?.machinesMax != null && machines >= standing.machinesMax) {
    throw new Problem('agent_limit', `We allow this account ${standing.machinesMax} machines at a time.`, {
      fix: 'Stop or delete an agent, or ask for more at the address at the end of the policy: agentctl policy show',
    })
  }
  if (machines < MACHINES_PER_NEW_ACCOUNT) return
  const madeAt = await accountMadeAt(sql, ownerAccountId)
  const oldAt = madeAt && secondsAfter(madeAt, NEW_ACCOUNT_DAYS * 86_400)
  if (oldAt && now >= oldAt) return
  throw new Problem(
    'agent_limit',
    `In its first ${NEW_ACCOUNT_DAYS} days an account has at most ${MACHINES_PER_NEW_ACCOUNT} machines at a time.`,
    {
      fix: `From ${oldAt?.toISOString().slice(0, 10)} on it may have ${MACHINES_PER_ACCOUNT}. Until then stop or delete an agent: agentctl agents list`,
    },
  )
}

export type AgentOfMeans = Pick<
  AgentRow,
  'id' | 'name' | 'ownerAccountId' | 'maxHourlyMicros' | 'maxTotalMicros'
>

/**
 * Refuses what the credits of its account, the limits of the account or the caps of the agent do not allow. Read by
 * the jobs role, since a member who deploys may not look into the owner's books. The caller has the lock of the means.
 */
export async function requireMeansFor(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  agent: AgentOfMeans,
  size: Size,
): Promise<void> {
  const now = clock.now()
  await requireRoomForMachine(db.jobs, agent, now)
  const rate = hourlyMicros[size]
  if (agent.maxHourlyMicros !== null && rate > agent.maxHourlyMicros) {
    throw new Problem(
      'spend_limit',
      `A ${size} machine costs ${dollars(rate)} an hour; ${agent.name} may cost ${dollars(agent.maxHourlyMicros)}.`,
      { fix: 'Choose a smaller --size, or raise --max-hourly.' },
    )
  }
  if (agent.maxTotalMicros !== null) {
    const spent = await spentBySubject(db.jobs, agent.id, now)
    if (spent >= agent.maxTotalMicros) {
      throw new Problem(
        'spend_limit',
        `${agent.name} has cost ${dollars(spent)}; it may cost ${dollars(agent.maxTotalMicros)} in all.`,
        { fix: 'Raise it: agentctl deploy --max-total AMOUNT' },
      )
    }
  }
  await requireMeans(
    db.jobs,
    {
      accountId: agent.ownerAccountId,
      subject: agent.id,
      hourlyMicros: rate,
      comingMicros: await comingMicros(db.jobs, agent.ownerAccountId, agent.id),
      now,
    },
    `To run ${agent.name}`,
  )
}

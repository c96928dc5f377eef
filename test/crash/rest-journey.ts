import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import { spentBySubject } from '@agentctl/server/billing/limits.ts'
import {
  BORN,
  deleteAgent,
  deletion,
  deploy,
  expectAnswer,
  firstDeploy,
  type Release,
  waitUntilLive,
} from './agent-journey.ts'
import { leaveCredits } from './card-journey.ts'
import { depositOnChain, endPayments } from './chain-journey.ts'
import type { Journey, Operation, Subject } from './journey.ts'
import { spentThisMonth, untilMiddleOfMonth } from './meter-journey.ts'
import { Refused } from './patient-client.ts'
import type { World } from './world.ts'

const REST_MS = 120_000
const HASTEN_MS = 500
const DAY_SECONDS = 86_400
/** What the smallest machine costs in an hour, and longer than that. */
const HOUR_MICROS = 10_000n
const HOUR_SECONDS = 3600
const TWO_HOURS_SECONDS = 7200
const GRACE_DAYS = 14
const DEPOSIT_MICROS = 5_000_000n
const MANY_MICROS = 1_000_000_000n

const restart: Operation = {
  name: 'restart',
  optional: true,
  async run(world, subject) {
    const { agentId } = subject
    const begun = await world.api
      .call<Release>('POST', `/v1/agents/${agentId}/restart`)
      .catch(async (error: unknown) => {
        // The attempt before may have begun it and been killed before it could say so.
        if (!(error instanceof Refused) || error.code !== 'deploy_in_progress') throw error
        const { releases } = await world.api.call<{ releases: Release[] }>(
          'GET',
          `/v1/agents/${agentId}/releases`,
        )
        return releases.reduce((newest, one) => (one.number > newest.number ? one : newest))
      })
    await waitUntilLive(world, subject, begun)
  },
  check: async (world, subject) => {
    await expectAnswer(world, subject, `${subject.name} first kept-by-the-agent`)
    await expectAnswer(world, subject, subject.born, BORN)
    return []
  },
}

/** Its new machine is another one and is made of its disk. */
const largerMachine: Operation = {
  name: 'larger machine',
  run: (world, subject) => deploy(world, subject, 'first', { size: 'small' }),
  async check(world, subject) {
    const [machine] = await world.sql<{ plan: string }[]>`
      select plan from machines where agent_id = ${subject.agentId} and state = 'ready'`
    return [
      ...(machine?.plan === 'vc2-1c-2gb' ? [] : [`its machine is a ${machine?.plan}`]),
      ...(await checkBack(world, subject, { withFiles: true })),
    ]
  },
}

async function abandon(world: World, subject: Subject): Promise<void> {
  await liftLimit(world)
  await endPayments(world)
  await leaveCredits(world, MANY_MICROS)
  await deleteAgent(world, subject)
}

/** An agent is started anew, stopped, and started again with its files. */
export const restJourney: Journey = {
  name: 'rest',
  operations: [
    firstDeploy,
    restart,
    {
      name: 'stop',
      async run(world, subject) {
        await world.api.call('POST', `/v1/agents/${subject.agentId}/stop`)
        await untilAtRest(world, subject, 'stopped')
      },
      check: checkKept,
    },
    {
      name: 'start',
      async run(world, subject) {
        await waitUntilLive(
          world,
          subject,
          await world.api.call<Release>('POST', `/v1/agents/${subject.agentId}/start`),
        )
      },
      check: (world, subject) => checkBack(world, subject, { withFiles: true }),
    },
    deletion,
  ],
  abandon,
}

/** An agent moves to a larger machine, and is stopped by the limit of its account and by its own, while it runs. */
export const limitsJourney: Journey = {
  name: 'limits',
  operations: [
    firstDeploy,
    largerMachine,
    {
      name: 'hard limit of the month',
      async run(world, subject) {
        // It burns for some days until the middle of the month.
        await leaveCredits(world, MANY_MICROS)
        await untilMiddleOfMonth(world)
        const hardMonthlyMicros = String((await spentThisMonth(world)) + HOUR_MICROS / 2n)
        await world.api.call('PATCH', '/v1/billing/limits', { body: { hardMonthlyMicros } })
        await burnAnHour(world)
        await untilAtRest(world, subject, 'stopped')
      },
      check: checkKept,
    },
    {
      name: 'deploy with a limit of its own',
      async run(world, subject) {
        await liftLimit(world)
        const spent = await spentBySubject(world.sql, subject.agentId, world.now())
        await deploy(world, subject, 'first', { size: 'small', maxTotalMicros: spent + HOUR_MICROS / 2n })
      },
      check: (world, subject) => checkBack(world, subject, { withFiles: true }),
    },
    {
      name: 'limit of the agent',
      async run(world, subject) {
        await burnAnHour(world)
        await untilAtRest(world, subject, 'stopped')
      },
      check: async (world, subject) => [
        ...(await checkKept(world, subject)),
        ...(await checkTold(world, subject, 'agent_limit_reached', 1)),
      ],
    },
    deletion,
  ],
  abandon,
}

async function burnAnHour(world: World): Promise<void> {
  await world.advance(HOUR_SECONDS)
  await world.visit('charge-meters')
  await world.visit('watch-credits')
}

async function liftLimit(world: World): Promise<void> {
  await world.api.call('PATCH', '/v1/billing/limits', { body: { hardMonthlyMicros: null } })
}

/**
 * An agent is suspended when the credits end, by the clock, and brought back by a deposit on chain: with its files
 * within the grace period, from its last release after it.
 */
export const creditsJourney: Journey = {
  name: 'credits',
  operations: [
    firstDeploy,
    {
      name: 'credits end',
      async run(world, subject) {
        await endCredits(world)
        await untilAtRest(world, subject, 'suspended')
      },
      check: async (world, subject) => [
        ...(await checkKept(world, subject)),
        ...(await checkTold(world, subject, 'suspended', 1)),
      ],
    },
    {
      name: 'deposit within the grace period',
      run: bringBack,
      check: async (world, subject) => [
        ...(await checkBack(world, subject, { withFiles: true })),
        ...(await checkTold(world, subject, 'resumed', 1)),
      ],
    },
    {
      name: 'end of the grace period',
      async run(world, subject) {
        await endCredits(world)
        await untilAtRest(world, subject, 'suspended')
        await world.advance(GRACE_DAYS * DAY_SECONDS + 1)
        await world.visit('watch-credits')
        await world.visit('remove-snapshot')
      },
      check: async (world, subject) => [
        ...((
          await world.sql`select 1 from snapshots where agent_id = ${subject.agentId} and state <> 'deleted'`
        ).length === 0
          ? []
          : ['its snapshot is still there']),
        ...(await checkTold(world, subject, 'suspended', 2)),
        ...(await checkTold(world, subject, 'snapshot_deleted', 1)),
      ],
    },
    {
      name: 'deposit after the grace period',
      run: bringBack,
      check: async (world, subject) => [
        ...(await checkBack(world, subject, { withFiles: false })),
        ...(await checkTold(world, subject, 'resumed', 2)),
      ],
    },
    deletion,
  ],
  abandon,
}

/** All but an hour of the smallest machine goes, and then more than that hour. */
async function endCredits(world: World): Promise<void> {
  await leaveCredits(world, HOUR_MICROS)
  await world.advance(TWO_HOURS_SECONDS)
  await world.visit('charge-meters')
  await world.visit('watch-credits')
}

async function bringBack(world: World, subject: Subject): Promise<void> {
  await depositOnChain(world, subject, DEPOSIT_MICROS)
  await world.visit('watch-credits')
  await untilRunning(world, subject)
}

/** Until there is such a row; the database may be away for a moment, as one of the faults. */
function becomes(
  world: World,
  { agentId }: Subject,
  rows: () => PromiseLike<readonly unknown[]>,
): Promise<boolean> {
  let hastenedAt = 0
  const look = async (): Promise<boolean> => {
    if ((await rows()).length > 0) return true
    if (performance.now() - hastenedAt > HASTEN_MS) {
      hastenedAt = performance.now()
      await world.hasten(agentId)
    }
    return false
  }
  return waitUntil(() => look().catch(() => false), { withinMs: REST_MS, everyMs: 50 })
}

async function untilAtRest(world: World, subject: Subject, status: string): Promise<void> {
  const isAtRest = await becomes(
    world,
    subject,
    () => world.sql`
      select 1 from agents a where a.id = ${subject.agentId} and a.status = ${status}
        and not exists (select from machines m where m.agent_id = a.id and m.state <> 'deleted')`,
  )
  if (!isAtRest) throw new Error(`The agent is not ${status}, or still has a machine.`)
}

async function untilRunning(world: World, subject: Subject): Promise<void> {
  const runs = await becomes(
    world,
    subject,
    () => world.sql`select 1 from agents where id = ${subject.agentId} and status = 'running'`,
  )
  if (!runs) throw new Error('The agent does not come back.')
}

async function checkKept({ sql }: World, { agentId }: Subject): Promise<string[]> {
  const kept = await sql`select 1 from snapshots where agent_id = ${agentId} and state = 'complete'`
  return kept.length === 1 ? [] : [`there are ${kept.length} whole snapshots instead of 1`]
}

/** It answers with its secret, on a machine that was made of its snapshot and has its files, or of nothing. */
async function checkBack(
  world: World,
  subject: Subject,
  { withFiles }: { withFiles: boolean },
): Promise<string[]> {
  const [machine] = await world.sql<{ snapshot: string | null }[]>`
    select snapshot_id as snapshot from machines where agent_id = ${subject.agentId} and state = 'ready'`
  await expectAnswer(world, subject, `${subject.name} first kept-by-the-agent`)
  if (withFiles) await expectAnswer(world, subject, subject.born, BORN)
  if (!machine) return ['it has no machine']
  return (machine.snapshot !== null) === withFiles ? [] : [`its machine was made of ${machine.snapshot}`]
}

/** Its name is in the message, and no other agent of its world ever had it. */
async function checkTold({ sql }: World, { name }: Subject, kind: string, times: number): Promise<string[]> {
  const told = await sql`select 1 from notices where kind = ${kind} and message ~ ${`\\m${name}\\M`}`
  return told.length === times ? [] : [`${kind} was told ${told.length} times instead of ${times}`]
}

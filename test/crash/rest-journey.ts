import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import {
  deleteAgent,
  deletion,
  expectAnswer,
  firstDeploy,
  type Release,
  waitUntilLive,
} from './agent-journey.ts'
import type { Journey, Subject } from './journey.ts'
import type { World } from './world.ts'

const REST_MS = 60_000

/** An agent is stopped and started, and suspended and brought back, with its files each time. */
export const restJourney: Journey = {
  name: 'rest',
  operations: [
    firstDeploy,
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
          await world.api.call<Release>('POST', `/v1/agents/${subject.agentId}/start`),
        )
      },
      check: checkBack,
    },
    {
      name: 'suspend',
      async run(world, subject) {
        await leaveCredits(world, 1n)
        await untilAtRest(world, subject, 'suspended', () => chargeSoon(world))
      },
      check: checkKept,
    },
    {
      name: 'resume',
      async run(world, subject) {
        await leaveCredits(world, 1_000_000_000n)
        await untilRunning(world, subject)
      },
      check: checkBack,
    },
    deletion,
  ],
  async abandon(world, subject) {
    await leaveCredits(world, 1_000_000_000n)
    await deleteAgent(world, subject)
  },
}

/** As a deposit or a reversal would leave them; told again, it changes nothing. */
async function leaveCredits({ sql }: World, micros: bigint): Promise<void> {
  const at = new Date()
  const change = sql`${micros}::bigint - balance_micros`
  await sql`
    select ledger_post('crash:' || entry_count, 'deposit', 'crash', ledger_account_id, 'sys_treasury', ${change}, ${at})
    from ledger_balances where balance_micros <> ${micros}::bigint`
}

/**
 * Has the meters reckon anew when credits end: it was not a deposit or another meter that changed them. The clock is
 * left alone, since other worlds share it.
 */
async function chargeSoon({ sql }: World): Promise<void> {
  await sql`
    update operations set step_data = '{}', run_at = clock_timestamp()
    where kind = 'charge-meters' and lease_until is null`
}

async function untilAtRest(
  { sql }: World,
  { agentId }: Subject,
  status: string,
  nudge: () => Promise<void> = async () => {},
): Promise<void> {
  const isAtRest = await waitUntil(
    async () => {
      await nudge()
      const rows = await sql`
        select 1 from agents a where a.id = ${agentId} and a.status = ${status}
          and not exists (select from machines m where m.agent_id = a.id and m.state <> 'deleted')`
      return rows.length === 1
    },
    { withinMs: REST_MS, everyMs: 200 },
  )
  if (!isAtRest) throw new Error(`The agent is not ${status}, or still has a machine.`)
}

async function untilRunning({ sql }: World, { agentId }: Subject): Promise<void> {
  const runs = await waitUntil(
    async () => (await sql`select 1 from agents where id = ${agentId} and status = 'running'`).length === 1,
    { withinMs: REST_MS, everyMs: 50 },
  )
  if (!runs) throw new Error('The agent does not come back.')
}

async function checkKept({ sql }: World, { agentId }: Subject): Promise<string[]> {
  const kept = await sql`select 1 from snapshots where agent_id = ${agentId} and state = 'complete'`
  return kept.length === 1 ? [] : [`there are ${kept.length} whole snapshots instead of 1`]
}

/** It answers with its secret, on a machine that was made of its snapshot. */
async function checkBack(world: World, subject: Subject): Promise<string[]> {
  const [machine] = await world.sql<{ snapshot: string | null }[]>`
    select snapshot_id as snapshot from machines where agent_id = ${subject.agentId} and state = 'ready'`
  await expectAnswer(world, subject, `${subject.name} first kept-by-the-agent`)
  return machine?.snapshot ? [] : ['its machine was not made of its snapshot']
}

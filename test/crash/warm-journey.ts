import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import { deleteAgent, deletion, firstDeploy } from './agent-journey.ts'
import type { Journey, Operation, Subject } from './journey.ts'
import { wantedWarm } from './warm-invariants.ts'
import type { World } from './world.ts'

const READY_MS = 60_000

/** The agent beside the first one, which wants a machine at the same moment. */
const besides = new WeakMap<Subject, Subject>()

function besideOf(subject: Subject): Subject {
  const known = besides.get(subject)
  if (known) return known
  const beside = { ...subject, name: `${subject.name}-b` }
  besides.set(subject, beside)
  return beside
}

const bothDeploy: Operation = {
  name: 'two deploys, one machine ready',
  async run(world, subject) {
    await untilReady(world)
    await Promise.all([firstDeploy.run(world, subject), firstDeploy.run(world, besideOf(subject))])
  },
  check: async (world, subject) => [
    ...(await firstDeploy.check(world, subject)),
    ...(await firstDeploy.check(world, besideOf(subject))),
  ],
}

const bothGo: Operation = {
  name: 'both are deleted',
  async run(world, subject) {
    await Promise.all([deletion.run(world, subject), deletion.run(world, besideOf(subject))])
  },
  check: async (world, subject) => [
    ...(await deletion.check(world, subject)),
    ...(await deletion.check(world, besideOf(subject))),
  ],
}

/** A machine is kept ready, and two agents want one: the first to come has it, and another one is made ready. */
export const warmJourney: Journey = {
  name: 'warm',
  operations: [bothDeploy, bothGo],
  async abandon(world, subject) {
    await deleteAgent(world, subject)
    await deleteAgent(world, besideOf(subject))
  },
}

/** As many are ready as are wanted. */
export async function untilReady(world: World): Promise<void> {
  const isReady = await waitUntil(
    async () => {
      const rows = await world.sql<{ id: string; state: string }[]>`
        select id, state from warm_machines where state not in ('bound', 'deleted')`
      await world.hasten('keep-warm:machines')
      for (const { id } of rows) await world.hasten(`warm:${id}`)
      return rows.filter(({ state }) => state === 'warm').length >= wantedWarm(world)
    },
    { withinMs: READY_MS, everyMs: 50 },
  )
  if (!isReady) throw new Error('No machine comes to be ready.')
}

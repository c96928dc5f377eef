import { expect, test } from 'vitest'
import { type Lease, type Operation, startWorker, type Work } from '../platform/operations.ts'
import { STALE_SECONDS, visitKeepWarm, WARM_DAYS } from './keep-warm-operation.ts'
import { agentWork, scheduleAgentWork } from './operations.ts'
import {
  due,
  ended,
  eventually,
  type Person,
  type TestCloud,
  type TestMachine,
  testCloud,
} from './test-cloud.ts'
import { visitWarmMachine } from './warm-operation.ts'

const states = async ({ sql }: TestCloud): Promise<string[]> =>
  (await sql<{ state: string }[]>`select state from warm_machines order by created_at`).map(
    ({ state }) => state,
  )

/** Has it looked at what is kept, now and then, until this is so. */
const soon = (cloud: TestCloud, expected: () => Promise<boolean>): Promise<true> => {
  let looks = 0
  return eventually(async () => {
    if (looks++ % 20 === 0) await due(cloud, 'keep-warm:machines')
    return (await expected()) || undefined
  })
}

/** Orders of machines that the provider has been sent, as their labels. */
async function orders({ vultr }: TestCloud): Promise<string[]> {
  const answer = await fetch(`${vultr.url}/_local/requests`)
  const all = (await answer.json()) as { method: string; path: string; body: string }[]
  return all
    .filter(({ method, path }) => method === 'POST' && path === '/v2/instances')
    .map(({ body }) => /"label":"([^"]+)"/.exec(body)?.[1] ?? '')
}

async function goesLive(person: Person, machine: TestMachine, releaseId: string): Promise<void> {
  await machine.learns(releaseId)
  await machine.report(releaseId, 'healthy')
  expect(await ended(person, releaseId)).toMatchObject({ status: 'live' })
}

test('the first deploy takes a machine that is ready: no boot, a credential of its own, and never again', async () => {
  const cloud = await testCloud()
  await cloud.workForEver()
  await cloud.keepWarm({ small: 1 })
  const machine = await cloud.blankMachine()
  // Blank: no agent, no namespace, nothing to poll with, and nothing of anybody in its script.
  expect(await cloud.sql`select 1 from machines`).toHaveLength(0)
  expect(machine.token).toBe('none')
  const held = machine.waits()
  expect(await states(cloud)).toEqual(['warm'])

  const alice = await cloud.person('alice')
  const before = await orders(cloud)
  const { body } = await alice.deploy('hello', 'x')
  expect(await held).toMatchObject({ status: 200, body: { machineId: machine.id } })
  expect(machine.token).toMatch(/^actl_m_/)
  const [row] = await cloud.sql`select id, generation, state, snapshot_id from machines`
  expect(row).toEqual({ id: machine.id, generation: 1, state: 'created', snapshot_id: null })
  expect(await cloud.rate(body.agent.id)).toBe(0)
  await goesLive(alice, machine, body.release.id)
  expect(await cloud.rate(body.agent.id)).toBe(20_000)
  // What it waited with is worth nothing now, like the token of its script before.
  expect((await machine.waits()).status).toBe(401)

  // At the provider, too, it is known whose it is.
  await eventually(async () => {
    const told = (await cloud.instances()).map(({ tags }) =>
      tags.filter((tag) => tag === 'warm' || tag.startsWith('agent:')).join(),
    )
    // The one that takes its place may be there already.
    return told.includes(`agent:${body.agent.id}`) || undefined
  })

  // Another one takes its place, and that alone was ordered.
  const next = await cloud.blankMachine([machine])
  const ordered = (await orders(cloud)).slice(before.length)
  expect(ordered).toEqual([expect.stringMatching(/^op_\w+-warm$/)])
  // Nobody else gets the first one.
  const bob = await cloud.person('bob')
  const another = next.waits()
  const { body: his } = await bob.deploy('hello', 'x')
  expect(await another).toMatchObject({ status: 200, body: { machineId: next.id } })
  await goesLive(bob, next, his.release.id)
  // What was stopped comes back on a machine made of its disk, although a blank one is ready.
  const third = await cloud.blankMachine([machine, next])
  const waiting = new AbortController()
  const stillHeld = third.waits(waiting.signal)
  await Promise.all([machine.forgets(), alice.call('POST', '/v1/agents/hello/stop')])
  await eventually(async () => ((await cloud.snapshots()).length === 1 ? true : undefined))
  await alice.call('POST', '/v1/agents/hello/start')
  const restored = await cloud.machineOf(body.agent.id, machine)
  expect(
    await cloud.sql`select generation, snapshot_id is not null as "of" from machines where id = ${restored.id}`,
  ).toEqual([{ generation: 2, of: true }])
  expect((await states(cloud)).filter((state) => state === 'warm')).toHaveLength(1)
  waiting.abort()
  await stillHeld
  // At the sweeper's eyes each of them is owned.
  const { body: agents } = await alice.call('GET', '/v1/agents')
  expect(agents.agents).toHaveLength(1)
  await due(cloud, 'sweep:machines')
  expect(await cloud.sql`select 1 from orphan_sightings`).toHaveLength(0)
})

test('two accounts race for the last one: one has it, the other boots a machine of its own', async () => {
  const cloud = await testCloud()
  await cloud.workForEver()
  await cloud.keepWarm({ small: 1 })
  const machine = await cloud.blankMachine()
  const people = await Promise.all([cloud.person('alice'), cloud.person('bob')])
  const held = machine.waits()
  const deploys = await Promise.all(people.map((person) => person.deploy('hello', 'x')))
  await held
  const rows = await eventually(async () => {
    const found = await cloud.sql<{ id: string; agentId: string; label: string }[]>`
      select id, agent_id as "agentId", label from machines where state = 'created'`
    return found.length === 2 ? found : undefined
  })
  expect(new Set(rows.map(({ agentId }) => agentId)).size).toBe(2)
  expect(rows.filter(({ id }) => id === machine.id)).toHaveLength(1)
  expect(rows.filter(({ label }) => label.endsWith('-g1'))).toHaveLength(1)
  // Each runner is told of its own agent's release and of no other.
  for (const [at, { body }] of deploys.entries()) {
    const mine = rows.find(({ agentId }) => agentId === body.agent.id)
    const runner = mine?.id === machine.id ? machine : await cloud.machineOf(body.agent.id)
    if (runner !== machine) await runner.hello()
    expect((await runner.poll()).release?.id).toBe(body.release.id)
    await runner.report(body.release.id, 'healthy')
    expect(await ended(people[at] as Person, body.release.id)).toMatchObject({ status: 'live' })
  }
})

test('a kill between the binding and the telling costs nothing: the same greeting, repeated, is answered', async () => {
  const cloud = await testCloud()
  const worker = await cloud.workForEver()
  await cloud.keepWarm({ small: 1 })
  const machine = await cloud.blankMachine()
  const alice = await cloud.person('alice')
  // No greeting is open: the server that held it is gone, and the worker goes with the binding.
  const { body } = await alice.deploy('hello', 'x')
  await eventually(async () => ((await states(cloud))[0] === 'bound' ? true : undefined))
  await worker.stop()
  const waitedWith = machine.bootstrapToken
  const lost = await machine.waits()
  expect(lost).toMatchObject({ status: 200, body: { machineId: machine.id } })
  // Its answer was lost as well: the next one replaces what was never used.
  const told = await machine.waits()
  expect(told.status).toBe(200)
  expect(told.body.machineToken).not.toBe(lost.body.machineToken)
  await cloud.work()
  await goesLive(alice, machine, body.release.id)
  machine.token = lost.body.machineToken
  expect((await machine.post('/v1/runner/logs', { lines: [] })).status).toBe(401)
  machine.bootstrapToken = waitedWith
  expect((await machine.waits()).status).toBe(401)
})

test('a worker that slept past its lease at the binding binds nothing', async () => {
  const cloud = await testCloud()
  await scheduleAgentWork(cloud.deps)
  const { release, ...others } = agentWork(cloud.deps)
  await cloud.work(others)
  await cloud.keepWarm({ small: 2 })
  const machines = [await cloud.blankMachine()]
  machines.push(await cloud.blankMachine(machines))

  const reached = Promise.withResolvers<void>()
  const asleep = Promise.withResolvers<void>()
  const { db } = cloud.deps
  let sleeping = false
  const slow = {
    ...cloud.deps,
    db: {
      ...db,
      work: async <T>(run: Parameters<typeof db.work<T>>[0]): Promise<T> => {
        // Only the first time; what it takes on later it does like any other.
        if (!sleeping) {
          sleeping = true
          reached.resolve()
          await asleep.promise
        }
        return db.work(run)
      },
    },
  }
  const sleeper = await startWorker(
    { ...slow, leaseSeconds: 60 },
    { release: agentWork(slow).release as Work },
  )
  const alice = await cloud.person('alice')
  const { body } = await alice.deploy('hello', 'x')
  await reached.promise
  await cloud.sql`
    update operations set lease_until = clock_timestamp(), run_at = clock_timestamp()
    where kind = 'release' and state = 'pending'`
  await cloud.work({ release: release as Work })
  const bound = await eventually(async () => {
    const [row] = await cloud.sql<{ id: string }[]>`select id from warm_machines where state = 'bound'`
    return row
  })
  asleep.resolve()
  await sleeper.stop()
  // Beside those of before there may be one that is being ordered in place of the one that was bound.
  const settled = (await states(cloud)).filter((state) => state === 'bound' || state === 'warm')
  expect(settled.sort()).toEqual(['bound', 'warm'])
  expect(await cloud.sql`select id from machines`).toEqual([{ id: bound.id }])
  const machine = machines.find(({ id }) => id === bound.id) as TestMachine
  await machine.waits()
  await goesLive(alice, machine, body.release.id)
})

test('one that died while it waited holds a deploy up for less than a boot', async () => {
  const cloud = await testCloud()
  await cloud.workForEver()
  await cloud.keepWarm({ small: 1 })
  const dead = await cloud.blankMachine()
  const alice = await cloud.person('alice')
  const { body } = await alice.deploy('hello', 'x')
  await eventually(async () => ((await states(cloud))[0] === 'bound' ? true : undefined))
  cloud.advance(41)
  const next = await eventually(async () => {
    await due(cloud, body.agent.id)
    const rows = await cloud.sql`select 1 from machines where state = 'created' and id <> ${dead.id}`
    return rows.length > 0 ? cloud.machineOf(body.agent.id, dead) : undefined
  })
  expect(await cloud.sql`select state from machines where id = ${dead.id} and state = 'created'`).toEqual([])
  await next.hello()
  await goesLive(alice, next, body.release.id)
  expect((await dead.waits()).status).toBe(401)
  // It goes, and the one that replaces it in readiness stays.
  await eventually(async () => ((await cloud.instances()).length === 2 ? true : undefined))
})

test('there are fewer when fewer are wanted, and none that is outdated or old is kept or given away', async () => {
  const cloud = await testCloud()
  await cloud.workForEver()
  await cloud.keepWarm({ small: 2 })
  const first = await cloud.blankMachine()
  const second = await cloud.blankMachine([first])
  await cloud.keepWarm({ small: 1 })
  await soon(cloud, async () => (await cloud.instances()).length === 1)
  const [left] = await cloud.sql<{ id: string }[]>`select id from warm_machines where state = 'warm'`
  const gone = left?.id === first.id ? second : first
  expect((await gone.waits()).status).toBe(401)

  // Another version of the script: the machine of the old one serves nobody, and is replaced after a while.
  cloud.deps.config.routerAddresses = ['10.9.0.0/28']
  await soon(cloud, async () => (await states(cloud)).filter((state) => state === 'created').length === 1)
  const alice = await cloud.person('alice')
  const { body } = await alice.deploy('hello', 'x')
  await cloud.machineOf(body.agent.id)
  expect(await states(cloud)).not.toContain('bound')
  const fresh = await cloud.blankMachine([first, second])
  cloud.advance(STALE_SECONDS + 1)
  const kept = left?.id === first.id ? first : second
  await soon(cloud, async () => (await kept.waits(AbortSignal.abort())).status === 401)
  const [outdated] = await cloud.sql`select ending from warm_machines where id = ${kept.id}`
  expect(outdated).toEqual({ ending: 'outdated' })

  // An old one serves until its successor is there.
  cloud.advance(WARM_DAYS * 86_400)
  await soon(cloud, async () => (await states(cloud)).filter((state) => state === 'created').length === 1)
  expect((await fresh.waits(AbortSignal.abort())).status).toBe(200)
  const successor = await cloud.blankMachine([first, second, fresh])
  await soon(cloud, async () => (await fresh.waits(AbortSignal.abort())).status === 401)
  expect((await successor.waits(AbortSignal.abort())).status).toBe(200)

  // It is not heard of at many looks in a row: nobody should wait for it.
  await eventually(async () => {
    await due(cloud, `warm:${successor.id}`)
    const [row] = await cloud.sql`select ending from warm_machines where id = ${successor.id}`
    return row?.ending === 'silent' || undefined
  })
})

test('an order that was answered into nowhere is adopted; what is sold out is not asked for again for a while', async () => {
  const cloud = await testCloud()
  await cloud.fault({ kind: 'drop-after-effect', method: 'POST', path: '/v2/instances' })
  await cloud.workForEver()
  await cloud.keepWarm({ small: 1 })
  await eventually(async () => {
    await cloud.sql`update operations set run_at = clock_timestamp() where kind = 'warm-machine' and state = 'pending'`
    return (await states(cloud))[0] === 'created' || undefined
  })
  expect(await cloud.instances()).toHaveLength(1)
  expect(await orders(cloud)).toHaveLength(1)

  await fetch(`${cloud.vultr.url}/_local/faults`, {
    method: 'POST',
    body: JSON.stringify({
      kind: 'status',
      status: 400,
      body: { error: 'Server add failed: out of stock', status: 400 },
      method: 'POST',
      path: '/v2/instances',
      times: null,
    }),
  })
  await cloud.keepWarm({ small: 1, nano: 1 })
  await soon(cloud, async () => (await states(cloud)).includes('deleted'))
  const asked = (await orders(cloud)).length
  const operation = { stepData: {}, id: 'op_x' } as Operation
  const lease: Lease = { write: (run) => cloud.deps.db.work(run), settle: async () => {} }
  await visitKeepWarm(cloud.deps, operation, lease)
  expect((await states(cloud)).sort()).toEqual(['created', 'deleted'])
  cloud.advance(601)
  await soon(cloud, async () => (await orders(cloud)).length > asked)
})

test('they cost the operator, who sets how much a month: when that is reached none is kept', async () => {
  const cloud = await testCloud()
  await cloud.workForEver()
  await cloud.keepWarm({ small: 1 }, 1_000_000n)
  const machine = await cloud.blankMachine()
  const [row] = await cloud.sql<
    { monthly: string }[]
  >`select monthly_micros::text as monthly from warm_machines`
  // The provider's own price.
  expect(row?.monthly).toBe('10000000')
  expect((await machine.waits(AbortSignal.abort())).status).toBe(200)
  // $10 for 672 hours: a dollar is used up in the 68th.
  await cloud.sql`update warm_machines set created_at = created_at - interval '68 hours'`
  cloud.advance(new Date(cloud.deps.clock.now()).getUTCDate() < 4 ? 4 * 86_400 : 0)
  await soon(cloud, async () => (await states(cloud))[0] === 'deleted')
  expect(await cloud.instances()).toEqual([])
  expect(await cloud.sql`select ending from warm_machines`).toEqual([{ ending: 'budget' }])
  // A new month, a new budget.
  cloud.advance(32 * 86_400)
  await soon(cloud, async () => (await cloud.instances()).length === 1)
})

test('one that does not come up in time is given up, and nothing of it stays', async () => {
  const cloud = await testCloud()
  await cloud.workForEver()
  await cloud.keepWarm({ small: 1 })
  await soon(cloud, async () => (await states(cloud))[0] === 'created')
  cloud.advance(601)
  await eventually(async () => {
    await cloud.sql`update operations set run_at = clock_timestamp() where kind = 'warm-machine' and state = 'pending'`
    return (await states(cloud))[0] === 'deleted' || undefined
  })
  expect(await cloud.instances()).toEqual([])
  expect(await cloud.sql`select ending, state from warm_machines`).toEqual([
    { ending: 'not_ready', state: 'deleted' },
  ])
  // A worker that slept through all of it finds nothing to do.
  const visit = visitWarmMachine(
    cloud.deps,
    { subject: `warm:${(await cloud.sql`select id from warm_machines`)[0]?.id}`, stepData: {} } as Operation,
    { write: (run) => cloud.deps.db.work(run), settle: async () => {} },
  )
  expect(await visit).toEqual({ state: 'done' })
})

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  deployLive,
  ended,
  eventually,
  type Person,
  type TestCloud,
  testCloud,
} from '@agentctl/server/agents/test-cloud.ts'
import { afterEach, expect, test } from 'vitest'
import { testThoroughly } from '../thorough.ts'
import { cliAgainst, errorOf } from './cli-against.ts'
import { troubles } from './provider-errors.ts'

const cloud: TestCloud = await testCloud({ vultrTimeoutMs: 800 })
await cloud.workForEver()
const { machine, run } = await cliAgainst(cloud)
afterEach(() => cloud.noFaults())

let people = 0
const somebody = (): Promise<Person> => {
  people += 1
  return cloud.person(`user-${people}`)
}

/** Nobody waits for the pauses between two visits. */
const hasten = () => cloud.sql`
  update operations set run_at = clock_timestamp()
  where state = 'pending' and lease_until is null and subject ~ '^(agt|mch|snp)_' and run_at > clock_timestamp()`
const comes = <T>(look: () => Promise<T | undefined>): Promise<T> =>
  eventually(async () => {
    const found = await look()
    if (found === undefined) await hasten()
    return found
  }, 25_000)

/** Calls of one life of an agent, each of which goes wrong once. */
const CALLS = [
  ['GET', '/v2/instances$'],
  ['POST', '/v2/instances$'],
  ['GET', '/v2/instances/*$'],
  ['POST', '/v2/instances/*/halt$'],
  ['GET', '/v2/snapshots$'],
  ['POST', '/v2/snapshots$'],
  ['GET', '/v2/snapshots/*$'],
  ['DELETE', '/v2/instances/*$'],
  ['DELETE', '/v2/snapshots/*$'],
] as const

async function goesLive(person: Person): Promise<{ agentId: string }> {
  const { body } = await person.deploy('hello', 'x', { size: 'nano' })
  const agentId = body.agent.id
  await comes(async () => {
    const [row] = await cloud.sql`select 1 from machines where agent_id = ${agentId} and state = 'created'`
    return row
  })
  const runner = await cloud.machineOf(agentId)
  await comes(async () => ((await runner.hello()).status === 200 ? true : undefined))
  await runner.learns(body.release.id)
  await runner.report(body.release.id, 'healthy')
  expect(await ended(person, body.release.id)).toMatchObject({ status: 'live' })
  const stopping = person.call('POST', `/v1/agents/${agentId}/stop`)
  await Promise.all([stopping, runner.forgets()])
  return { agentId }
}

async function sweep(): Promise<void> {
  const [before] = await cloud.sql<{ fencing: bigint }[]>`select fencing from operations where kind = 'sweep'`
  await cloud.sql`update operations set run_at = clock_timestamp() where kind = 'sweep'`
  await eventually(async () => {
    const [row] = await cloud.sql<{ fencing: bigint; idle: boolean }[]>`
      select fencing, lease_until is null and attempts = 0 as idle from operations where kind = 'sweep'`
    return row?.idle && row.fencing > (before?.fencing ?? 0n) ? true : undefined
  })
}

/** Work about an agent and what it had that is not done, or has failed. */
const unfinished = (agentId: string) => cloud.sql<{ kind: string; state: string }[]>`
  select kind, state, last_error from operations
  where state = 'pending' and (subject = ${agentId}
    or subject in (select id from machines where agent_id = ${agentId})
    or subject in (select id from snapshots where agent_id = ${agentId}))`

/** What is at the provider once the sweeper had its second sighting, and what is not done here. */
async function leftovers(agentId: string): Promise<unknown[]> {
  const there = async () => [...(await cloud.instances()), ...(await cloud.snapshots())]
  if ((await there()).length > 0) {
    await sweep()
    cloud.advance(1801)
    await sweep()
  }
  return [...(await there()), ...(await unfinished(agentId))]
}

/** One of each sort, which whoever waits at a terminal waits for; a life takes seconds. */
const SORTS = ['401', '429 with Retry-After', '503 with HTML', 'a connection that ends after the effect']

for (const { name, fault } of troubles) {
  const testLife = SORTS.includes(name) ? test : testThoroughly
  testLife(
    `an agent lives, stops and goes though each call meets ${name} once, and leaves nothing`,
    async () => {
      const alice = await somebody()
      for (const [method, path] of CALLS) await cloud.fault({ ...fault, method, path })
      const { agentId } = await goesLive(alice)
      await comes(async () => {
        const [kept] = await cloud.sql`
        select 1 from snapshots where agent_id = ${agentId} and state = 'complete'
          and not exists (select from machines where agent_id = ${agentId} and state <> 'deleted')`
        return kept
      })
      await alice.call('DELETE', `/v1/agents/${agentId}`)
      await comes(async () => {
        const [left] =
          await cloud.sql`select 1 from operations where subject = ${agentId} and state = 'pending'`
        return left === undefined ? true : undefined
      })
      const unmet = await (await fetch(`${cloud.vultr.url}/_local/faults`)).json()
      expect(unmet).toEqual([])
      await comes(async () => ((await leftovers(agentId)).length === 0 ? true : undefined))
    },
    60_000,
  )
}

test.each(troubles)(
  'while Vultr answers with $name, whoever waits is told that it is in trouble',
  async ({ fault }) => {
    const alice = await somebody()
    // What the cloud knows of stock and network it has from before; an order is all that it has to ask.
    await cloud.fault({ ...fault, path: '/v2/instances', times: null })
    const { body } = await alice.deploy('hello', 'x', { size: 'nano' })
    await comes(async () => {
      const { body: release } = await alice.call('GET', `/v1/releases/${body.release.id}`)
      return release.step === 'The provider of machines is in trouble; it is asked again' ? true : undefined
    })
    await cloud.noFaults()
    await alice.call('DELETE', `/v1/agents/${body.agent.id}`)
    await comes(async () => ((await leftovers(body.agent.id)).length === 0 ? true : undefined))
  },
  60_000,
)

test('while Vultr is in trouble, whoever stops an agent is told so, and by no more once it is over', async () => {
  const alice = await somebody()
  await cloud.fault({
    kind: 'status',
    status: 403,
    method: 'POST',
    path: '/v2/instances/*/halt$',
    times: null,
  })
  const { agentId } = await goesLive(alice)
  const step = async () => (await alice.call('GET', `/v1/agents/${agentId}`)).body.step
  const told = 'The provider of machines is in trouble; it is asked again'
  await comes(async () => ((await step()) === told ? true : undefined))
  const shown = await run(alice, 'agents', 'show', 'hello')
  expect(shown.stdout).toContain(`stopped: ${told}\n`)
  const again = await run(alice, 'agents', 'stop', 'hello')
  expect(again.stderr).toContain(`${told}. See how far it is: agentctl agents show hello\n`)
  await cloud.noFaults()
  await comes(async () => ((await step()) === null ? true : undefined))
  await alice.call('DELETE', `/v1/agents/${agentId}`)
  await comes(async () => ((await leftovers(agentId)).length === 0 ? true : undefined))
}, 60_000)

const folder = join(machine.home, 'hello')
mkdirSync(folder)
writeFileSync(join(folder, 'agent.json'), '{"name":"hello","size":"nano","start":"node index.js"}')
writeFileSync(join(folder, 'index.js'), 'x')

test.each([400, 404, 409, 422])(
  'an order that is refused with %i is exit 1 in its words, and leaves nothing',
  async (status) => {
    const alice = await somebody()
    const body = { error: 'Invalid\nhostname.', status }
    await cloud.fault({ kind: 'status', status, body, method: 'POST', path: '/v2/instances' })
    const refused = await run(alice, 'deploy', folder)
    expect(errorOf(refused)).toContain(
      'error: Release 1 of hello failed: The provider refused to make a machine: Invalid hostname.\n',
    )
    expect(refused.code).toBe(1)
    const { body: agent } = await alice.call('GET', '/v1/agents/hello')
    await comes(async () => ((await unfinished(agent.id)).length === 0 ? true : undefined))
  },
)

test('a machine that is not to be had is exit 7, with what to type next', async () => {
  const alice = await somebody()
  const body = { error: 'The plan chosen is not available in the selected region.', status: 400 }
  await cloud.fault({ kind: 'status', status: 400, body, method: 'POST', path: '/v2/instances' })
  const refused = await run(alice, 'deploy', folder)
  expect(errorOf(refused)).toMatchInlineSnapshot(`
    "error: Release 1 of hello failed: There is no nano machine to be had in Seoul at the moment.
    Nothing serves at its address. Try again in a few minutes, or choose another size: agentctl deploy --size SIZE
      agentctl agents show hello
    "
  `)
  expect(refused.code).toBe(7)
})

test('trouble that stays is exit 8 for whoever waits no longer, and exit 7 after ten minutes', async () => {
  const alice = await somebody()
  await cloud.fault({ kind: 'html-503', path: '/v2/instances', times: null })
  const impatient = await run(alice, 'deploy', folder, '--timeout', '2s')
  expect(errorOf(impatient)).toMatchInlineSnapshot(`
    "error: Release 1 of hello is not healthy yet: Release 1: The provider of machines is in trouble; it is asked again
    It goes on. Ask again: agentctl agents show hello
      agentctl agents logs hello
    "
  `)
  expect(impatient.code).toBe(8)
  const { body } = await alice.call('GET', '/v1/agents/hello/releases')
  cloud.advance(601)
  await hasten()
  const [{ id }] = body.releases
  expect(
    (
      await comes(async () => {
        const { body: release } = await alice.call('GET', `/v1/releases/${id}`)
        return release.status === 'failed' ? release : undefined
      })
    ).failure.reason,
  ).toBe('provider_unavailable')
})

test('networks and firewall groups beyond those in use go at the second sighting, end to end', async () => {
  const alice = await somebody()
  await deployLive(cloud, alice, 'hello', 'x')
  const ask = async (method: string, path: string, body?: object) => {
    const answer = await fetch(`${cloud.vultr.url}/v2/${path}`, {
      method,
      headers: { authorization: `Bearer ${cloud.vultr.apiKey}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    if (!answer.ok) throw new Error(await answer.text())
    return (await answer.json()) as { vpcs: { id: string }[]; firewall_groups: { id: string }[] }
  }
  const ids = async () => {
    const { vpcs } = await ask('GET', 'vpcs')
    const { firewall_groups } = await ask('GET', 'firewalls')
    return [...vpcs, ...firewall_groups].map(({ id }) => id)
  }
  const used = await ids()
  // The provider tells ages in seconds, and the oldest stays.
  await new Promise((resolve) => setTimeout(resolve, 1_100))
  const shared = { region: 'icn', description: 'agentctl:test' }
  await ask('POST', 'vpcs', shared)
  await ask('POST', 'firewalls', { description: shared.description })
  await ask('POST', 'firewalls', { description: 'of somebody else' })
  const [strange] = (await ids()).slice(-1)
  await sweep()
  expect(await ids()).toHaveLength(used.length + 3)
  cloud.advance(1801)
  await sweep()
  expect((await ids()).sort()).toEqual([...used, strange].sort())
  expect(await cloud.sql`select 1 from orphan_sightings where kind in ('vpc', 'firewall')`).toHaveLength(0)
})

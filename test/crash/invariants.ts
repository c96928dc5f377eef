import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { domainInvariants } from './domain-invariants.ts'
import { type Invariant, sentences } from './invariant.ts'
import { moneyInvariants } from './money-invariants.ts'
import { warmInvariants } from './warm-invariants.ts'
import type { World } from './world.ts'

/** What holds whenever nothing is under way, whatever has been killed before. */
const agentInvariants: Invariant[] = [
  {
    name: 'every operation ends or waits for its next turn',
    broken: ({ sql }) =>
      sentences(sql`
      select kind || ' of ' || subject || ' is pending at ' || step || coalesce(', last error ' || last_error, '') as broken
      from operations where state = 'pending' and subject like 'agt\\_%'`),
  },
  {
    // A machine that the provider refuses for good is told to whoever wanted it, which its journey notices.
    name: 'no operation failed, unless the provider refused it',
    broken: ({ sql }) =>
      sentences(sql`
      select kind || ' of ' || subject || ' failed: ' || coalesce(last_error, '') as broken
      from operations where state = 'failed' and last_error is distinct from 'machine_refused'`),
  },
  {
    name: 'no lease is left behind',
    broken: ({ sql }) =>
      sentences(sql`
      select kind || ' of ' || subject || ' has a lease that nobody holds' as broken
      from operations
      where lease_until < clock_timestamp() - interval '5 seconds' or (state <> 'pending' and lease_until is not null)`),
  },
  {
    name: 'releases are numbered without a gap',
    broken: ({ sql }) =>
      sentences(sql`
      select agent_id || ' has ' || count(*) || ' releases up to number ' || max(number) as broken
      from releases group by agent_id having count(*) <> max(number)`),
  },
  {
    name: 'an agent that runs has one live release, and it is the one that serves',
    broken: ({ sql }) =>
      sentences(sql`
      select a.id || ' is ' || a.status || ' with live releases: ' || count(r.id) || ', serving ' ||
        coalesce(a.release_id, 'none') as broken
      from agents a left join releases r on r.agent_id = a.id and r.status = 'live'
      where a.status = 'running'
      group by a.id having count(r.id) <> 1 or max(r.id) is distinct from a.release_id`),
  },
  {
    name: 'no release stays on its way',
    broken: ({ sql }) =>
      sentences(sql`
      select id || ' is ' || status || ': ' || coalesce(step, '') as broken
      from releases where status in ('pending', 'starting')`),
  },
  {
    name: 'an agent that runs has one machine, another one has none',
    broken: ({ sql }) =>
      sentences(sql`
      select a.id || ' is ' || a.status || ' and has machines: ' || coalesce(string_agg(m.state, ', '), 'none') as broken
      from agents a left join machines m on m.agent_id = a.id and m.state <> 'deleted'
      group by a.id
      having count(m.id) <> case when a.status = 'running' then 1 else 0 end
        or coalesce(bool_or(m.state <> 'ready'), false)`),
  },
  {
    name: 'each machine is one instance at the provider, and each instance a machine',
    broken: instancesAreMachines,
  },
  {
    name: 'each snapshot is one at the provider, and each there is a snapshot of an agent at rest',
    async broken({ sql, listSnapshots }) {
      const rows = await sql<{ label: string; state: string; rest: string | null }[]>`
        select s.label, s.state, a.rest from snapshots s join agents a on a.id = s.agent_id where s.state <> 'deleted'`
      const there = await listSnapshots()
      return [
        ...rows
          .filter(({ label, state, rest }) => !there.includes(label) || state !== 'complete' || rest === null)
          .map(({ label, state, rest }) => `${label} is ${state}, of an agent at rest: ${rest}`),
        ...there
          .filter((label) => rows.filter((row) => row.label === label).length !== 1)
          .map((label) => `snapshot ${label} at the provider belongs to nobody`),
        ...there
          .filter((label, index) => there.indexOf(label) !== index)
          .map((label) => `${label} is there twice`),
      ]
    },
  },
  {
    name: 'an agent burns what it is',
    broken: ({ sql }) =>
      sentences(sql`
      select a.id || ' is ' || a.status || ' and burns ' || coalesce(m.rate_micros, 0) as broken
      from agents a left join meters m on m.subject = a.id and m.to_at is null
      where coalesce(m.rate_micros, 0) <> case
        when a.status = 'running' then case a.size when 'nano' then 10000 when 'small' then 20000 end
        when a.rest = 'stopped' and a.status = 'stopped' then 1000 else 0 end`),
  },
  {
    name: 'the files of every release are kept',
    async broken({ sql, blobFolder }) {
      const files = await sql<{ release: string; path: string; sha256: string; accountId: string | null }[]>`
        select f.release_id as release, f.path, encode(f.sha256, 'hex') as sha256, b.account_id as "accountId"
        from release_files f join releases r on r.id = f.release_id join namespaces n on n.id = r.namespace_id
          left join blobs b on b.sha256 = f.sha256 and b.account_id = n.owner_account_id`
      return files
        .filter(
          ({ accountId, sha256 }) =>
            accountId === null || !existsSync(join(blobFolder, accountId, sha256.slice(0, 2), sha256)),
        )
        .map((file) => `${file.path} of ${file.release} is gone`)
    },
  },
]

async function instancesAreMachines(world: World): Promise<string[]> {
  const machines = await world.sql<{ id: string; providerId: string | null; state: string }[]>`
    select id, provider_id as "providerId", state from machines where state <> 'deleted'
    union all
    select id, provider_id, state from warm_machines where state not in ('bound', 'deleted')`
  const instances = await world.listInstances()
  return [
    ...machines
      .filter((machine) => !instances.some((instance) => instance.id === machine.providerId))
      .map((machine) => `${machine.id} is ${machine.state} and has no instance at the provider`),
    ...instances
      .filter((instance) => !machines.some((machine) => machine.providerId === instance.id))
      .map((instance) => `instance ${instance.label} at the provider belongs to no machine`),
  ]
}

export const invariants: readonly Invariant[] = [
  ...agentInvariants,
  ...warmInvariants,
  ...domainInvariants,
  ...moneyInvariants,
]

/** Sentences that say of which invariant they are. */
export async function brokenOf(world: World, { name, broken }: Invariant): Promise<string[]> {
  return (await broken(world)).map((sentence) => `${name}: ${sentence}`)
}

/** All that is broken now. */
export async function brokenInvariants(world: World): Promise<string[]> {
  return (await Promise.all(invariants.map((one) => brokenOf(world, one)))).flat()
}

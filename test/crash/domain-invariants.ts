import { listHostnames } from './domain-zone.ts'
import { type Invariant, sentences } from './invariant.ts'

const HELD = ['pending', 'verifying', 'live']

/** What holds of names whenever nothing is under way; a world without domains has none of it. */
export const domainInvariants: Invariant[] = [
  {
    name: 'each hostname at Cloudflare is held by one domain, and each domain has one there',
    async broken(world) {
      if (!world.cloudflare) return []
      const held = await world.sql<{ id: string; hostname: string; providerId: string | null }[]>`
        select id, hostname, provider_id as "providerId" from domains where status = any(${HELD})`
      const there = await listHostnames(world)
      return [
        ...there
          .filter(({ id }) => !held.some(({ providerId }) => providerId === id))
          .map(({ hostname }) => `${hostname} is at Cloudflare and belongs to nobody`),
        ...held
          .filter(
            (row) => !there.some(({ id, hostname }) => id === row.providerId && hostname === row.hostname),
          )
          .map(({ id, hostname }) => `${id} holds ${hostname}, which is not at Cloudflare`),
      ]
    },
  },
  {
    name: 'a name has one domain at most',
    broken: ({ sql }) =>
      sentences(sql`
      select hostname || ' is held by ' || string_agg(id, ', ') as broken
      from domains where status = any(${HELD}) group by hostname having count(*) > 1`),
  },
  {
    name: 'each domain that is held is watched by one operation, and no other domain has one',
    broken: ({ sql }) =>
      sentences(sql`
      select d.id || ' is ' || d.status || ' with ' || count(o.id) || ' operations' as broken
      from domains d left join operations o on o.subject = d.id and o.state = 'pending'
      group by d.id having count(o.id) <> case when d.status = any(${HELD}) then 1 else 0 end`),
  },
  {
    name: 'no domain stays on its way to its end, and none outlives its agent',
    broken: ({ sql }) =>
      sentences(sql`
      select d.id || ' is ' || d.status || ', to be ' || coalesce(d.ending, 'kept') || ', of an agent that is ' || a.status
        as broken
      from domains d join agents a on a.id = d.agent_id
      where d.status = any(${HELD}) and (d.ending is not null or a.status = 'deleted')`),
  },
  {
    name: 'no visit to a domain goes wrong again and again',
    broken: ({ sql }) =>
      sentences(sql`
      select subject || ' was visited ' || attempts || ' times in vain: ' || last_error as broken
      from operations
      where subject like 'dom\\_%' and state = 'pending' and last_error is not null and lease_until is null`),
  },
]

import { type Invariant, sentences } from './invariant.ts'
import type { World } from './world.ts'

/** What holds of machines that are kept ready, and of those that agents have taken, whenever nothing is under way. */
export const warmInvariants: Invariant[] = [
  {
    name: 'as many machines are kept ready as are wanted',
    async broken(world) {
      const wanted = wantedWarm(world)
      const rows = await world.sql<{ state: string }[]>`
        select state from warm_machines where state not in ('bound', 'deleted')`
      const ready = rows.filter(({ state }) => state === 'warm').length
      return ready === wanted && rows.length === wanted
        ? []
        : [`${wanted} are wanted, and there are: ${rows.map(({ state }) => state).join(', ')}`]
    },
  },
  {
    name: 'a machine is of one agent, or is kept ready for one',
    broken: ({ sql }) =>
      sentences(sql`
      select provider_id || ' is of ' || string_agg(owner, ' and of ') as broken
      from (
        select provider_id, agent_id as owner from machines where state <> 'deleted'
        union all
        select provider_id, 'nobody yet' from warm_machines where state not in ('bound', 'deleted')) all_machines
      where provider_id is not null group by provider_id having count(*) > 1
      union all
      select w.id || ' was taken by nobody' from warm_machines w
      where w.state = 'bound' and not exists (select from machines m where m.id = w.id)`),
  },
  {
    name: 'the tags at the provider say whose a machine is',
    async broken({ sql, listInstances }) {
      const rows = await sql<{ providerId: string; tag: string }[]>`
        select provider_id as "providerId", 'agent:' || agent_id as tag from machines where state <> 'deleted'
        union all
        select provider_id, 'warm' from warm_machines where state not in ('bound', 'deleted')`
      return (await listInstances()).flatMap(({ id, label, tags }) => {
        const told = tags.filter((tag) => tag === 'warm' || tag.startsWith('agent:')).join(' and ')
        const tag = rows.find(({ providerId }) => providerId === id)?.tag
        return tag === undefined || tag === told ? [] : [`${label} is ${tag}, and its tags say ${told}`]
      })
    },
  },
  {
    name: 'what is to be done about a machine that an agent has taken is done',
    broken: ({ sql }) =>
      sentences(sql`
      select o.subject || ' is pending, last error ' || coalesce(o.last_error, 'none') as broken
      from operations o join warm_machines w on o.subject = 'warm:' || w.id
      where o.state = 'pending' and w.state in ('bound', 'deleted')`),
  },
]

export function wantedWarm({ environment }: World): number {
  return Number(/nano=(\d+)/.exec(environment.WARM_MACHINES ?? '')?.[1] ?? 0)
}

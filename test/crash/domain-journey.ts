import { clientOf, erasureOf } from './account-journey.ts'
import { createAgent, deleteAgent } from './agent-journey.ts'
import { rivalOf } from './domain-rival.ts'
import {
  add,
  addAs,
  addIfFree,
  becomes,
  type Domain,
  hasFailed,
  hostnamesOf,
  isLive,
  isRegistered,
  remove,
  toldOf,
  until,
  untilGiven,
} from './domain-steps.ts'
import { blockHostname, deleteHostname, pointName } from './domain-zone.ts'
import type { Journey, Operation, Subject } from './journey.ts'
import type { World } from './world.ts'

const SEVEN_DAYS_SECONDS = 7 * 86_400

const mainName = ({ name }: Subject): string => `${name}.example.com`
const leaversName = ({ name }: Subject): string => `left-${name}.example.com`

/** The domain of the main name, as long as it is attached. */
const attached = new WeakMap<Subject, Domain>()

function attachedOf(subject: Subject): Domain {
  const domain = attached.get(subject)
  if (!domain) throw new Error('No name is attached.')
  return domain
}

const attach: Operation = {
  name: 'attach',
  async run(world, subject) {
    const agent = await createAgent(world, subject)
    subject.agentId = agent.id
    subject.url = agent.url
    const domain = await add(world, subject, mainName(subject))
    attached.set(subject, domain)
    await until(world, domain, 'is registered', isRegistered)
    await pointHere(world, subject, domain)
    await until(world, domain, 'is live', isLive)
  },
  async check(world, subject) {
    const taken = await addIfFree(rivalOf(world), mainName(subject))
    return [
      ...(taken ? [`another account was given ${mainName(subject)}`] : []),
      ...(await toldOf(world, mainName(subject), {})),
    ]
  },
}

const others: Operation[] = [
  {
    name: 'its DNS moves away and comes back',
    optional: true,
    async run(world, subject) {
      const domain = attachedOf(subject)
      await pointName(world, domain.hostname, 'elsewhere.example.net')
      await until(world, domain, 'is not live any more', ({ status }) => status === 'verifying')
      await pointHere(world, subject, domain)
      await until(world, domain, 'is live again', isLive)
    },
    check: (world, subject) => toldOf(world, mainName(subject), { domain_lost: 1, domain_back: 1 }),
  },
  {
    name: 'Cloudflare loses it',
    optional: true,
    async run(world, subject) {
      const domain = attachedOf(subject)
      const [before] = await hostnamesOf(world, domain.hostname)
      await deleteHostname(world, domain.hostname)
      await until(
        world,
        domain,
        'is registered anew',
        ({ status, providerId }) => status === 'live' && providerId !== null && providerId !== before?.id,
      )
    },
    check: noMore,
  },
  {
    name: 'two accounts want one name',
    optional: true,
    async run(world, subject) {
      const name = `raced-${subject.name}.example.com`
      const wishes = [{ api: world.api, agentId: subject.agentId }, rivalOf(world)].map(async (asking) => {
        const domain = await addIfFree(asking, name)
        return domain && { api: asking.api, domain }
      })
      const given = (await Promise.all(wishes)).filter((one) => one !== undefined)
      if (given.length !== 1) throw new Error(`${name} was given to ${given.length} accounts.`)
      for (const { api, domain } of given) await remove(world, domain, api)
    },
    check: noMore,
  },
  {
    name: 'Cloudflare blocks a name',
    optional: true,
    async run(world, subject) {
      const domain = await add(world, subject, `blocked-${subject.name}.example.com`)
      await until(world, domain, 'is registered', isRegistered)
      await blockHostname(world, domain.hostname)
      await pointHere(world, subject, domain)
      await until(world, domain, 'has failed', hasFailed)
    },
    check: (world, subject) => toldOf(world, `blocked-${subject.name}.example.com`, { domain_failed: 1 }),
  },
  {
    name: 'seven days pass',
    optional: true,
    async run(world, subject) {
      const domain = await add(world, subject, `forgotten-${subject.name}.example.com`)
      await until(world, domain, 'is registered', isRegistered)
      await world.advance(SEVEN_DAYS_SECONDS + 60)
      await until(world, domain, 'has failed', hasFailed)
    },
    check: (world, subject) => toldOf(world, `forgotten-${subject.name}.example.com`, { domain_failed: 1 }),
  },
]

const removal: Operation = {
  name: 'removal, and somebody else takes the name',
  async run(world, subject) {
    const domain = attachedOf(subject)
    const [before] = await hostnamesOf(world, domain.hostname)
    const rival = rivalOf(world)
    const removing = remove(world, domain, world.api)
    const taken = await untilGiven(rival, domain.hostname)
    const [left] = (await hostnamesOf(world, domain.hostname)).filter(({ id }) => id === before?.id)
    await removing
    if (left) throw new Error('Another account was given a name that Cloudflare still had for the first one.')
    await until(world, taken, 'is registered', isRegistered)
    await remove(world, taken, rival.api)
  },
  check: noMore,
}

const deletion: Operation = {
  name: 'added again, and gone with its agent',
  async run(world, subject) {
    const domain = await add(world, subject, mainName(subject))
    await until(world, domain, 'is registered', isRegistered)
    await deleteAgent(world, subject)
    await becomes(
      world,
      subject.agentId,
      'its names are gone',
      async () =>
        (await world.sql`select 1 from domains where agent_id = ${subject.agentId}`).length === 0 &&
        (await world.sql`select 1 from operations where subject = ${subject.agentId} and state = 'pending'`)
          .length === 0,
    )
  },
  async check(world, subject) {
    const left = await hostnamesOf(world, mainName(subject))
    return left.length === 0 ? [] : [`${left.length} hostnames of a deleted agent are at Cloudflare`]
  },
}

const erasure = erasureOf({
  name: 'gone with its account, before anything else of it',
  async before(world, subject, leaver) {
    const asking = { api: clientOf(world, leaver), agentId: leaver.agent }
    const domain = await addAs(asking, leaversName(subject))
    await until(world, domain, 'is registered', isRegistered)
    return [domain.id]
  },
  async checkMore(world, subject) {
    const left = await hostnamesOf(world, leaversName(subject))
    const calls = world.control.noted(world.control.armed()?.id ?? '').map(({ call }) => call)
    const gone = calls.findIndex((call) => /^DELETE .*\/custom_hostnames\/.* › after$/.test(call))
    const next = calls.findIndex((call) => OF_THE_REST.test(call))
    return [
      ...(left.length === 0 ? [] : [`${left.length} hostnames of an erased account are at Cloudflare`]),
      ...(gone >= 0 && next > gone ? [] : [`${calls[next]} came before the hostname was gone`]),
    ]
  },
})

/** What an erasure takes away after the names: agents, contents, and in the end all rows. */
const OF_THE_REST =
  /^(update agents set status = 'deleted'|delete from blobs|select .*erase_account).* › before$/

/** The life of names: attached, lost, blocked, forgotten, wanted by two, and taken away. */
export const domainJourney: Journey = {
  name: 'domain',
  operations: [attach, ...others, removal, deletion, erasure],
  async abandon(world, subject) {
    await deleteAgent(world, subject)
    const rival = rivalOf(world)
    const { domains } = await rival.api.call<{ domains: Domain[] }>('GET', '/v1/domains')
    for (const domain of domains) await remove(world, domain, rival.api)
  },
}

const pointHere = (world: World, { url }: Subject, { hostname }: Domain): Promise<void> =>
  pointName(world, hostname, new URL(url).hostname)

/** The invariants say it all. */
async function noMore(): Promise<string[]> {
  return []
}

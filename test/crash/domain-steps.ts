import { setTimeout as pause } from 'node:timers/promises'
import { listHostnames, lookNow } from './domain-zone.ts'
import type { Subject } from './journey.ts'
import { type PatientClient, Refused } from './patient-client.ts'
import type { World } from './world.ts'

const CHANGE_MS = 60_000
const HASTEN_MS = 50

export interface Domain {
  id: string
  hostname: string
}

/** Who asks, and for which agent. */
export interface Asking {
  api: PatientClient
  agentId: string
}

export function addAs({ api, agentId }: Asking, hostname: string): Promise<Domain> {
  return api.call<Domain>('POST', '/v1/domains', { body: { agent: agentId, hostname }, idempotent: true })
}

export const add = ({ api }: World, { agentId }: Subject, hostname: string): Promise<Domain> =>
  addAs({ api, agentId }, hostname)

/** Asks for it; undefined where it is refused because somebody else has it. */
export async function addIfFree(asking: Asking, hostname: string): Promise<Domain | undefined> {
  try {
    return await addAs(asking, hostname)
  } catch (error) {
    if (error instanceof Refused && error.code === 'hostname_unavailable') return undefined
    throw error
  }
}

/** Asks again and again, until it has the name. */
export async function untilGiven(asking: Asking, hostname: string): Promise<Domain> {
  const deadline = Date.now() + CHANGE_MS
  for (;;) {
    const given = await addIfFree(asking, hostname)
    if (given) return given
    if (Date.now() > deadline) throw new Error(`${hostname} is not given to anybody else.`)
    await pause(HASTEN_MS)
  }
}

export async function remove(world: World, domain: Domain, api: PatientClient): Promise<void> {
  try {
    await api.call('DELETE', `/v1/domains/${domain.id}`)
  } catch (error) {
    // The attempt before may have begun it, and it may have come to its end.
    if (!(error instanceof Refused) || error.status !== 404) throw error
  }
  await until(world, domain, 'is removed', ({ status }) => status === 'removed')
}

interface Row {
  status: string
  checkedAt: Date | null
  providerId: string | null
  step: string | null
  failure: { message: string } | null
}

export const isRegistered = ({ checkedAt }: Row): boolean => checkedAt !== null
export const isLive = ({ status, step }: Row): boolean => status === 'live' && step === null
export const hasFailed = ({ status }: Row): boolean => status === 'failed'

/** Until a row is so; nobody waits for the pauses of the worker and of Cloudflare. */
export async function until(
  world: World,
  { id, hostname }: Domain,
  what: string,
  holds: (row: Row) => boolean,
): Promise<void> {
  let failure: string | undefined
  await becomes(world, id, `${hostname} ${what}`, async () => {
    const [row] = await world.sql<Row[]>`
      select status, checked_at as "checkedAt", provider_id as "providerId", step, failure
      from domains where id = ${id}`
    if (row === undefined) return false
    const isAsWanted = holds(row)
    if (hasFailed(row) && !isAsWanted) failure = row.failure?.message ?? 'for no reason'
    return isAsWanted || failure !== undefined
  })
  if (failure !== undefined) throw new Error(`${hostname} was given up: ${failure}`)
  // What its user is told, who has asked all the time.
  await world.api.call('GET', '/v1/domains')
}

/** Until it is so, with the work on a subject, and the looks of Cloudflare, done at once. */
export async function becomes(
  world: World,
  operationOf: string,
  what: string,
  look: () => Promise<boolean>,
): Promise<void> {
  const deadline = Date.now() + CHANGE_MS
  // The database may be away for a moment, as one of the faults.
  while (!(await look().catch(() => false))) {
    if (Date.now() > deadline) throw new Error(`It does not come to pass that ${what}.`)
    await lookNow(world)
    await world.hasten(operationOf).catch(() => {})
    await pause(HASTEN_MS)
  }
}

export async function hostnamesOf(world: World, hostname: string): Promise<{ id: string }[]> {
  return (await listHostnames(world)).filter((one) => one.hostname === hostname)
}

/** Each notice about a name, once for each time that it came to pass. */
export async function toldOf(
  { sql }: World,
  hostname: string,
  times: Record<string, number>,
): Promise<string[]> {
  const rows = await sql<{ kind: string; count: number }[]>`
    select kind, count(*)::int as count from notices
    where message like ${`The domain ${hostname} %`} group by kind`
  const found = Object.fromEntries(rows.map(({ kind, count }) => [kind, count]))
  const wrong = [...new Set([...Object.keys(found), ...Object.keys(times)])].filter(
    (kind) => (found[kind] ?? 0) !== (times[kind] ?? 0),
  )
  return wrong.map(
    (kind) => `${kind} of ${hostname} was told ${found[kind] ?? 0} times, not ${times[kind] ?? 0}`,
  )
}

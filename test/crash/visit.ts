import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import type { Pool } from '@agentctl/server/platform/db.ts'

const VISIT_MS = 120_000
const LOOK_MS = 20
const FIRST_VISIT_MS = 60_000

/**
 * Makes the operations of a kind due now, and waits until each has ended or had a visit that began afterwards and went
 * well. One that failed is repeated at once: only the pause is left out that the worker would make.
 */
export async function visitOperations(sql: Pool, ...kinds: string[]): Promise<void> {
  const wanted = await sql<{ id: string; fencing: bigint; isUnderWay: boolean }[]>`
    update operations set run_at = clock_timestamp()
    where kind = any(${kinds}) and state = 'pending'
    returning id, fencing, lease_until is not null as "isUnderWay"`
  const enough = new Map(wanted.map((one) => [one.id, one.fencing + (one.isUnderWay ? 2n : 1n)]))
  let last: string | null = null
  const look = async (): Promise<boolean> => {
    const rows = await sql<
      { id: string; fencing: bigint; attempts: number; isLeased: boolean; error: string | null }[]
    >`
      select id, fencing, attempts, lease_until is not null as "isLeased", last_error as error from operations
      where id = any(${[...enough.keys()]}) and state = 'pending'`
    const left = rows.filter(
      (one) => one.fencing < (enough.get(one.id) ?? 0n) || one.attempts > 0 || one.isLeased,
    )
    last = left.find(({ error }) => error !== null)?.error ?? null
    const idle = left.filter(({ isLeased }) => !isLeased).map(({ id }) => id)
    if (idle.length > 0) {
      await sql`
        update operations set run_at = clock_timestamp()
        where id = any(${idle}) and state = 'pending' and lease_until is null and run_at > clock_timestamp()`
    }
    return left.length === 0
  }
  // The database may be away for a moment, as one of the faults.
  const isVisited = await waitUntil(() => look().catch(() => false), { withinMs: VISIT_MS, everyMs: LOOK_MS })
  if (!isVisited) throw new Error(`No visit of ${kinds.join(', ')} comes to its end: ${last}`)
}

/** The worker looks again now at what is being done about a subject, instead of after the pause that it makes. */
export async function hastenOperation(sql: Pool, subject: string): Promise<void> {
  await sql`
    update operations set run_at = clock_timestamp()
    where subject = ${subject} and state = 'pending' and lease_until is null and run_at > clock_timestamp()`
}

/** Resolves when all that a worker begins with, and does again and again, has had its first visit. Returns its kinds. */
export async function untilFirstVisits(sql: Pool): Promise<string[]> {
  // A worker writes down all that it will do before it does any of it.
  let kinds: string[] = []
  const look = async (): Promise<boolean> => {
    const rows = await sql<{ kind: string; isVisited: boolean }[]>`
      select kind, fencing > 0 and lease_until is null and attempts = 0 as "isVisited"
      from operations where state = 'pending' order by kind`
    kinds = rows.map(({ kind }) => kind)
    return kinds.length > 0 && rows.every(({ isVisited }) => isVisited)
  }
  if (await waitUntil(look, { withinMs: FIRST_VISIT_MS })) return kinds
  throw new Error('The worker does not come to an end with what it begins with.')
}

import { endAgent } from '../agents/agents.ts'
import type { Deps } from '../deps.ts'
import { endDomainsOf } from '../domains/domains.ts'
import type { Lease, Operation, Outcome } from '../platform/operations.ts'
import * as store from './erasure-store.ts'
import { LEGAL_BASIS, retainedUntil } from './retained.ts'

type Parts = Pick<Deps, 'db' | 'clock' | 'blobs' | 'log'>

const LOOK_SECONDS = 1
const FILES_AT_ONCE = 500
const DELETERS = 8

/**
 * Takes away what an account has, from the outside to the inside: domains at Cloudflare, machines and snapshots, uploaded
 * contents, and in one last transaction the rows. Each visit looks at what is left and takes the next step, so that
 * whoever crashes in the middle is followed by somebody who goes on.
 */
export async function visitErasure(
  deps: Parts,
  operation: Operation,
  lease: Lease,
): Promise<Outcome | 'settled'> {
  const { db, clock } = deps
  const erasure = await store.findErasure(db.jobs, operation.subject)
  if (!erasure || erasure.accountId === null) return { state: 'done' }
  const { accountId } = erasure
  const again: Outcome = { state: 'again', afterSeconds: LOOK_SECONDS }

  if ((await lease.write((tx) => endDomainsOf(tx, accountId))) > 0) return again

  const agents = await store.listOwnedAgents(db.jobs, accountId)
  for (const agent of agents.filter(({ isDeleted }) => !isDeleted)) {
    await lease.write(async (tx) => {
      // Somebody else was deleting it at this very moment: what this transaction has written must not stay.
      if (!(await endAgent(tx, agent, clock.now()))) throw new Error('An agent is deleted already.')
    })
  }
  if (agents.some(({ isDeleted, isLeft }) => !isDeleted || isLeft)) return again

  const hashes = await store.listBlobsOf(db.jobs, accountId, FILES_AT_ONCE)
  if (hashes.length > 0) {
    await deleteContents(deps, accountId, hashes)
    await lease.write((tx) => store.deleteBlobRows(tx, accountId, hashes))
    return { ...again, afterSeconds: 0 }
  }
  // Drafts, and what was written without a row.
  await deps.blobs.deleteAll(accountId)
  return finish(deps, erasure.id, lease)
}

async function deleteContents(
  { blobs }: Pick<Parts, 'blobs'>,
  accountId: string,
  hashes: readonly string[],
): Promise<void> {
  const queue = [...hashes]
  await Promise.all(
    Array.from({ length: DELETERS }, async () => {
      for (let hash = queue.pop(); hash; hash = queue.pop()) await blobs.delete(accountId, hash)
    }),
  )
}

/** Everything at once: after it no row but the receipt knows that there was an erasure, and that names nobody. */
async function finish({ db, clock, log }: Parts, id: string, lease: Lease): Promise<Outcome | 'settled'> {
  const now = clock.now()
  const until = retainedUntil(now)
  const classes = await store.listClasses(db.jobs)
  try {
    return await lease.write<'settled'>(async (tx) => {
      const erasure = await store.findErasure(tx, id)
      if (!erasure || erasure.accountId === null) throw new Error('An erasure ended twice.')
      const { files = 0, ...closed } = erasure.closed
      const { gone, balanceMicros } = await store.eraseAccount(tx, {
        id,
        legalBasis: LEGAL_BASIS,
        until,
        now,
      })
      const deleted = new Map([
        ...Object.entries(closed),
        ...gone.filter(({ is_kept: isKept }) => !isKept).map((one) => [one.table_name, one.count] as const),
      ])
      const records = gone.filter((one) => one.is_kept).reduce((sum, { count }) => sum + count, 0)
      const facts: store.ErasureFacts = {
        erasure: id,
        requestedAt: erasure.requestedAt.toISOString(),
        finishedAt: now.toISOString(),
        erased: byClass(deleted, classes),
        files,
        retained: records === 0 ? null : { records, legalBasis: LEGAL_BASIS, until: until.toISOString() },
        forfeitedMicros: BigInt(balanceMicros) > 0n ? balanceMicros : '0',
      }
      await store.finishErasure(tx, id, facts, now)
      await lease.settle(tx, { state: 'done' })
      return 'settled'
    })
  } catch (error) {
    if (!store.isStillUnderWay(error)) throw error
    // A request that was under way when the account was closed has left something; the next visit takes it away.
    log.warn('An erasure finds something new, and goes on', { operationId: id })
    return { state: 'again', afterSeconds: LOOK_SECONDS }
  }
}

function byClass(
  deleted: ReadonlyMap<string, number>,
  classes: ReadonlyMap<string, string[]>,
): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const [table, count] of deleted) {
    for (const name of classes.get(table) ?? []) counts[name] = (counts[name] ?? 0) + count
  }
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)))
}

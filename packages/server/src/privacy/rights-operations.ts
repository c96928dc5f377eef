import type { Deps } from '../deps.ts'
import { startOperation, type Work } from '../platform/operations.ts'
import { notePurge } from '../platform/purges.ts'
import { ERASURE_KIND } from './erasure-kind.ts'
import { visitErasure } from './erasure-operation.ts'
import { deleteOldReceipts, destroyRetained } from './erasure-store.ts'

const DESTRUCTION_KIND = 'destroy-retained'
export const DESTRUCTION_SUBJECT = 'destroy:retained'
const EVERY_SECONDS = 3600
const AT_ONCE = 5000

/** The durable work of the rights of accounts, by kind. */
export function rightsWork(deps: Pick<Deps, 'db' | 'clock' | 'blobs' | 'log'>): Record<string, Work> {
  return {
    [ERASURE_KIND]: (operation, lease) => visitErasure(deps, operation, lease),
    async [DESTRUCTION_KIND](_, lease) {
      const now = deps.clock.now()
      const gone = await lease.write(async (tx) => {
        await deleteOldReceipts(tx, now)
        const destroyed = await destroyRetained(tx, now, AT_ONCE)
        await notePurge(tx, 'retainedRecords', destroyed, now)
        return destroyed
      })
      return { state: 'again', afterSeconds: gone === AT_ONCE ? 0 : EVERY_SECONDS }
    },
  }
}

/** Rows that repeat for ever; one of each, however many servers start. */
export async function scheduleRightsWork({ db, clock }: Pick<Deps, 'db' | 'clock'>): Promise<void> {
  await startOperation(db.jobs, {
    kind: DESTRUCTION_KIND,
    subject: DESTRUCTION_SUBJECT,
    namespaceId: null,
    now: clock.now(),
  })
}

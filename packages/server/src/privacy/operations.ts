import { auditSubject } from '../billing/audit-operation.ts'
import type { Deps } from '../deps.ts'
import { startOperation, type Work, wakeOperation } from '../platform/operations.ts'
import { announcePolicy } from './policy-announcement.ts'
import { visitPurge } from './retention.ts'
import { DESTRUCTION_SUBJECT } from './rights-operations.ts'

const SUBJECT = 'purge:everything'

/** The durable work of this room, by kind. */
export function privacyWork(deps: Pick<Deps, 'db' | 'clock'>): Record<string, Work> {
  return {
    purge: async () => {
      await tellPolicy(deps)
      return visitPurge(deps)
    },
  }
}

/** At the start, and again: on its day a text that comes becomes one that holds. */
function tellPolicy({ db, clock }: Pick<Deps, 'db' | 'clock'>): Promise<void> {
  return db.work((tx) => announcePolicy(tx, clock.now()))
}

/** Rows that repeat for ever; one of each, however many servers start. */
export async function schedulePrivacyWork({ db, clock }: Pick<Deps, 'db' | 'clock'>): Promise<void> {
  await tellPolicy({ db, clock })
  await startOperation(db.jobs, { kind: 'purge', subject: SUBJECT, namespaceId: null, now: clock.now() })
}

/** For a clock that was moved: what has had its time by now is looked for at once, and what is measured anew. */
export async function wakePurge({ db }: Pick<Deps, 'db'>): Promise<void> {
  await wakeOperation(db.jobs, SUBJECT)
  await wakeOperation(db.jobs, 'retention:agents')
  await wakeOperation(db.jobs, DESTRUCTION_SUBJECT)
  await wakeOperation(db.jobs, auditSubject)
}

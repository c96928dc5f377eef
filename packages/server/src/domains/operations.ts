import type { Deps } from '../deps.ts'
import { startOperation, type Work } from '../platform/operations.ts'
import { visitDomain } from './domain-operation.ts'
import { DOMAIN_KIND } from './operation-kind.ts'
import { visitHostnameSweep } from './sweep.ts'

const SWEEP_KIND = 'sweep-hostnames'

/**
 * Cloudflare takes few requests, and whoever wants one waits for it. However many names are attached at once, the other
 * work of this process goes on.
 */
const VISITS_AT_ONCE = 3
const BUSY_SECONDS = 1

/** The durable work of this room, by kind. */
export function domainWork(
  deps: Pick<Deps, 'db' | 'clock' | 'config' | 'log' | 'hostnames' | 'liveDns' | 'edgeProbe'>,
): Record<string, Work> {
  let visits = 0
  return {
    async [DOMAIN_KIND](operation, lease) {
      if (visits >= VISITS_AT_ONCE) {
        return { state: 'again', afterSeconds: BUSY_SECONDS, stepData: operation.stepData }
      }
      visits += 1
      try {
        return await visitDomain(deps, operation, lease)
      } finally {
        visits -= 1
      }
    },
    [SWEEP_KIND]: (_operation, lease) => visitHostnameSweep(deps, lease),
  }
}

/** Rows that repeat for ever; one of each, however many servers start. */
export async function scheduleDomainWork({ db, clock }: Pick<Deps, 'db' | 'clock'>): Promise<void> {
  await startOperation(db.jobs, {
    kind: SWEEP_KIND,
    subject: 'sweep:hostnames',
    namespaceId: null,
    now: clock.now(),
  })
}

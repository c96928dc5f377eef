import type { Deps } from '../deps.ts'
import { startOperation, type Work } from '../platform/operations.ts'
import { visitCreditWatch } from './credit-watch-operation.ts'
import { visitDeletion } from './delete-operation.ts'
import { visitHealing, visitSilence } from './heal-operation.ts'
import { keepWarmSchedule, visitKeepWarm } from './keep-warm-operation.ts'
import { visitRemoval } from './machine-removal.ts'
import { HEAL_KIND, KEEP_WARM_KIND, REST_KIND, WARM_KIND } from './operation-kinds.ts'
import { visitRelease } from './release-operation.ts'
import { visitRest } from './rest-operation.ts'
import { visitRetention } from './retention.ts'
import { visitSnapshotRemoval } from './snapshot-removal.ts'
import { visitSweep } from './sweep.ts'
import { visitTransfer } from './transfer-operation.ts'
import { visitWarmMachine } from './warm-operation.ts'

type Parts = Pick<Deps, 'db' | 'clock' | 'config' | 'keyring' | 'machines' | 'blobs' | 'log'>

/** The durable work of this room, by kind. */
export function agentWork(deps: Parts): Record<string, Work> {
  return {
    release: (operation, lease) => visitRelease(deps, operation, lease),
    [REST_KIND]: (operation, lease) => visitRest(deps, operation, lease),
    [HEAL_KIND]: (operation, lease) => visitHealing(deps, operation, lease),
    [KEEP_WARM_KIND]: (operation, lease) => visitKeepWarm(deps, operation, lease),
    [WARM_KIND]: (operation, lease) => visitWarmMachine(deps, operation, lease),
    'remove-machine': (operation, lease) => visitRemoval(deps, operation, lease),
    'remove-snapshot': (operation, lease) => visitSnapshotRemoval(deps, operation, lease),
    'delete-agent': (operation, lease) => visitDeletion(deps, operation, lease),
    'watch-credits': (operation, lease) => visitCreditWatch(deps, operation, lease),
    'watch-silence': (operation, lease) => visitSilence(deps, operation, lease),
    'poll-transfer': (operation, lease) => visitTransfer(deps, operation, lease),
    sweep: (operation, lease) => visitSweep(deps, operation, lease),
    retention: (operation, lease) => visitRetention(deps, operation, lease),
  }
}

/** Rows that repeat for ever; one of each, however many servers start. */
export async function scheduleAgentWork({ db, clock }: Pick<Deps, 'db' | 'clock'>): Promise<void> {
  for (const { kind, subject } of [
    { kind: 'sweep', subject: 'sweep:machines' },
    keepWarmSchedule,
    { kind: 'watch-credits', subject: 'watch-credits:agents' },
    { kind: 'watch-silence', subject: 'watch-silence:machines' },
    { kind: 'poll-transfer', subject: 'transfer:machines' },
    { kind: 'retention', subject: 'retention:agents' },
  ]) {
    await startOperation(db.jobs, { kind, subject, namespaceId: null, now: clock.now() })
  }
}

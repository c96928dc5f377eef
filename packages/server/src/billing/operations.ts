import type { Deps } from '../deps.ts'
import { startOperation, type Work } from '../platform/operations.ts'
import type { Transfers } from '../providers/chain/transfers.ts'
import { AUDIT_KIND, auditSubject, visitAudit } from './audit-operation.ts'
import { confirmationSubject, scanSubject, visitConfirmations } from './confirm-operation.ts'
import { meterSubject, visitMeters } from './meter-operation.ts'
import { visitScan } from './scan-operation.ts'

type Parts = Pick<Deps, 'db' | 'clock' | 'transfers'>

/** The durable work of this room, by kind. */
export function billingWork(deps: Parts): Record<string, Work> {
  const on = (chainId: unknown): Transfers => {
    const transfers = deps.transfers.find(({ chain }) => chain.chainId === chainId)
    if (!transfers) throw new Error('Payments are not taken on this chain any more.')
    return transfers
  }
  return {
    'scan-deposits': (operation, lease) => visitScan(deps, on(operation.stepData.chainId), operation, lease),
    'confirm-deposits': (operation, lease) => visitConfirmations(deps, on(operation.stepData.chainId), lease),
    'charge-meters': (operation, lease) => visitMeters(deps, operation, lease),
    [AUDIT_KIND]: (_, lease) => visitAudit(deps, lease),
  }
}

/** Rows that repeat for ever; one of each, however many servers start. */
export async function scheduleBillingWork({ db, clock, transfers }: Parts): Promise<void> {
  const now = clock.now()
  await startOperation(db.jobs, { kind: 'charge-meters', subject: meterSubject, namespaceId: null, now })
  await startOperation(db.jobs, { kind: AUDIT_KIND, subject: auditSubject, namespaceId: null, now })
  for (const { chain } of transfers) {
    const stepData = { chainId: chain.chainId }
    for (const { kind, subject } of [
      { kind: 'scan-deposits', subject: scanSubject(chain.chainId) },
      { kind: 'confirm-deposits', subject: confirmationSubject(chain.chainId) },
    ]) {
      await startOperation(db.jobs, { kind, subject, namespaceId: null, stepData, now })
    }
  }
}

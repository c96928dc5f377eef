import type { Size } from '@agentctl/contract/agent-config.ts'
import { setRate } from '../billing/meters.ts'
import { hourlyMicros } from '../billing/quotes.ts'
import type { Sql } from '../platform/db.ts'

/** Whose agent burns: billing itself knows only the subject, which is the agent's id. */
interface Metered {
  id: string
  namespaceId: string
  ownerAccountId: string
}

/**
 * From this moment on the agent costs this. In the transaction that changes what it is, and after the locks of its
 * operation and its row: a run of the meters waits for this, and never the other way round.
 */
export async function meterAgent(
  tx: Sql,
  agent: Metered,
  state: Size | 'stopped' | 'suspended',
  at: Date,
): Promise<void> {
  await setRate(tx, {
    subject: agent.id,
    accountId: agent.ownerAccountId,
    namespaceId: agent.namespaceId,
    hourlyMicros: hourlyMicros[state],
    at,
  })
}

import type { Domain } from '@agentctl/contract/domains.ts'
import { notify } from '../identity/notices.ts'
import type { Outcome } from '../platform/operations.ts'
import { shownName } from './hostnames.ts'
import { setEnded } from './lifecycle-store.ts'
import { type DomainRow, setEnding } from './store.ts'
import { again, say, type Visit } from './visit.ts'

const TAKEN_AGAIN_SECONDS = 10
/** What the provider says of one that it is letting go of. */
const LEAVING = new Set(['pending_deletion', 'deleted'])

type Failure = NonNullable<Domain['failure']>

export function expired({ step }: Pick<DomainRow, 'step'>): Failure {
  const last = step === null ? '' : ` The last thing it waited for: ${step}`
  return { reason: 'expired', message: `It was not live within seven days.${last}` }
}

/** Begins the end of one that will not be live. */
export async function giveUp({ lease, domain }: Visit, failure: Failure): Promise<Outcome> {
  await lease.write((tx) =>
    setEnding(tx, domain.id, { ending: 'failed', step: 'It is being taken away from Cloudflare.', failure }),
  )
  return again(0, {})
}

/**
 * Takes the hostname away at the provider, whoever ordered it: this row holds the name, so nobody else has one there.
 * Only then may somebody else have the name.
 */
export async function endDomain(visit: Visit): Promise<Outcome | 'settled'> {
  const { deps, hostnames, lease, domain, memory } = visit
  const ids = new Set(domain.providerId === null ? [] : [domain.providerId])
  const found = await hostnames.findByName(domain.hostname)
  if (found) ids.add(found.id)
  for (const id of ids) await hostnames.delete(id)
  const left = await hostnames.findByName(domain.hostname)
  // Not on the word of one answer: whoever takes the name next must not find ours there.
  if (left && !LEAVING.has(left.status)) {
    await say(visit, 'Cloudflare still has the name; it is taken away again.')
    return again(TAKEN_AGAIN_SECONDS, memory)
  }
  const now = deps.clock.now()
  // An agent that was deleted takes along also what failed.
  const status = domain.isAgentDeleted ? 'removed' : (domain.ending ?? 'removed')
  return lease.write<'settled'>(async (tx) => {
    await setEnded(tx, domain.id, { status, now })
    if (status === 'failed') await tellFailure(tx, domain, now)
    await lease.settle(tx, { state: 'done' })
    return 'settled'
  })
}

async function tellFailure(tx: Parameters<typeof notify>[0], domain: DomainRow, now: Date): Promise<void> {
  await notify(tx, {
    accountId: domain.ownerAccountId,
    kind: 'domain_failed',
    message:
      `The domain ${shownName(domain.hostname)} of ${domain.agentName} was given up. ${domain.failure?.message ?? ''}`.trim(),
    next: `agentctl domains add ${domain.hostname} --agent ${domain.agentName}`,
    now,
  })
}

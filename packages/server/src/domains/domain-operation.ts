import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Lease, Operation, Outcome } from '../platform/operations.ts'
import { Problem } from '../platform/problem.ts'
import type { CustomHostname } from '../providers/dns/cloudflare.ts'
import { endDomain, expired, giveUp } from './endings.ts'
import { type DnsSight, lookAtDns } from './findings.ts'
import { setProvided, setUnprovided } from './lifecycle-store.ts'
import { awaitDns, lookAt, lose } from './looks.ts'
import { pauseAfter } from './pace.ts'
import { findDomainById } from './store.ts'
import { again, Memory, say, type Visit } from './visit.ts'

/** Pauses before looking for a hostname whose order was not answered; after the last look it is ordered again. */
const LOOK_AGAIN_SECONDS = [0, 2, 8] as const
const ORDER_AGAIN_SECONDS = 10
const TROUBLE_SECONDS = 30
const ASK_AGAIN_SECONDS = 1800
const HIDDEN_MAX = 5
/** The provider forgets one after seven days by its own clock, which need not be ours to the minute. */
const FORGOTTEN_EARLY_SECONDS = 3600

/**
 * The whole life of a domain: makes sure of its hostname at the provider, watches it, and takes it away in the end.
 * Each visit looks at what is and takes the next step.
 */
export async function visitDomain(
  deps: Visit['deps'] & Pick<Deps, 'hostnames'>,
  operation: Operation,
  lease: Lease,
): Promise<Outcome | 'settled'> {
  const domain = await findDomainById(deps.db.jobs, operation.subject)
  if (!domain || domain.status === 'failed' || domain.status === 'removed') return { state: 'done' }
  const { hostnames } = deps
  if (!hostnames) {
    deps.log.error('A domain is kept, but no provider of domains is configured', { domainId: domain.id })
    return again(TROUBLE_SECONDS, {})
  }
  const memory = Memory.parse(operation.stepData)
  const visit: Visit = { deps, hostnames, lease, operationId: operation.id, memory, domain }
  try {
    if (domain.ending !== null || domain.isAgentDeleted) return await endDomain(visit)
    if (domain.providerId === null) return await order(visit)
    const dns = await lookAtDns(deps, domain)
    if (dns.leadsHere !== true && hasJustAsked(visit)) return await awaitDns(visit, dns)
    const found = await hostnames.find(domain.providerId)
    return found ? await watch(visit, found, dns) : await gone(visit)
  } catch (error) {
    if (!(error instanceof Problem && error.code === 'provider_unavailable')) throw error
    await say(visit, 'Cloudflare cannot be asked right now; it is tried again.')
    return again(Math.max(error.retryAfterSeconds ?? 0, TROUBLE_SECONDS), memory)
  }
}

/** Adopt before create: what has the name already is the hostname, if it was ordered by us. */
async function order(visit: Visit): Promise<Outcome> {
  const { deps, hostnames, lease, memory, domain } = visit
  const found = await hostnames.findByName(domain.hostname)
  if (found && memory.looks === undefined) {
    // Of somebody who had the name before, and whose proof of it may still be in DNS.
    await hostnames.delete(found.id)
    return again(0, memory)
  }
  if (found) return adopt(visit, found)
  if (memory.looks !== undefined && memory.looks < LOOK_AGAIN_SECONDS.length) {
    const looks = memory.looks + 1
    return again(LOOK_AGAIN_SECONDS[looks] ?? 0, { ...memory, looks })
  }
  // From here on it may be there, even if we are not any more.
  await lease.write(
    (tx) =>
      tx`update operations set step_data = ${tx.json({ ...memory, looks: 0 })} where id = ${visit.operationId}`,
  )
  const outcome = await hostnames.create(domain.hostname)
  switch (outcome.state) {
    case 'created':
      return adopt(visit, outcome.hostname)
    case 'unknown':
      return again(LOOK_AGAIN_SECONDS[1], { ...memory, looks: 0 })
    case 'not_now':
      await say(visit, 'Cloudflare does not take the name right now; it is tried again.')
      return again(ORDER_AGAIN_SECONDS, {})
    case 'taken':
      return taken(visit)
    case 'refused':
      deps.log.warn('The provider refuses a hostname', { domainId: domain.id })
      return giveUp(visit, {
        reason: 'refused',
        message: `Cloudflare does not take this name: ${outcome.message}`,
      })
  }
}

/** There is one that the provider does not show: it is being deleted there, or belongs to another customer of it. */
async function taken(visit: Visit): Promise<Outcome> {
  const hidden = (visit.memory.hidden ?? 0) + 1
  if (hidden > HIDDEN_MAX) {
    return giveUp(visit, {
      reason: 'taken_elsewhere',
      message: 'Cloudflare has this name for another service. It has to be taken away there first.',
    })
  }
  await say(visit, 'Cloudflare still has this name from elsewhere; it is tried again.')
  return again(LOOK_AGAIN_SECONDS[1] * 2 ** hidden, { looks: 0, hidden })
}

async function adopt({ lease, domain }: Visit, found: CustomHostname): Promise<Outcome> {
  await lease.write((tx) => setProvided(tx, domain.id, { providerId: found.id, ownership: found.ownership }))
  return again(0, {})
}

/** The provider has nothing to tell about a name that does not lead here, and is asked about many. */
function hasJustAsked({ deps, domain, memory }: Visit): boolean {
  if (domain.status === 'live' || memory.askedAt === undefined) return false
  return deps.clock.now() < secondsAfter(new Date(memory.askedAt), ASK_AGAIN_SECONDS)
}

const BLOCKED = new Set(['blocked', 'pending_blocked'])

async function watch(visit: Visit, found: CustomHostname, dns: DnsSight): Promise<Outcome> {
  if (BLOCKED.has(found.status)) {
    return giveUp(visit, {
      reason: 'blocked',
      message: 'Cloudflare has blocked this name, as it does with names that are known for abuse.',
    })
  }
  if (found.status === 'pending_deletion') {
    await say(visit, 'Cloudflare is letting go of the name; after that it is registered anew.')
    return again(TROUBLE_SECONDS, {})
  }
  if (found.status === 'deleted') {
    await visit.hostnames.delete(found.id)
    return gone(visit)
  }
  return lookAt(visit, found, dns)
}

/** The provider does not have it any more: its time is over there, or somebody deleted it. */
async function gone(visit: Visit): Promise<Outcome> {
  const { deps, lease, domain } = visit
  const now = deps.clock.now()
  if (domain.givenUpAt !== null && now >= secondsAfter(domain.givenUpAt, -FORGOTTEN_EARLY_SECONDS)) {
    return giveUp(visit, expired(domain))
  }
  deps.log.warn('A hostname is gone at the provider and is ordered again', { domainId: domain.id })
  await lease.write(async (tx) => {
    await setUnprovided(tx, domain.id)
    if (domain.status === 'live') {
      await lose(tx, visit, {
        reason: 'registration_lost',
        message: 'Cloudflare did not have it any more; it is registered again.',
      })
    }
  })
  return again(domain.status === 'live' ? 0 : pauseAfter(domain.attendedAt, now), {})
}

import type { RefusedName } from '@agentctl/contract/agents.ts'
import type { Domain, DomainStatus } from '@agentctl/contract/domains.ts'
import type { Role } from '@agentctl/contract/endpoint.ts'
import { enterAgent, enterNamespaceOf } from '../agents/agents.ts'
import type { RefusedNames } from '../agents/plan.ts'
import { hasHadCredits } from '../billing/balance.ts'
import type { Deps } from '../deps.ts'
import { enterNamespace } from '../identity/access.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import type { Caller } from '../platform/http.ts'
import { onceForKey } from '../platform/idempotency.ts'
import { newId } from '../platform/ids.ts'
import { startOperation, wakeOperation } from '../platform/operations.ts'
import { Problem } from '../platform/problem.ts'
import type { Wakes } from '../platform/wakes.ts'
import { isApex, readHostname, shownName } from './hostnames.ts'
import { DOMAIN_KIND } from './operation-kind.ts'
import { GIVEN_UP_SECONDS } from './pace.ts'
import { recordsOf } from './records.ts'
import {
  countHeld,
  type DomainRow,
  dropFailed,
  findDomainById,
  findDomainByName,
  findHolder,
  insertDomain,
  listDomainRows,
  listHeldBy,
  setAttended,
  setEnding,
} from './store.ts'

/** Names that one account may hold at a time, so that nobody collects those of others. */
const HELD_MAX = 100
/** The same before its first payment: accounts are to be had for nothing, and each name costs us. */
const UNPAID_HELD_MAX = 3

export function domainView(deps: Pick<Deps, 'config'>, domain: DomainRow): Domain {
  return {
    id: domain.id,
    hostname: domain.hostname,
    agent: { id: domain.agentId, name: domain.agentName },
    namespace: domain.namespace,
    status: domain.status,
    step: domain.step,
    records: recordsOf(deps, domain),
    isApex: isApex(domain.hostname),
    failure: domain.failure,
    certificate: domain.certificate,
    createdAt: domain.createdAt.toISOString(),
    checkedAt: domain.checkedAt?.toISOString() ?? null,
    liveAt: domain.liveAt?.toISOString() ?? null,
    givenUpAt: domain.givenUpAt?.toISOString() ?? null,
  }
}

/** Records the wish and the operation that fulfils it. The same name on the same agent again is the same domain. */
export async function addDomain(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  caller: Caller,
  request: { agent: string; namespace?: string | undefined; hostname: string },
  { idempotencyKey, role }: { idempotencyKey: string; role: Role },
): Promise<Domain> {
  const { db, clock } = deps
  const hostname = readAttachable(deps, request.hostname)
  const now = clock.now()
  return db.as({ account: caller.accountId }, (tx) =>
    onceForKey(
      tx,
      { accountId: caller.accountId, key: idempotencyKey, route: 'POST /v1/domains', request, now },
      async () => {
        const wanted = { agent: request.agent, namespace: request.namespace }
        const agent = await enterAgent(tx, caller, wanted, role)
        const held = await findHolder(tx, hostname)
        if (held) return domainView(deps, await keep(tx, caller, held, { agentId: agent.id, now }))
        // By the jobs role: the agents of an account may be in namespaces that the caller does not see.
        requireRoom(await roomFor(db.jobs, agent.ownerAccountId))
        const id = newId('dom')
        const inserted = await insertDomain(tx, {
          id,
          namespaceId: agent.namespaceId,
          agentId: agent.id,
          hostname,
          step: 'It is being registered at Cloudflare.',
          givenUpAt: secondsAfter(now, GIVEN_UP_SECONDS),
          now,
        })
        if (!inserted) {
          // Somebody was faster at this very moment; whoever sees who it is may be told.
          const faster = await findHolder(tx, hostname)
          if (!faster) throw unavailable(hostname)
          return domainView(deps, await keep(tx, caller, faster, { agentId: agent.id, now }))
        }
        await dropFailed(tx, { agentId: agent.id, hostname, now })
        await startOperation(tx, { kind: DOMAIN_KIND, subject: id, namespaceId: agent.namespaceId, now })
        return domainView(deps, await stored(tx, id))
      },
    ),
  )
}

/**
 * Those of some names that `addDomain` would refuse, and why, as things are; nothing is locked or changed. Whoever asks
 * about a name of another account learns what adding it would tell.
 */
export const refusedNames =
  (deps: Pick<Deps, 'db' | 'config'>): RefusedNames =>
  async (tx, caller, { agentId, ownerAccountId, names }) => {
    const refused: RefusedName[] = []
    if (names.length === 0) return refused
    const room = await roomFor(deps.db.jobs, ownerAccountId)
    for (const name of names) {
      try {
        const hostname = readAttachable(deps, name)
        const holder = await findHolder(tx, hostname)
        if (holder) requireKept(caller, holder, agentId)
        else {
          requireRoom(room)
          if (await findHolder(deps.db.jobs, hostname)) throw unavailable(hostname)
          room.held++
        }
      } catch (error) {
        if (!(error instanceof Problem)) throw error
        refused.push({ hostname: name, code: error.code, message: error.message, fix: error.fix })
      }
    }
    return refused
  }

function readAttachable(deps: Pick<Deps, 'config'>, said: string): string {
  if (!deps.config.cloudflare) throw new Problem('domains_unavailable')
  return readHostname(said, deps)
}

interface Room {
  held: number
  hasPaid: boolean
}

const roomFor = async (sql: Sql, accountId: string): Promise<Room> => ({
  held: await countHeld(sql, accountId),
  hasPaid: await hasHadCredits(sql, accountId),
})

function requireRoom({ held, hasPaid }: Room): void {
  if (held < (hasPaid ? HELD_MAX : UNPAID_HELD_MAX)) return
  if (!hasPaid) {
    throw new Problem(
      'conflict',
      `Before its first payment an account has at most ${UNPAID_HELD_MAX} domains.`,
      { fix: 'Top up first: agentctl billing deposit 25' },
    )
  }
  throw new Problem('conflict', `An account has at most ${HELD_MAX} domains.`, {
    fix: 'Remove one that is not used: agentctl domains list',
  })
}

/** What is attached already: to this agent it stays as it is, to another one of the caller's it is told where. */
async function keep(
  tx: Sql,
  caller: Caller,
  held: DomainRow,
  { agentId, now }: { agentId: string; now: Date },
): Promise<DomainRow> {
  requireKept(caller, held, agentId)
  await attend(tx, held, now)
  return stored(tx, held.id)
}

/** Refuses a name that is attached already, and not to this agent. */
function requireKept(caller: Caller, held: DomainRow, agentId: string | undefined): void {
  // A key that is bound to a namespace learns nothing of what is in others.
  if (caller.namespaceId !== null && caller.namespaceId !== held.namespaceId) throw unavailable(held.hostname)
  if (held.ending !== null || held.isAgentDeleted) {
    throw new Problem('conflict', `${shownName(held.hostname)} is still being taken away.`, {
      fix: 'Try again in a minute.',
    })
  }
  if (held.agentId !== agentId) {
    throw new Problem(
      'conflict',
      `${shownName(held.hostname)} is attached to the agent ${held.agentName} in ${held.namespace}.`,
      { fix: `Remove it there first: agentctl domains remove ${held.hostname}` },
    )
  }
}

/** Somebody waits: it is looked at now, and often in the next minutes. */
export async function attend(tx: Sql, { id }: Pick<DomainRow, 'id'>, now: Date): Promise<void> {
  // The operation first, as everybody who locks both does.
  await wakeOperation(tx, id)
  await setAttended(tx, id, now)
}

async function stored(tx: Sql, id: string): Promise<DomainRow> {
  const row = await findDomainById(tx, id)
  if (!row) throw new Error('A domain was not stored.')
  return row
}

/** In the same words for a name of another account and for one that the caller's key must not know of. */
function unavailable(hostname: string): Problem {
  return new Problem('hostname_unavailable', `${shownName(hostname)} cannot be attached.`)
}

function noSuchDomain(): Problem {
  return new Problem('not_found', 'There is no such domain.', { fix: 'See yours: agentctl domains list' })
}

/** An id, or a name; in this namespace where one is told. */
export interface DomainWanted {
  domain: string
  namespace: string | undefined
}

/** The domain, if the caller has this role in its namespace. To a stranger it looks like none. */
export async function enterDomain(
  deps: Pick<Deps, 'config'>,
  tx: Sql,
  caller: Caller,
  { domain: wanted, namespace }: DomainWanted,
  role: Role,
): Promise<DomainRow> {
  const found = wanted.startsWith('dom_')
    ? await findDomainById(tx, wanted)
    : await findDomainByName(tx, nameOrNone(deps, wanted), namespace)
  const isThere =
    found !== undefined &&
    (namespace === undefined || namespace === found.namespace || namespace === found.namespaceId)
  if (!isThere) throw noSuchDomain()
  await enterNamespaceOf(tx, caller, found, role, noSuchDomain)
  return found
}

/** What cannot be a domain is none. */
function nameOrNone(deps: Pick<Deps, 'config'>, said: string): string {
  try {
    return readHostname(said, deps)
  } catch (error) {
    if (error instanceof Problem) throw noSuchDomain()
    throw error
  }
}

export async function listDomains(
  { db }: Pick<Deps, 'db'>,
  caller: Caller,
  { namespace, agent }: { namespace: string | undefined; agent: string | undefined },
  role: Role,
): Promise<DomainRow[]> {
  return db.as({ account: caller.accountId }, async (tx) => {
    if (agent !== undefined) {
      const { id } = await enterAgent(tx, caller, { agent, namespace }, role)
      return listDomainRows(tx, { namespaceId: undefined, agentId: id })
    }
    if (namespace === undefined && caller.namespaceId === null) {
      return listDomainRows(tx, { namespaceId: undefined, agentId: undefined })
    }
    const { id } = await enterNamespace(tx, caller, namespace, role)
    return listDomainRows(tx, { namespaceId: id, agentId: undefined })
  })
}

/** Answers when the domain is another than the caller knows, or when the time is up. */
export async function awaitDomain(
  deps: Pick<Deps, 'db' | 'config'> & { wakes: Wakes },
  caller: Caller,
  wanted: DomainWanted & {
    waitSeconds: number
    status: DomainStatus | undefined
    step: string | undefined
  },
  role: Role,
  signal: AbortSignal,
): Promise<DomainRow> {
  const look = (domain: string) =>
    deps.db.as({ account: caller.accountId }, (tx) =>
      enterDomain(deps, tx, caller, { domain, namespace: wanted.namespace }, role),
    )
  const first = await look(wanted.domain)
  const wake = deps.wakes.of(first.id)
  try {
    const deadline = performance.now() + wanted.waitSeconds * 1000
    const status = wanted.status ?? first.status
    const step = wanted.step ?? first.step ?? ''
    for (;;) {
      // By its id, also the first time: it may have changed before anybody listened.
      const domain = await look(first.id)
      const remaining = deadline - performance.now()
      const changed = domain.status !== status || (domain.step ?? '') !== step
      if (changed || remaining <= 0 || signal.aborted) return domain
      await wake.next(remaining, signal)
    }
  } finally {
    wake.close()
  }
}

/** Begins the end of all that an account has. How many are not gone yet. */
export async function endDomainsOf(tx: Sql, accountId: string): Promise<number> {
  const held = await listHeldBy(tx, accountId)
  for (const { id, ending } of held) {
    if (ending !== null) continue
    // The operation first, as everybody who locks both does.
    await wakeOperation(tx, id)
    await setEnding(tx, id, { ending: 'removed', step: 'It is being taken away from Cloudflare.' })
  }
  return held.length
}

/** Begins its end; the operation takes it away at the provider, and only then is the name free. */
export async function removeDomain(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  caller: Caller,
  wanted: DomainWanted,
  role: Role,
): Promise<DomainRow> {
  const now = deps.clock.now()
  return deps.db.as({ account: caller.accountId }, async (tx) => {
    const domain = await enterDomain(deps, tx, caller, wanted, role)
    const { id, agentId, hostname } = domain
    await wakeOperation(tx, id)
    await dropFailed(tx, { agentId, hostname, now })
    await setEnding(tx, id, { ending: 'removed', step: 'It is being taken away from Cloudflare.' })
    return stored(tx, id)
  })
}

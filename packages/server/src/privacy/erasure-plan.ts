import type { ErasurePlan } from '@agentctl/contract/privacy.ts'
import { agentUrl } from '../agents/agents.ts'
import type { Deps } from '../deps.ts'
import type { Caller } from '../platform/http.ts'
import * as store from './erasure-plan-store.ts'
import { LEGAL_BASIS, retainedUntil } from './retained.ts'

type Blocker = ErasurePlan['blockers'][number]

/** What an erasure would take away at this moment, what is kept and why, and what stands in its way. Changes nothing. */
export async function planErasure(
  deps: Pick<Deps, 'config' | 'db' | 'clock'>,
  caller: Caller,
): Promise<ErasurePlan> {
  const { db, clock } = deps
  const { accountId } = caller
  const now = clock.now()
  const credentials = await db.as({ account: accountId }, (tx) => store.countCredentials(tx, accountId, now))
  const agents = await store.listPlannedAgents(db.jobs, accountId)
  const counts = await store.countPlanned(db.jobs, accountId)
  const namespaces = await store.listPlannedNamespaces(db.jobs, accountId)
  const money = await store.findMoney(db.jobs, accountId)
  return {
    account: { id: accountId },
    agents: agents.map(({ name, namespace, status, label }) => ({
      name,
      namespace,
      status,
      url: agentUrl(deps, label),
    })),
    domains: await store.listPlannedDomains(db.jobs, accountId),
    machines: counts.machines,
    snapshots: counts.snapshots,
    files: { count: counts.files, bytes: counts.bytes },
    secrets: counts.secrets,
    keys: credentials.keys,
    sessions: credentials.sessions,
    notices: counts.notices,
    namespaces: {
      deleted: namespaces.filter(({ isOwn, others }) => isOwn && others === 0).map(({ name }) => name),
      handedOver: namespaces.filter(isHandedOver).map(({ name }) => name),
      left: namespaces.filter(({ isOwn }) => !isOwn).map(({ name }) => name),
    },
    credits: {
      leftMicros: String(money.balanceMicros > 0n ? money.balanceMicros : 0n),
      owedMicros: String(money.balanceMicros < 0n ? -money.balanceMicros : 0n),
    },
    kept: {
      records: money.records,
      legalBasis: LEGAL_BASIS,
      until: retainedUntil(now).toISOString(),
    },
    blockers: blockersOf(money, namespaces),
  }
}

/** What has to come to an end before an account can be erased. */
export function blockersOf(money: store.Money, namespaces: readonly store.PlannedNamespace[]): Blocker[] {
  return [...blockersOfMoney(money), ...namespaces.flatMap(blockersOfNamespace)]
}

/** Money on its way would reach nobody. */
function blockersOfMoney(money: store.Money): Blocker[] {
  const moving = money.movingPayments
  return [
    ...(moving > 0
      ? [
          {
            reason: 'payment_under_way',
            message: `${moving === 1 ? 'A payment' : `${moving} payments`} on chain ${moving === 1 ? 'is' : 'are'} still being confirmed or sent back.`,
            fix: 'Wait until it is credited or returned: agentctl billing history',
          },
        ]
      : []),
    ...(money.openCheckouts > 0
      ? [
          {
            reason: 'checkout_open',
            message: 'A page for a payment by card can still be paid, or its bank has not answered yet.',
            fix: 'Pay it, or wait until it has expired (an hour at the most), then: agentctl account delete --plan',
          },
        ]
      : []),
    ...(money.openRefunds > 0
      ? [
          {
            reason: 'refund_under_way',
            message: 'A payment by card is being given back.',
            fix: 'Wait until that has been done: agentctl billing history',
          },
        ]
      : []),
    ...(money.heldMicros > 0n
      ? [
          {
            reason: 'credits_held',
            message: 'Credits are set aside for something that has not ended.',
            fix: 'Wait until that has ended: agentctl billing balance',
          },
        ]
      : []),
  ]
}

/** Whether an empty namespace goes on under another owner of it. */
export function isHandedOver(namespace: store.PlannedNamespace): boolean {
  return namespace.isOwn && namespace.nextOwner !== null && namespace.liveAgents === 0
}

/** What others share must not go away under them, nor become theirs to pay without their doing. */
function blockersOfNamespace(namespace: store.PlannedNamespace): Blocker[] {
  const { name, isOwn, others, nextOwner, liveAgents } = namespace
  if (!isOwn || others === 0 || isHandedOver(namespace)) return []
  const members = others === 1 ? 'another member' : `${others} other members`
  if (nextOwner === null) {
    return [
      {
        reason: 'namespace_shared',
        message: `The namespace ${name} has ${members}, and no other owner.`,
        fix: `Make one of them owner: agentctl members set-role ACCOUNT owner -n ${name}. Or remove them: agentctl members remove ACCOUNT -n ${name}`,
      },
    ]
  }
  return [
    {
      reason: 'namespace_shared',
      message: `The namespace ${name} has ${members}, and ${liveAgents === 1 ? 'an agent' : `${liveAgents} agents`} that you pay for.`,
      fix: `Delete what is yours: agentctl agents list -n ${name}. Whoever needs an agent takes it along: agentctl agents export`,
    },
  ]
}

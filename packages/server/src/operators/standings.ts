import type { FoundAccount, StandingState } from '@agentctl/contract/operators.ts'
import { ledgerAccountOf, post } from '../billing/ledger.ts'
import { dollars } from '../billing/limits.ts'
import type { Deps } from '../deps.ts'
import { notify } from '../identity/notices.ts'
import { decideCaps, decideStanding } from '../identity/standing.ts'
import type { Sql } from '../platform/db.ts'
import { findFor, requireAccount } from './accounts.ts'

type Parts = Pick<Deps, 'pepper'>

/**
 * Suspends or bans an account, or takes that back. Its agents go to rest, and come back, by the work that watches
 * credits; its people are told why. Told again, it changes nothing.
 */
export async function setStanding(
  deps: Parts,
  tx: Sql,
  { account, state, reason, now }: { account: string; state: StandingState; reason: string; now: Date },
): Promise<FoundAccount> {
  await requireAccount(tx, account)
  if (await decideStanding(deps, tx, { account, state, reason, now })) {
    await notify(tx, { accountId: account, kind: `account_${state}`, ...told(state, reason), now })
  }
  return findFor(deps, tx, { account })
}

function told(state: StandingState, reason: string): { message: string; next: string } {
  switch (state) {
    case 'suspended':
      return {
        message: `Your account is suspended: ${reason} Its agents are stopped and their files are kept. You can go on logging in, exporting and deleting what you have; to answer, write to the address at the end of the policy.`,
        next: 'agentctl policy show',
      }
    case 'banned':
      return {
        message: `Your account is banned: ${reason} To answer, write to the address at the end of the policy.`,
        next: 'agentctl policy show',
      }
    case 'good':
      return {
        message: `Your account is not suspended any more: ${reason} Agents that were stopped for it come back, as far as the credits go.`,
        next: 'agentctl agents list',
      }
  }
}

export interface Caps {
  machinesMax: number | null
  hourlyMaxMicros: string | null
  monthlyMaxMicros: string | null
}

/** Bounds what an account may run and spend from now on; null takes a cap away. */
export async function capAccount(
  deps: Parts,
  tx: Sql,
  { account, caps, reason, now }: { account: string; caps: Caps; reason: string; now: Date },
): Promise<FoundAccount> {
  await requireAccount(tx, account)
  const micros = (value: string | null): bigint | null => (value === null ? null : BigInt(value))
  const [hourly, monthly] = [micros(caps.hourlyMaxMicros), micros(caps.monthlyMaxMicros)]
  const { machinesMax } = caps
  await decideCaps(tx, account, {
    machinesMax,
    hourlyMaxMicros: hourly,
    monthlyMaxMicros: monthly,
    reason,
    now,
  })
  const bounds = [
    ...(machinesMax === null ? [] : [`${machinesMax} machines at a time`]),
    ...(hourly === null ? [] : [`${dollars(hourly)} an hour`]),
    ...(monthly === null ? [] : [`${dollars(monthly)} a month`]),
  ]
  await notify(tx, {
    accountId: account,
    kind: 'account_capped',
    message:
      bounds.length === 0
        ? `We bound your account no more: ${reason}`
        : `Your account may have at most ${bounds.join(' and ')}: ${reason} To ask for more, write to the address at the end of the policy.`,
    next: 'agentctl policy show',
    now,
  })
  return findFor(deps, tx, { account })
}

/** Gives credits that were charged back to an account, once for each id. */
export async function creditAccount(
  deps: Parts,
  tx: Sql,
  wanted: { account: string; id: string; amountMicros: bigint; reason: string; now: Date },
): Promise<FoundAccount> {
  const { account, id, amountMicros, reason, now } = wanted
  await requireAccount(tx, account)
  const isNew = await post(tx, {
    key: `credit:${id}`,
    kind: 'refund',
    reference: id,
    ledgerAccount: await ledgerAccountOf(tx, account, now),
    amountMicros,
    against: 'sys_revenue',
    at: now,
  })
  if (isNew) {
    await notify(tx, {
      accountId: account,
      kind: 'credited',
      message: `${dollars(amountMicros)} were given back to your credits: ${reason}`,
      next: 'agentctl billing balance',
      now,
    })
  }
  return findFor(deps, tx, { account })
}

/** Once for each payment, however often it is decided. */
export async function tellOfRefund(
  tx: Sql,
  payment: { id: string; account: string | null },
  reason: string,
  now: Date,
): Promise<void> {
  if (payment.account === null) return
  await notify(tx, {
    accountId: payment.account,
    kind: 'refunded',
    message: `Your payment ${payment.id} is given back: ${reason} What of it was credited is taken from your credits.`,
    next: 'agentctl billing history',
    now,
    once: payment.id,
  })
}

import type { Limits } from '@agentctl/contract/billing.ts'
import { listMonthlyCaps, requireGoodStanding, standingOf } from '../identity/standing.ts'
import { startOfMonth } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import { Problem } from '../platform/problem.ts'
import {
  deleteWarning,
  findLimits,
  findWarning,
  type LimitsRow,
  listLimited,
  putLimits,
  putWarning,
  sumBurnt,
} from './limits-store.ts'
import { findBurn, findLedgerAccount } from './store.ts'

const NONE: LimitsRow = {
  softHourlyMicros: null,
  softMonthlyMicros: null,
  hardHourlyMicros: null,
  hardMonthlyMicros: null,
}

export async function showLimits(tx: Sql, accountId: string): Promise<Limits> {
  return view((await findLimits(tx, accountId)) ?? NONE)
}

/** Those that are not named stay as they are; null takes one away. */
export async function changeLimits(
  tx: Sql,
  accountId: string,
  change: { [K in keyof Limits]?: Limits[K] | undefined },
): Promise<Limits> {
  const limits = { ...NONE, ...(await findLimits(tx, accountId)) }
  for (const name of names) {
    const value = change[name]
    if (value === undefined) continue
    if (value !== null && BigInt(value) < 0n) {
      throw new Problem('invalid_request', `body.${name}: a limit is not negative`)
    }
    limits[name] = value === null ? null : BigInt(value)
  }
  await putLimits(tx, accountId, limits)
  return view(limits)
}

const names = ['softHourlyMicros', 'softMonthlyMicros', 'hardHourlyMicros', 'hardMonthlyMicros'] as const

function view(limits: LimitsRow): Limits {
  const shown = (micros: bigint | null): string | null => (micros === null ? null : String(micros))
  return {
    softHourlyMicros: shown(limits.softHourlyMicros),
    softMonthlyMicros: shown(limits.softMonthlyMicros),
    hardHourlyMicros: shown(limits.hardHourlyMicros),
    hardMonthlyMicros: shown(limits.hardMonthlyMicros),
  }
}

/** Refuses what would burn more an hour than the account allows itself, or anything once the month's limit is reached. */
export async function requireWithinLimits(
  tx: Sql,
  { accountId, rateMicros, now }: { accountId: string; rateMicros: bigint; now: Date },
): Promise<void> {
  await requireGoodStanding(tx, accountId)
  const [limits, caps] = [await findLimits(tx, accountId), await standingOf(tx, accountId)]
  const bounds = [
    {
      hourly: caps?.hourlyMaxMicros,
      monthly: caps?.monthlyMaxMicros,
      is: 'we allow this account',
      // Its people cannot change what operators have decided.
      options: {
        fix: 'To ask for more, write to the address at the end of the policy: agentctl policy show',
      },
    },
    { hourly: limits?.hardHourlyMicros, monthly: limits?.hardMonthlyMicros, is: 'the limit is', options: {} },
  ]
  for (const { hourly, monthly, is, options } of bounds) {
    if (hourly != null && rateMicros > hourly) {
      throw new Problem(
        'spend_limit',
        `All agents together would cost ${dollars(rateMicros)} an hour; ${is} ${dollars(hourly)}.`,
        options,
      )
    }
    if (monthly == null) continue
    const spent = await spentThisMonth(tx, accountId, now)
    if (spent >= monthly) {
      throw new Problem(
        'spend_limit',
        `${dollars(spent)} were spent this month; ${is} ${dollars(monthly)}.`,
        options,
      )
    }
  }
}

/** What the meters of one subject have burnt in all. */
export function spentBySubject(tx: Sql, subject: string, now: Date): Promise<bigint> {
  return sumBurnt(tx, { subject }, { since: new Date(0), until: now })
}

async function spentThisMonth(tx: Sql, accountId: string, now: Date): Promise<bigint> {
  const ledgerAccount = await findLedgerAccount(tx, accountId)
  if (ledgerAccount === undefined) return 0n
  const since = startOfMonth(now)
  return sumBurnt(tx, { ledgerAccount }, { since, until: now })
}

export interface Breach {
  accountId: string
  kind: 'soft_hourly' | 'soft_monthly' | 'hard_monthly' | 'cap_monthly'
  message: string
  next: string
}

/** Accounts that are bounded, by themselves or by operators. */
async function listBounded(tx: Sql) {
  const caps = new Map(
    (await listMonthlyCaps(tx)).map(({ accountId, monthlyMaxMicros }) => [accountId, monthlyMaxMicros]),
  )
  const limited = await listLimited(tx)
  const known = new Set(limited.map(({ accountId }) => accountId))
  const others = [...caps.keys()].filter((id) => !known.has(id)).map((accountId) => ({ accountId, ...NONE }))
  return [...limited, ...others].map((one) => ({ ...one, monthlyMaxMicros: caps.get(one.accountId) ?? null }))
}

/** Limits that were passed since the last look: each is told once, a monthly one once in each month. */
export async function newBreaches(tx: Sql, now: Date): Promise<Breach[]> {
  const breaches: Breach[] = []
  const month = now.toISOString().slice(0, 7)
  for (const { accountId, ...limits } of await listBounded(tx)) {
    const ledgerAccount = await findLedgerAccount(tx, accountId)
    const rate = ledgerAccount ? (await findBurn(tx, ledgerAccount, now)).hourlyMicros : 0n
    const spent = await spentThisMonth(tx, accountId, now)
    for (const { kind, limit, reached, said, message, next = 'agentctl billing limits' } of [
      {
        kind: 'soft_hourly',
        limit: limits.softHourlyMicros,
        reached: (most: bigint) => rate > most,
        said: 'above',
        message: `Your agents cost ${dollars(rate)} an hour together, more than you wanted to be told about.`,
      },
      {
        kind: 'soft_monthly',
        limit: limits.softMonthlyMicros,
        reached: (most: bigint) => spent >= most,
        said: month,
        message: `${dollars(spent)} were spent this month, as much as you wanted to be told about.`,
      },
      {
        kind: 'hard_monthly',
        limit: limits.hardMonthlyMicros,
        reached: (most: bigint) => spent >= most,
        said: month,
        message: `${dollars(spent)} were spent this month: your limit is reached, and your agents are stopped.`,
      },
      {
        kind: 'cap_monthly',
        limit: limits.monthlyMaxMicros,
        reached: (most: bigint) => spent >= most,
        said: month,
        message: `${dollars(spent)} were spent this month, as much as we allow your account, and your agents are stopped.`,
        next: 'agentctl policy show',
      },
    ] satisfies (Omit<Breach, 'accountId' | 'next'> & {
      limit: bigint | null
      reached: (most: bigint) => boolean
      said: string
      next?: string
    })[]) {
      if (limit === null || !reached(limit)) {
        await deleteWarning(tx, accountId, kind)
        continue
      }
      if ((await findWarning(tx, accountId, kind)) === said) continue
      await putWarning(tx, accountId, kind, said)
      breaches.push({ accountId, kind, message, next })
    }
  }
  return breaches
}

/** Accounts that have spent what they, or operators, allow them this month. */
export async function listOverspent(tx: Sql, now: Date): Promise<string[]> {
  const over: string[] = []
  for (const { accountId, hardMonthlyMicros, monthlyMaxMicros } of await listBounded(tx)) {
    const bounds = [hardMonthlyMicros, monthlyMaxMicros].filter((bound) => bound !== null)
    if (bounds.length === 0) continue
    const spent = await spentThisMonth(tx, accountId, now)
    if (bounds.some((bound) => spent >= bound)) over.push(accountId)
  }
  return over
}

/** Dollars as they are: two places, and as many more as it takes. Nothing is rounded, so that what is said to be missing is enough. */
export function dollars(micros: bigint): string {
  const parts = micros < 0n ? -micros : micros
  const fraction = String(parts % 1_000_000n)
    .padStart(6, '0')
    .replace(/0{0,4}$/, '')
  return `${micros < 0n ? '-' : ''}$${parts / 1_000_000n}.${fraction}`
}

/** What suspending takes, as a share of what burns: until a disk is copied its machine still runs. */
export const SUSPENDING_SECONDS = 600
const RUNWAY_SECONDS = 3600

/** Refuses what would leave less than an hour, and what suspending takes, to burn. */
export function requireRunway(
  { freeMicros, rateMicros }: { freeMicros: bigint; rateMicros: bigint },
  what: string,
): void {
  const needed = (rateMicros * BigInt(RUNWAY_SECONDS + SUSPENDING_SECONDS) + 3599n) / 3600n
  if (freeMicros >= needed) return
  const missing = needed - (freeMicros > 0n ? freeMicros : 0n)
  const whole = (missing + 999_999n) / 1_000_000n
  throw new Problem(
    'insufficient_credits',
    `${what} needs ${dollars(needed)}: an hour of everything that runs or is about to (${dollars(rateMicros)} an hour), and what suspending takes. There are ${dollars(freeMicros)}; ${dollars(missing)} are missing.`,
    { fix: `Top up: agentctl billing deposit ${whole}` },
  )
}

/** Whether an account can take one more on: by the same rule. */
export function affords(freeMicros: bigint, rateMicros: bigint): boolean {
  return freeMicros >= (rateMicros * BigInt(RUNWAY_SECONDS + SUSPENDING_SECONDS) + 3599n) / 3600n
}

import type { Size } from '@agentctl/contract/agent-config.ts'
import type { Deps } from '../deps.ts'
import { secondsAfter, startOfMonth } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import {
  type Lease,
  type Operation,
  type Outcome,
  startOperation,
  wakeOperation,
} from '../platform/operations.ts'
import { newBootstrap } from './machine-order.ts'
import { machineSizes } from './machine-sizes.ts'
import { KEEP_WARM_KIND, WARM_KIND } from './operation-kinds.ts'
import { scriptSha256 } from './script-for.ts'
import {
  insertWarm,
  listKept,
  listTroubles,
  setStale,
  setWarmDeleting,
  sumWarmCost,
  type WarmEnding,
  type WarmRow,
  warmSubject,
} from './warm-store.ts'

export const KEEP_WARM_SUBJECT = 'keep-warm:machines'

/** Also woken whenever one has been taken. */
const LOOK_SECONDS = 15
/** How long one that would be made otherwise now is left: while a new version comes, servers of both kinds are at work. */
export const STALE_SECONDS = 600
/** Its system is as old as its boot; after this it is replaced. */
export const WARM_DAYS = 7
/** How long a plan is not asked for again after it was sold out, or one was lost; and after one did not come up. */
const PAUSE_SECONDS = 600
export const TROUBLE_SECONDS = 3600

const sizes = Object.keys(machineSizes) as Size[]

/** How many blank machines of each plan there should be now, without what the budget says. */
function wantedByPlan({ warm }: Pick<Deps['config'], 'warm'>): Map<string, number> {
  return new Map(sizes.map((size) => [machineSizes[size].plan, warm.sizes[size] ?? 0]))
}

/** Makes blank machines until there are as many as configured, and lets go of those that should not be kept. */
export async function visitKeepWarm(
  deps: Pick<Deps, 'db' | 'clock' | 'config' | 'keyring' | 'machines' | 'log'>,
  _operation: Operation,
  lease: Lease,
): Promise<Outcome> {
  const now = deps.clock.now()
  const script = await scriptSha256(deps.config)
  const missing = await lease.write((tx) => thinOut(deps, tx, script, now))
  for (const [plan, count] of missing) {
    const monthlyMicros = await deps.machines.monthlyMicros(plan)
    if (monthlyMicros === undefined) {
      deps.log.error('The provider tells no price of a plan, so none is kept ready', { step: plan })
      continue
    }
    await lease.write(async (tx) => {
      for (let made = 0; made < count; made++) await intend(deps, tx, { plan, script, monthlyMicros, now })
    })
  }
  return { state: 'again', afterSeconds: LOOK_SECONDS }
}

/** Decides which ones go, and returns how many of each plan are to be made. */
async function thinOut(
  { config }: Pick<Deps, 'config'>,
  tx: Sql,
  script: Buffer,
  now: Date,
): Promise<Map<string, number>> {
  const kept = await listKept(tx)
  const wanted = wantedByPlan(config)
  const { monthlyBudgetMicros: budget } = config.warm
  const isSpent =
    budget !== undefined && (await sumWarmCost(tx, { monthStart: startOfMonth(now), now })) >= budget
  const held = await plansHeld(tx, now)
  const missing = new Map<string, number>()
  for (const plan of new Set([...wanted.keys(), ...kept.map((row) => row.plan)])) {
    const count = isSpent ? 0 : (wanted.get(plan) ?? 0)
    const fresh: WarmRow[] = []
    const aged: WarmRow[] = []
    for (const row of kept.filter((one) => one.plan === plan)) {
      const isStale = !row.scriptSha256.equals(script)
      if (isStale !== (row.staleSince !== null)) await setStale(tx, row.id, isStale ? now : null)
      if (!isStale) (isAged(row, now) ? aged : fresh).push(row)
      else if (count === 0 || secondsAfter(row.staleSince ?? now, STALE_SECONDS) <= now) {
        await letGo(tx, row, 'outdated')
      }
    }
    // Those that are nearly there go last.
    const ready = fresh.filter(({ state }) => state === 'warm')
    const coming = fresh.filter(({ state }) => state !== 'warm')
    const excess = [...ready, ...coming].slice(count)
    for (const row of excess) await letGo(tx, row, isSpent ? 'budget' : 'not_wanted')
    // One that is only old serves until its successor is there.
    const places = Math.max(0, count - ready.length)
    for (const row of aged.slice(0, Math.max(0, aged.length - places))) await letGo(tx, row, 'aged')
    if (count > fresh.length && !held.has(plan)) missing.set(plan, count - fresh.length)
  }
  return missing
}

function isAged(row: WarmRow, now: Date): boolean {
  return secondsAfter(row.createdAt, WARM_DAYS * 86_400) <= now
}

async function plansHeld(tx: Sql, now: Date): Promise<Set<string>> {
  const troubles = await listTroubles(tx, secondsAfter(now, -TROUBLE_SECONDS))
  return new Set(troubles.filter(({ ending, at }) => heldUntil(ending, at) > now).map(({ plan }) => plan))
}

/** Until when a plan is not asked for again after this. */
export function heldUntil(ending: WarmEnding, at: Date): Date {
  const isOurs = ending === 'refused' || ending === 'not_ready'
  return secondsAfter(at, isOurs ? TROUBLE_SECONDS : PAUSE_SECONDS)
}

/** Its operation takes it away. That is locked before the row, as everybody does. */
async function letGo(tx: Sql, row: WarmRow, ending: WarmEnding): Promise<void> {
  await wakeOperation(tx, warmSubject(row.id))
  await setWarmDeleting(tx, row.id, ending)
}

/** The intent row, before anything is asked of the provider. */
async function intend(
  { keyring }: Pick<Deps, 'keyring'>,
  tx: Sql,
  { plan, script, monthlyMicros, now }: { plan: string; script: Buffer; monthlyMicros: bigint; now: Date },
): Promise<void> {
  const id = newId('mch')
  const bootstrap = newBootstrap({ keyring }, id)
  const operationId = await startOperation(tx, {
    kind: WARM_KIND,
    subject: warmSubject(id),
    namespaceId: null,
    stepData: { bootstrap: bootstrap.sealed },
    now,
  })
  await insertWarm(tx, {
    id,
    label: `${operationId}-warm`,
    plan,
    scriptSha256: script,
    monthlyMicros,
    bootstrapHash: bootstrap.hash,
    now,
  })
}

/** One has been taken, and another is to be made. Not within the taking: it would wait for the whole look. */
export async function wakeKeepWarm({ db }: Pick<Deps, 'db'>): Promise<void> {
  await wakeOperation(db.jobs, KEEP_WARM_SUBJECT)
}

/** The row that repeats for ever. */
export const keepWarmSchedule = { kind: KEEP_WARM_KIND, subject: KEEP_WARM_SUBJECT }

import { type Size, sizes } from '@agentctl/contract/agent-config.ts'
import type { WarmMachines } from '@agentctl/contract/operators.ts'
import type { Deps } from '../deps.ts'
import { secondsAfter, startOfMonth } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import { heldUntil, TROUBLE_SECONDS } from './keep-warm-operation.ts'
import { machineSizes } from './machine-sizes.ts'
import { countKept, listTroubles, sumWarmCost } from './warm-store.ts'

/** What is kept ready, for the operators who pay for it. */
export async function showWarmMachines(
  { config }: Pick<Deps, 'config'>,
  tx: Sql,
  now: Date,
): Promise<WarmMachines> {
  const counts = new Map((await countKept(tx)).map((row) => [row.plan, row]))
  const troubles = await listTroubles(tx, secondsAfter(now, -TROUBLE_SECONDS))
  const spent = await sumWarmCost(tx, { monthStart: startOfMonth(now), now })
  const { monthlyBudgetMicros: budget } = config.warm
  const held = (size: Size): WarmMachines['sizes'][number]['held'] => {
    const [last] = troubles
      .filter(({ plan }) => plan === machineSizes[size].plan)
      .map(({ ending, at }) => ({ reason: ending, until: heldUntil(ending, at) }))
      .filter(({ until }) => until > now)
      .sort((a, b) => b.until.getTime() - a.until.getTime())
    if (last) return { reason: last.reason, until: last.until.toISOString() }
    if (budget === undefined || spent < budget) return null
    const nextMonth = startOfMonth(secondsAfter(startOfMonth(now), 32 * 86_400))
    return { reason: 'budget', until: nextMonth.toISOString() }
  }
  return {
    sizes: sizes.map((size) => {
      const { warm, making, leaving, monthlyMicros } = counts.get(machineSizes[size].plan) ?? NONE
      const wanted = config.warm.sizes[size] ?? 0
      return {
        size,
        wanted,
        warm,
        making,
        leaving,
        monthlyMicros: String(monthlyMicros),
        held: wanted > 0 ? held(size) : null,
      }
    }),
    spentMicros: String(spent),
    budgetMicros: budget === undefined ? null : String(budget),
  }
}

const NONE = { warm: 0, making: 0, leaving: 0, monthlyMicros: 0n }

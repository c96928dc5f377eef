import { type Size, sizes } from '@agentctl/contract/agent-config.ts'
import { ConfigError } from './config-error.ts'

/** Blank machines that are kept ready, at the operator's cost. */
export interface WarmMachines {
  /** How many of each size; absent for none. */
  sizes: Readonly<Partial<Record<Size, number>>>
  /** What they may cost in a calendar month (UTC); undefined for no such limit. */
  monthlyBudgetMicros: bigint | undefined
}

const EACH_MAX = 20

/** `WARM_MACHINES=nano=1,small=2` and `WARM_BUDGET`, whole dollars a month. */
export function warmMachinesOf(env: Readonly<Record<string, string | undefined>>): WarmMachines {
  const kept: Partial<Record<Size, number>> = {}
  for (const entry of (env.WARM_MACHINES ?? '').split(',').filter((text) => text !== '')) {
    const [, name, count] = /^([a-z]+)=(\d{1,2})$/.exec(entry.trim()) ?? []
    const size = sizes.find((one) => one === name)
    if (size === undefined || Number(count) > EACH_MAX || kept[size] !== undefined) {
      throw new ConfigError(
        `WARM_MACHINES must be size=number, each size once and at most ${EACH_MAX} of it, like nano=1,small=2.`,
      )
    }
    kept[size] = Number(count)
  }
  const budget = env.WARM_BUDGET || undefined
  if (budget !== undefined && !/^\d{1,6}$/.test(budget)) {
    throw new ConfigError('WARM_BUDGET must be a whole number of dollars a month.')
  }
  return {
    sizes: kept,
    monthlyBudgetMicros: budget === undefined ? undefined : BigInt(budget) * 1_000_000n,
  }
}

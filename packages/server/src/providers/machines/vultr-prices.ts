import { z } from 'zod'

/** As the provider's catalogue has it: dollars for a whole month. */
export const PricedPlan = z.object({ id: z.string(), monthly_cost: z.number().nonnegative() })
type PricedPlan = z.infer<typeof PricedPlan>

/** How long a price is believed. */
const PRICES_MS = 3_600_000

/** What a month of a plan costs, in micro-USD; undefined for one that is not sold. */
export function planPrices(list: () => Promise<PricedPlan[]>): (plan: string) => Promise<bigint | undefined> {
  let known: { byPlan: ReadonlyMap<string, bigint>; until: number } | undefined
  return async (plan) => {
    if (!known || known.until < performance.now()) {
      const plans = await list()
      known = {
        byPlan: new Map(plans.map((one) => [one.id, BigInt(Math.round(one.monthly_cost * 1_000_000))])),
        until: performance.now() + PRICES_MS,
      }
    }
    return known.byPlan.get(plan)
  }
}

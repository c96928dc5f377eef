import { allTold, cardOperations } from './card-journey.ts'
import { chainOperations, endPayments } from './chain-journey.ts'
import type { Journey } from './journey.ts'
import { endBurning, meterOperations } from './meter-journey.ts'

/**
 * Everything that moves credits without a machine: what burns, payments on chain, and payments by card. The meters come
 * first: they run by themselves whenever the clock has moved, and are to be hit where they are sure to run.
 */
export const moneyJourney: Journey = {
  name: 'money',
  operations: [...meterOperations, ...chainOperations, ...cardOperations],
  async abandon(world, subject) {
    await endBurning(world, subject)
    await endPayments(world)
    await allTold(world)
  },
}

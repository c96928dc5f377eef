import { allTold, cardOperations } from './card-journey.ts'
import { chainOperations, endPayments } from './chain-journey.ts'
import type { Journey } from './journey.ts'
import { endBurning, meterOperations } from './meter-journey.ts'

/** Everything that moves credits without a machine: payments on chain, payments by card, and what burns. */
export const moneyJourney: Journey = {
  name: 'money',
  operations: [...chainOperations, ...cardOperations, ...meterOperations],
  async abandon(world, subject) {
    await endBurning(world, subject)
    await endPayments(world)
    await allTold(world)
  },
}

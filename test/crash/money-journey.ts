import { allTold, cardOperations } from './card-journey.ts'
import { chainOperations, endPayments } from './chain-journey.ts'
import type { Journey, Operation } from './journey.ts'
import { endBurning, meterOperations } from './meter-journey.ts'
import { operatorOperations } from './operator-journey.ts'

/** Last, for it is hit only where nothing else was: it comes by itself at any time, and here is sure to come. */
const upkeep: Operation = {
  name: 'what repeats by itself',
  optional: true,
  run: (world) => world.visitRepeated(),
  check: async () => [],
}

/**
 * Everything that moves credits without a machine: what burns, payments on chain and by card, and what an operator
 * decides about them. The meters come first: they run by themselves whenever the clock has moved, and are to be hit
 * where they are sure to run.
 */
export const moneyJourney: Journey = {
  name: 'money',
  operations: [...meterOperations, ...chainOperations, ...cardOperations, ...operatorOperations, upkeep],
  async abandon(world, subject) {
    await endBurning(world, subject)
    await endPayments(world)
    await allTold(world)
  },
}

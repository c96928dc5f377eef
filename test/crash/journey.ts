import type { World } from './world.ts'

/** What a journey works on, such as an agent of its own. */
export interface Subject {
  name: string
  agentId: string
  url: string
  /** What the agent has written into its home on its first machine. */
  born: string
}

/** One thing that a user does. Later parts of the product add theirs to a journey, or a journey of their own. */
export interface Operation {
  name: string
  /** Whether the operations after it can do without it. */
  optional?: boolean
  /** Does it as the CLI would, through crashes; resolves when the user would be told that it is done. */
  run(world: World, subject: Subject): Promise<void>
  /** What must hold afterwards, besides the invariants that hold always: sentences, each one a violation. */
  check(world: World, subject: Subject): Promise<string[]>
}

/** Operations that stand on each other; each run goes through all of them and is hit once in each at most. */
export interface Journey {
  name: string
  operations: Operation[]
  /** Takes away what a run that failed has left, so that the next one is not hindered. */
  abandon(world: World, subject: Subject): Promise<void>
}

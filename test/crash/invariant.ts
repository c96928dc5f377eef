import type { World } from './world.ts'

export interface Invariant {
  name: string
  /** One sentence for each place where it does not hold. */
  broken(world: World): Promise<string[]>
}

export async function sentences(query: PromiseLike<readonly { broken?: unknown }[]>): Promise<string[]> {
  return (await query).map((row) => String(row.broken))
}

import type { Context } from './context.ts'
import { Failure } from './failure.ts'

/** The id of a key that is named by its id or, where only one live key has it, by its name. */
export async function keyIdOf(ctx: Context, named: string): Promise<string> {
  if (named.startsWith('key_')) return named
  const { keys } = await ctx.api('GET /v1/keys')
  const live = keys.filter(({ name, revokedAt }) => name === named && revokedAt === null)
  const [only] = live
  if (only && live.length === 1) return only.id
  throw new Failure(
    live.length === 0 ? 'not_found' : 'conflict',
    live.length === 0 ? `There is no live key '${named}'` : `${live.length} live keys are named '${named}'`,
    { fix: 'Give the id of the key: agentctl keys list', next: ['agentctl keys list'] },
  )
}

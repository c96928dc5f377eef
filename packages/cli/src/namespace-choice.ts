import type { Context } from './context.ts'
import { Failure } from './failure.ts'

/** The namespace in force, for requests that have to name one; else the first of the account, as the service does. */
export async function chosenNamespace(ctx: Context): Promise<string> {
  const chosen = ctx.namespace()
  if (chosen !== undefined) return chosen
  const { namespaces } = await ctx.api('GET /v1/whoami')
  const [first] = namespaces
  if (first) return first.name
  throw new Failure('not_found', 'You are not a member of any namespace', {
    fix: 'Make one: agentctl namespaces create NAME',
    next: ['agentctl namespaces create NAME'],
  })
}

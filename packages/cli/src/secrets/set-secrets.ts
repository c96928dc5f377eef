import type { Context } from '../context.ts'
import { Failure } from '../failure.ts'

/** Sets secrets of an agent; one that does not exist yet is made only where that was asked for. */
export async function setSecrets(
  ctx: Context,
  { agent, secrets, create }: { agent: string; secrets: Record<string, string | null>; create: boolean },
) {
  const namespace = ctx.namespace()
  const set = () =>
    ctx.api('PATCH /v1/agents/:agent/secrets', { params: { agent }, query: { namespace }, body: { secrets } })
  try {
    return await set()
  } catch (error) {
    const absent = error instanceof Failure && error.code === 'not_found' && !agent.startsWith('agt_')
    if (!absent) throw error
    const agreed =
      create ||
      (ctx.prompt.interactive &&
        (await ctx.prompt.confirm({ message: `There is no agent ${agent} yet. Make it?`, flag: '--create' })))
    if (!agreed) {
      throw new Failure('not_found', `There is no agent '${agent}'`, {
        fix: 'Check the name, or add --create to set secrets before its first deploy.',
        next: ['agentctl agents list'],
      })
    }
    await ctx.api('POST /v1/agents', {
      body: { name: agent, ...(namespace === undefined ? {} : { namespace }) },
    })
    return set()
  }
}

import { randomUUID } from 'node:crypto'
import type { DeployPlan } from '@agentctl/contract/agents.ts'
import type { Domain } from '@agentctl/contract/domains.ts'
import type { Context } from '../context.ts'
import { describeRecords, shownName } from '../domains/domain-text.ts'
import { untilRegistered } from '../domains/domain-wait.ts'
import { asFailure } from '../failure.ts'

export type Attached =
  | Pick<Domain, 'id' | 'hostname' | 'status' | 'records'>
  | { hostname: string; error: { code: string; message: string } }

/**
 * Attaches the names of agent.json that are not attached yet, and says what to create for them. The release is live
 * already: whatever is wrong with a name is told, and fails nothing.
 */
export async function attachDomains(
  ctx: Context,
  agentId: string,
  { attach, keep }: Pick<DeployPlan['domains'], 'attach' | 'keep'>,
): Promise<Attached[]> {
  for (const name of keep) {
    ctx.out.notice(
      `${shownName(name)} stays attached, though agent.json does not name it any more. To take it away: agentctl domains remove ${name}`,
    )
  }
  const attached: Attached[] = []
  for (const name of attach) {
    try {
      const added = await ctx.api('POST /v1/domains', {
        body: { agent: agentId, hostname: name },
        idempotencyKey: randomUUID(),
      })
      const { id, hostname, status, records, isApex } = await untilRegistered(ctx, added)
      attached.push({ id, hostname, status, records })
      if (status === 'live') continue
      ctx.out.notice(`${shownName(hostname)} is attached. ${describeRecords({ records, isApex })}`)
      ctx.out.notice(`Then wait until it is served: agentctl domains wait ${hostname}`)
    } catch (error) {
      const { code, message, fix } = asFailure(error)
      if (code === 'interrupted') throw error
      attached.push({ hostname: name, error: { code, message } })
      ctx.out.notice(`The domain ${name} of agent.json was not attached: ${message}`)
      if (fix !== '') ctx.out.notice(`  ${fix}`)
    }
  }
  return attached
}

import type { Agent } from '@agentctl/contract/agents.ts'
import { waitUntilSettled } from '../../billing/state-wait.ts'
import { defineCommand, duration, required, unless } from '../../command.ts'
import type { Context } from '../../context.ts'
import { Failure } from '../../failure.ts'
import { dollars } from '../../money.ts'

const WAIT_SECONDS = 15 * 60

export const stop = defineCommand({
  summary: 'Release the machine of an agent and keep its files in a snapshot',
  details:
    'A machine that is only switched off costs as much as one that runs. Stopped, an agent costs what its snapshot ' +
    'costs (agentctl billing prices), and agentctl agents start brings it back with its files.',
  args: { agent: required('name', 'name or id of the agent') },
  options: {
    wait: unless('--no-wait', 'do not wait until it is stopped'),
    timeout: duration('--timeout <time>', 'how long to wait, such as 90s or 5m (default 15m)'),
  },
  examples: ['agentctl agents stop hello'],
  async run(ctx, { agent }, { wait, timeout }) {
    const costs = keptFor(ctx)
    const told = await ctx.api('POST /v1/agents/:agent/stop', {
      params: { agent },
      query: { namespace: ctx.namespace() },
    })
    const ended = wait ? await untilStopped(ctx, told, timeout ?? WAIT_SECONDS) : told
    const price = await costs
    ctx.out.result(ended, ({ name, status, step }) => {
      if (status === 'suspended') return `${name} stays suspended; a deposit will not start it by itself.`
      const keeps = step === null ? 'a snapshot keeps its files' : 'a snapshot will keep its files'
      const kept = `${keeps}${price === undefined ? '' : `, for ${dollars(price)} an hour`}.`
      return status === 'stopped' ? `${name} is stopped; ${kept}` : `${name} is being stopped; ${kept}`
    })
    if (ended.step !== null)
      ctx.out.note(`${ended.step}. See how far it is: agentctl agents show ${ended.name}`)
    ctx.out.note(
      `Its address, secrets and configuration stay. To bring it back: agentctl agents start ${ended.name}`,
    )
  },
})

/** What a stopped agent costs an hour. Stopping neither waits nor fails for it. */
async function keptFor(ctx: Context): Promise<string | undefined> {
  try {
    const settings = { token: null, once: true, timeoutSeconds: 2 } as const
    const { prices } = await ctx.api('GET /v1/billing/prices', settings)
    return prices.find(({ size }) => size === 'stopped')?.hourlyMicros
  } catch {
    return undefined
  }
}

/** By the state on the server. One that is suspended has no machine any more, and stays suspended. */
async function untilStopped(ctx: Context, told: Agent, timeoutSeconds: number): Promise<Agent> {
  const { id, name } = told
  const ended = await waitUntilSettled(ctx, {
    first: told,
    subject: name,
    timeoutSeconds,
    goesOn: ({ status }) => !['stopped', 'suspended', 'deleted'].includes(status),
    ask: () => ctx.api('GET /v1/agents/:agent', { params: { agent: id } }),
    tells: ({ status }) => `${name} is ${status}, and being stopped`,
    resume: `agentctl agents stop ${name}`,
    document: (now) => now,
  })
  if (ended.status !== 'deleted') return ended
  throw new Failure('not_found', `${name} has been deleted meanwhile`, { document: ended })
}

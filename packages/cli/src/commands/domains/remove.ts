import { defineCommand, duration, flag, required } from '../../command.ts'
import { shownName } from '../../domains/domain-text.ts'
import { waitForDomain } from '../../domains/domain-wait.ts'

const WAIT_SECONDS = 120

export const remove = defineCommand({
  summary: 'Take a name away from its agent',
  details:
    'It is taken away at Cloudflare first, so that nobody can take it over. Remove its records from your DNS as well.',
  args: { domain: required('name', 'the name, or its id') },
  options: {
    yes: flag('-y, --yes', 'do not ask'),
    timeout: duration('--timeout <time>', 'how long to wait, such as 90s or 5m (default 2m)'),
  },
  examples: ['agentctl domains remove bot.example.com --yes'],
  async run(ctx, { domain }, { yes, timeout }) {
    const query = { namespace: ctx.explicitNamespace }
    const found = await ctx.api('GET /v1/domains/:domain', { params: { domain }, query })
    await ctx.prompt.insist({
      message: `Take ${shownName(found.hostname)} away from ${found.agent.name}?`,
      yes,
      instead: 'Nothing was removed',
    })
    // By id: should it be attached anew meanwhile, that is not what was agreed to.
    const first = await ctx.api('DELETE /v1/domains/:domain', { params: { domain: found.id }, query: {} })
    const gone = await waitForDomain(ctx, {
      first,
      timeoutSeconds: timeout ?? WAIT_SECONDS,
      goesOn: ({ status }) => status !== 'removed' && status !== 'failed',
      resume: `agentctl domains remove ${found.id} --yes`,
    })
    ctx.out.result(gone, ({ hostname, agent }) => `${shownName(hostname)} is removed from ${agent.name}.`)
    ctx.out.note('Remove its records from your DNS as well.')
  },
})

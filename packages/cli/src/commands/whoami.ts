import { defineCommand } from '../command.ts'
import { pairs } from '../table.ts'

export const whoami = defineCommand({
  summary: 'Show the account, its namespaces and how you are logged in',
  examples: ['agentctl whoami', 'agentctl whoami --json'],
  async run(ctx) {
    const me = await ctx.api('GET /v1/whoami')
    ctx.out.result(me, ({ account, namespaces, loginMethods, via }) =>
      pairs([
        ['account', account.id],
        ['namespaces', namespaces.map(({ name, role }) => `${name} (${role})`).join(', ') || '-'],
        ['logs in by', loginMethods.join(', ')],
        ['via', via === 'key' ? 'API key' : 'session'],
        ['api', ctx.address().url],
      ]),
    )
  },
})

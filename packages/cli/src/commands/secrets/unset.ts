import { defineCommand, required, several } from '../../command.ts'

export const unset = defineCommand({
  summary: 'Remove secrets',
  args: {
    agent: required('name', 'name or id of the agent'),
    secrets: several('secret', 'names of the secrets'),
  },
  examples: ['agentctl secrets unset hello API_TOKEN'],
  async run(ctx, { agent, secrets }) {
    const answer = await ctx.api('PATCH /v1/agents/:agent/secrets', {
      params: { agent },
      query: { namespace: ctx.namespace() },
      body: { secrets: Object.fromEntries(secrets.map((name) => [name, null])) },
    })
    ctx.out.result(answer, `Removed: ${secrets.join(', ')}`)
    ctx.out.note(`The agent has them until its next start: agentctl agents restart ${agent}`)
  },
})

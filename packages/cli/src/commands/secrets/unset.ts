import { defineCommand, required, several } from '../../command.ts'
import { Failure } from '../../failure.ts'

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
    const missing = secrets.filter((name) => !answer.unset.includes(name))
    if (missing.length > 0) {
      if (answer.unset.length > 0) ctx.out.notice(`Removed: ${answer.unset.join(', ')}`)
      throw new Failure('not_found', `${agent} has no secret ${missing.join(', ')}`, {
        fix: `See what it has: agentctl secrets list ${agent}`,
        next: [`agentctl secrets list ${agent}`],
        document: answer,
      })
    }
    ctx.out.result(answer, `Removed: ${answer.unset.join(', ')}`)
    ctx.out.note(`The agent has them until its next start: agentctl agents restart ${agent}`)
  },
})

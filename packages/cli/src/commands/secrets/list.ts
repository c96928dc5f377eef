import { defineCommand, required } from '../../command.ts'
import { table } from '../../table.ts'
import { relative } from '../../times.ts'

export const list = defineCommand({
  summary: 'List the names of secrets; their values are never shown',
  args: { agent: required('name', 'name or id of the agent') },
  examples: ['agentctl secrets list hello'],
  async run(ctx, { agent }) {
    const found = await ctx.api('GET /v1/agents/:agent/secrets', {
      params: { agent },
      query: { namespace: ctx.namespace() },
    })
    const now = new Date()
    ctx.out.result(found, ({ secrets }, width) =>
      secrets.length === 0
        ? `No secrets. Set one: agentctl secrets set ${agent} NAME`
        : table(
            ['name', 'version', 'updated'],
            secrets.map(({ name, version, updatedAt }) => [name, String(version), relative(updatedAt, now)]),
            width,
          ),
    )
  },
})

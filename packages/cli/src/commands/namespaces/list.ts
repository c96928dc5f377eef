import { defineCommand } from '../../command.ts'
import { table } from '../../table.ts'

export const list = defineCommand({
  summary: 'List the namespaces that you are a member of',
  examples: ['agentctl namespaces list'],
  async run(ctx) {
    const found = await ctx.api('GET /v1/namespaces')
    const inForce = ctx.namespace() ?? found.namespaces[0]?.name
    ctx.out.result(found, ({ namespaces }, width) =>
      namespaces.length === 0
        ? 'No namespaces. Make one: agentctl namespaces create NAME'
        : table(
            ['name', 'role', 'in force', 'id'],
            namespaces.map(({ name, role, id }) => [name, role, name === inForce ? 'yes' : '', id]),
            width,
          ),
    )
  },
})

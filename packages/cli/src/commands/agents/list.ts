import { defineCommand } from '../../command.ts'
import { table } from '../../table.ts'

export const list = defineCommand({
  summary: 'List agents: of one namespace with -n, else all of yours',
  examples: ['agentctl agents list', 'agentctl agents list -n demo --json'],
  async run(ctx) {
    const found = await ctx.api('GET /v1/agents', { query: { namespace: ctx.explicitNamespace } })
    ctx.out.result(found, ({ agents }, width) =>
      agents.length === 0
        ? 'No agents yet. Make one: agentctl init, then agentctl deploy'
        : table(
            ['name', 'namespace', 'status', 'release', 'size', 'url'],
            agents.map(({ name, namespace, status, release, size, url }) => [
              name,
              namespace,
              status,
              release ? String(release.number) : '-',
              size,
              url,
            ]),
            width,
          ),
    )
  },
})
